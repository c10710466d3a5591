"""The manifest files of a fleet, and their bytes in a work tree."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from sandboxer.adapters.git_process import unprintable
from sandboxer.errors import FleetTooLarge, SourceError

FLEET_FILE = "sandboxer.yaml"
FOLDERS = ("manifests", "profiles", "extensions")
MAX_FILES = 20_000  # of any kind, below the directories of manifests
MAX_MANIFESTS = 2_000
MAX_IN_ALL = 16 * 1024 * 1024
MAX_READ = 1024 * 1024 + 1  # one byte more than a manifest may have, so that the loader notices that it is too large

_ENDINGS = (".yaml", ".yml")


def is_manifest(path: str) -> bool:
    """Return whether a path, relative to the fleet's root, is that of a manifest."""
    return path == FLEET_FILE or (path.startswith(tuple(f"{f}/" for f in FOLDERS)) and path.endswith(_ENDINGS))


def count_in(path: str, size: int, files: int, total: int) -> int:
    """Return the bytes of a fleet with one manifest more; ``files`` and ``total`` are those before it.

    A manifest takes some 1 to 5 KiB, and each is kept with the position of everything in it: these limits keep the cost
    of one run to a few hundred MiB. Raise FleetTooLarge beyond them.
    """
    hint = "split the fleet into several, each with its own sandboxer.yaml"
    if files >= MAX_MANIFESTS:
        raise FleetTooLarge(f"{path} exceeds the limit of {MAX_MANIFESTS:,} manifests in a fleet", hint=hint)
    if total + size > MAX_IN_ALL:
        raise FleetTooLarge(f"{path} exceeds the limit of {MAX_IN_ALL >> 20} MiB for all manifests together", hint=hint)
    return total + size


def read_work_tree(root: Path) -> dict[str, bytes]:
    """Return the manifests below a fleet's root, by path, sorted; one over 1 MiB is cut one byte above that.

    Raise SourceError if the fleet's file is missing, something cannot be read, or a link leaves the root.
    """
    walk = _Walk(root)
    if not root.is_dir():
        raise SourceError(f"there is no folder {root}", hint="select the fleet's folder with -C DIR")
    walk.take(FLEET_FILE)
    if FLEET_FILE not in walk.files:
        raise SourceError(
            f"there is no {FLEET_FILE} in {root}",
            hint=f"create {FLEET_FILE} there, or select the fleet's folder with -C DIR",
        )
    for folder in FOLDERS:
        walk.take(folder)
    return dict(sorted(walk.files.items()))


class _Walk:
    def __init__(self, root: Path) -> None:
        self.files: dict[str, bytes] = {}
        self._root = root
        self._real = Path(os.path.realpath(root))
        self._seen = 0
        self._total = 0

    def take(self, top: str) -> None:
        """Read what is at a path of the root, if anything."""
        pending = [top]
        while pending:
            path = pending.pop()
            try:
                pending += self._visit(path)
            except OSError as error:
                raise SourceError(f"{path!r} cannot be read: {error.strerror or error}") from error

    def _visit(self, path: str) -> list[str]:
        """Read a file, or return the content of a directory."""
        self._seen += 1
        if self._seen > MAX_FILES:
            raise SourceError(f"more than {MAX_FILES} files below {', '.join(FOLDERS)}")
        where = self._root / path
        try:
            mode = where.lstat().st_mode
        except FileNotFoundError:  # no such directory, or gone since it was listed
            return []
        if stat.S_ISDIR(mode):
            if path == FLEET_FILE:
                return []
            if (where / ".git").exists():
                raise SourceError(
                    f"{path} is a submodule or separate repository; its manifests are in no commit of this one",
                    hint="copy the manifests into this repository",
                )
            return [f"{path}/{name}" for name in os.listdir(where)]  # noqa: PTH208  # names alone, no Path each
        if stat.S_ISLNK(mode):
            where = self._followed(path)
        if is_manifest(path):
            if unprintable(path):
                raise SourceError(f"{path!r}: file names of manifests must be UTF-8 without control characters")
            data = _read(where, path, MAX_IN_ALL - self._total)
            self._total = count_in(path, len(data), len(self.files), self._total)
            self.files[path] = data
        return []

    def _followed(self, path: str) -> Path:
        real = Path(os.path.realpath(self._root / path))
        hint = "replace the link with a file, or with a link to a file of the fleet"
        if not real.is_relative_to(self._real):
            raise SourceError(f"{path} is a link that points outside the fleet's folder", hint=hint)
        if real.is_dir():
            raise SourceError(f"{path} is a link that points to a folder", hint=hint)
        if not real.exists():
            raise SourceError(f"{path} is a link that points to a missing file", hint=hint)
        if is_manifest(path) and (real.suffix not in _ENDINGS or ".git" in real.relative_to(self._real).parts):
            # Findings show lines of the file: a stranger's link must not show a secret that lies beside the fleet.
            raise SourceError(f"{path} is a link to a file that is not a manifest", hint=hint)
        return real


def _read(where: Path, path: str, left: int) -> bytes:
    descriptor = os.open(where, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SourceError(f"{path} is not a file")
        return file.read(min(MAX_READ, left + 1))
