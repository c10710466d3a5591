"""A lab's state on disk, with which a later process, after any crash, can use or remove the lab.

``/var/lib/sandboxer-lab/NAME/`` holds ``lab.json``, the keys, and a folder for each host. A lab's folder is locked
while it starts or ends, the folder above while names and networks are given out; both locks end with their holder.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab.errors import LabError
from tests.lab.host import LabHost
from tests.lab.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE = Path("/var/lib/sandboxer-lab")

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class LabState:
    """The content of ``lab.json``: written before anything of the lab is created, and again once all is ready.

    ``network`` is the third number of its addresses, ``owner`` the process with whose end the lab is abandoned (None:
    it stays until somebody ends it), ``hosts`` is empty until the lab is ready.
    """

    name: str
    network: int
    owner: Process | None
    hosts: tuple[LabHost, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of all its files."""
        return folder(self.name)

    def save(self, folder: Path | None = None) -> None:
        """Write the state atomically."""
        new = (folder or self.folder) / "lab.json.new"
        new.write_text(json.dumps(asdict(self), indent=2))
        new.replace(new.with_suffix(""))

    def abandoned(self) -> bool:
        """Return whether the process that it was created for is gone."""
        return self.owner is not None and not self.owner.alive()


def folder(name: str) -> Path:
    """Return the folder of the lab of this name; raise LabError if the name is invalid."""
    if not _NAME.fullmatch(name):
        raise LabError(f"{name!r} is no name for a lab: lower case letters, digits and dashes, at most 32")
    return BASE / name


def load(name: str) -> LabState | None:
    """Return the state of a lab; None if there is none, or if it died before it wrote any."""
    try:
        data: dict[str, Any] = json.loads((folder(name) / "lab.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    owner = Process(**data["owner"]) if data["owner"] else None
    return LabState(data["name"], data["network"], owner, tuple(LabHost.from_json(host) for host in data["hosts"]))


def exists(name: str) -> bool:
    """Return whether there is anything of a lab of this name."""
    return folder(name).exists()


def running(lab: LabState) -> bool:
    """Return whether the lab came up and every process that holds it is alive."""
    held = processes(lab.name)
    return bool(lab.hosts) and len(held) == 2 * len(lab.hosts) + 1 and all(process.alive() for process in held)


def names() -> list[str]:
    """Return the names of all labs of this machine, dead ones included."""
    try:
        return sorted(entry.name for entry in BASE.iterdir() if entry.is_dir() and _NAME.fullmatch(entry.name))
    except FileNotFoundError:
        return []


def processes(name: str) -> list[Process]:
    """Return the processes that hold a lab: of each host and of the switch, in the order in which to end them."""
    found = (Process.read(path) for pattern in ("*/process", "*/init") for path in sorted(folder(name).glob(pattern)))
    return [process for process in found if process]


@contextmanager
def base_locked() -> Iterator[None]:
    """Hold the lock under which names and networks are given out; leave no empty folder."""
    with _locked(BASE, seconds=120, make=True):
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                BASE.rmdir()


@contextmanager
def lab_locked(name: str, *, seconds: float = 180) -> Iterator[bool]:
    """Hold a lab's lock; yield whether there is such a lab at all."""
    try:
        with _locked(folder(name), seconds=seconds, make=False):
            yield True
            return
    except _GoneError:
        pass
    yield False


@contextmanager
def created(lab: LabState) -> Iterator[None]:
    """Create a lab's folder, complete and locked from the moment that it is visible; hold the lock."""
    draft = BASE / f".{lab.name}.new"
    shutil.rmtree(draft, ignore_errors=True)  # its maker died, for the base is locked
    with _locked(draft, seconds=10, make=True):
        lab.save(draft)
        draft.rename(lab.folder)
        yield


class _GoneError(Exception):
    """The folder to lock does not exist."""


@contextmanager
def _locked(path: Path, *, seconds: float, make: bool) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while True:
        if make:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            if make:
                continue
            raise _GoneError from None
        try:
            _flock(handle, path, deadline)
            # The previous lock holder may have removed the folder; then we hold nothing.
            if _same(handle, path):
                yield
                return
        finally:
            os.close(handle)


def _flock(handle: int, path: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise LabError(f"{path} stays locked: another process is starting or ending a lab") from None
            time.sleep(0.05)
        else:
            return


def _same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
