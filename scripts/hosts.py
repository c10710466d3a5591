"""Hosts of the demo: the lab's, or, where no lab can run, this machine with its own Docker."""

from __future__ import annotations

import http.client
import os
import secrets
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from scripts.interrupts import run
from scripts.stage import IMAGE, SECONDS, ShowFailed
from tests.lab import Lab, LabError, Process, unavailable
from tests.lab.image import archive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.lab import Snapshot

# Replaces the lab's image where that cannot be made because a static busybox is missing.
_PUBLIC_IMAGE = "busybox:stable"


class Hosts(Protocol):
    """Interface of the demo's hosts, whichever they are."""

    @property
    def fleet(self) -> str:
        """The name of the fleet on them."""

    @property
    def image(self) -> str:
        """The image that is available for its stacks."""

    @property
    def env(self) -> Mapping[str, str]:
        """Environment variables that programs need to use them."""

    def manifests(self) -> str:
        """Return their Host documents."""

    def names(self) -> tuple[str, ...]:
        """Return their names."""

    def engine(self, host: str) -> str:
        """Return the command of a host's engine."""

    def command(self, host: str, *words: str) -> list[str]:
        """Return the command that runs ``words`` on a host, as a person would type it here."""

    def connect(self, host: str, address: str, port: int) -> list[str] | None:
        """Return the command that connects standard input and output to a port that only the host reaches.

        Return None if this machine reaches it too.
        """

    @property
    def watched(self) -> str:
        """The kinds of things that ``leaked`` checks, in words."""

    def leaked(self) -> dict[str, dict[str, list[str]]]:
        """Return the leftovers by host and kind; empty if there are none."""


@dataclass(frozen=True, slots=True)
class LabHosts:
    """Hosts of a lab, compared with their state when it came up."""

    lab: Lab
    before: Mapping[str, Snapshot]
    home: Path
    fleet: str = "demo"
    image: str = IMAGE

    @property
    def env(self) -> Mapping[str, str]:
        """A separate home: the user's ~/.ssh/config does not affect the lab."""
        return {"HOME": str(self.home)}

    def manifests(self) -> str:
        """Return their Host documents, with pinned keys."""
        return self.lab.host_manifests()

    def names(self) -> tuple[str, ...]:
        """Return their names."""
        return tuple(host.name for host in self.lab.hosts)

    def engine(self, host: str) -> str:
        """Return ``docker`` or ``podman``."""
        return self.lab.host(host).engine

    def command(self, host: str, *words: str) -> list[str]:
        """Return the command over SSH."""
        return ["ssh", "-F", str(self.lab.ssh_config), host, *words]

    def connect(self, host: str, address: str, port: int) -> list[str]:
        """Return the command over SSH."""
        return ["ssh", "-F", str(self.lab.ssh_config), "-W", f"{address}:{port}", host]

    @property
    def watched(self) -> str:
        """Everything that a snapshot of the lab holds."""
        return "container, network, volume, image, file or process"

    def leaked(self) -> dict[str, dict[str, list[str]]]:
        """Return everything new on the hosts, whoever made it."""
        found = {host: self.lab.leaked(host, before) for host, before in self.before.items()}
        return {host: kinds for host, kinds in found.items() if kinds}


@dataclass(frozen=True, slots=True)
class OwnDocker:
    """This machine as the only host, with a root, a fleet name and an image tag that are unique."""

    root: Path
    fleet: str
    image: str

    @property
    def env(self) -> Mapping[str, str]:
        """Makes the project's own Compose available if Docker has none."""
        return {"PATH": f"{os.environ.get('PATH', '')}:{Path(sys.executable).parent}"}

    def manifests(self) -> str:
        """Return one Host document."""
        host = {
            "apiVersion": "sandboxer.dev/v1",
            "kind": "Host",
            "metadata": {"name": "this-machine", "labels": {"tier": "self-hosted"}},
            "spec": {"connection": "local", "root": str(self.root), "runtime": "docker"},
        }
        return yaml.safe_dump(host, sort_keys=False)

    def names(self) -> tuple[str, ...]:
        """Return its name."""
        return ("this-machine",)

    def engine(self, _host: str) -> str:
        """Return ``docker``."""
        return "docker"

    def command(self, _host: str, *words: str) -> list[str]:
        """Return the command unchanged: it runs here."""
        return list(words)

    def connect(self, _host: str, _address: str, _port: int) -> None:
        """Return None: this machine is the host."""

    @property
    def watched(self) -> str:
        """Everything that can carry a label, and everything below the root."""
        return "container, network, volume or file"

    def leaked(self) -> dict[str, dict[str, list[str]]]:
        """Return what carries the fleet's label: others use this Docker at the same time."""
        kinds = {kind: docker(*words, *self._ours()).split() for kind, words in _LISTS.items()}
        kinds["files"] = [str(path) for path in self.root.rglob("*")] if self.root.exists() else []
        found = {kind: things for kind, things in kinds.items() if things}
        return {"this-machine": found} if found else {}

    def clear(self) -> None:
        """Remove the leftovers of an interrupted demo."""
        for kind, words in _LISTS.items():
            if things := docker(*words, *self._ours()).split():
                docker(*_REMOVALS[kind], *things)

    def _ours(self) -> tuple[str, str]:
        return "--filter", f"label=dev.sandboxer.fleet={self.fleet}"


_LISTS = {"containers": ("ps", "-aq"), "networks": ("network", "ls", "-q"), "volumes": ("volume", "ls", "-q")}
_REMOVALS = {"containers": ("rm", "-f", "-v"), "networks": ("network", "rm"), "volumes": ("volume", "rm", "-f")}


@contextmanager
def open_hosts(folder: Path, say: Callable[[str], None]) -> Iterator[Hosts]:
    """Yield the lab's hosts, or else this machine's Docker; everything on them is removed afterwards.

    ``folder`` is for their files, and ``say`` is called with what is used. Raise ShowFailed if there is neither.
    """
    reason = unavailable()
    if reason is None:
        say("Starting the lab: three hosts with Docker and one with Podman …")
        try:
            lab = Lab.up(docker=3, podman=1, owner=Process.me())
        except LabError as error:
            reason = str(error)
        else:
            with lab:
                yield _at_home(lab, folder)
                say("Taking the lab down …")
            return
    say(f"There can be no lab here: {reason}\nSo this machine's own Docker is the only host (`connection: local`).")
    with _own_docker(folder, reason) as own:
        yield own


def _at_home(lab: Lab, folder: Path) -> LabHosts:
    home = folder / "home"
    home.mkdir()
    return LabHosts(lab, {host.name: lab.snapshot(host) for host in lab.hosts}, home)


@contextmanager
def _own_docker(folder: Path, reason: str) -> Iterator[OwnDocker]:
    try:
        docker("version")
    except ShowFailed as failed:
        raise ShowFailed(
            f"the demo needs the lab or Docker, and there is neither.\nThe lab: {reason}\nDocker: {failed}\n"
            "Run it as root on Linux, or install Docker and start it."
        ) from None
    suffix = secrets.token_hex(3)
    own = OwnDocker(folder / "root", f"demo-{suffix}", f"sandboxer-demo/busybox:{suffix}")
    _make_image(own.image)
    try:
        yield own
    finally:
        own.clear()
        with suppress(ShowFailed):
            docker("image", "rm", own.image)


def _make_image(tag: str) -> None:
    """Make an image with ``tag``: the lab's if this machine has a static busybox, else the public one."""
    try:
        docker("load", data=archive(tag))
        docker("run", "--rm", "--network", "none", tag, "true")
    except (OSError, subprocess.SubprocessError, ShowFailed):
        docker("pull", "--quiet", _PUBLIC_IMAGE)
        docker("tag", _PUBLIC_IMAGE, tag)


def docker(*words: str, data: bytes = b"") -> str:
    """Run this machine's docker. Raise ShowFailed if it is missing or fails."""
    try:
        done = run(["docker", *words], timeout=SECONDS, data=data)
    except OSError as error:
        raise ShowFailed(f"docker cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        raise ShowFailed(f"docker {words[0]}: {done.stderr.strip()[-500:]}")
    return done.stdout


def fetch(command: list[str] | None, way: Mapping[str, Any], path: str) -> str:
    """Return one page of a sandbox over one of its handle's connections: through ``command``, or directly.

    Raise ShowFailed if it cannot be fetched.
    """
    if command is None:
        connection = http.client.HTTPConnection(way["address"], way["host_port"] or way["port"], timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode(errors="replace")
        except OSError as error:
            raise ShowFailed(f"{way['url']} does not answer: {error}") from None
        finally:
            connection.close()
    request = f"GET {path} HTTP/1.0\r\n\r\n".encode()
    done = run(command, timeout=SECONDS, data=request)
    head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    if " 200 " not in head.partition("\n")[0]:
        raise ShowFailed(f"{way['url']}{path}: {head or done.stderr.strip()}")
    return body
