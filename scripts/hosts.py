"""The demo's hosts: the lab's, or where there can be none, this machine with its own Docker."""

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

# Where the lab's image cannot be made, for want of a static busybox, this one does the same.
_PUBLIC_IMAGE = "busybox:stable"


class Hosts(Protocol):
    """What the demo asks of its hosts, whichever they are."""

    @property
    def fleet(self) -> str:
        """What the fleet on them is called."""

    @property
    def image(self) -> str:
        """The image that is there for its stacks."""

    @property
    def env(self) -> Mapping[str, str]:
        """What the programs' environment must have to work on them."""

    def manifests(self) -> str:
        """Return their Host documents."""

    def names(self) -> tuple[str, ...]:
        """Return their names."""

    def engine(self, host: str) -> str:
        """Return the command of a host's engine."""

    def command(self, host: str, *words: str) -> list[str]:
        """Return what runs ``words`` on a host, as a person would type it here."""

    def connect(self, host: str, address: str, port: int) -> list[str] | None:
        """Return what joins standard input and output with a port that only the host reaches.

        None where we reach it too.
        """

    @property
    def watched(self) -> str:
        """The kinds of things that ``leaked`` looks for, in words."""

    def leaked(self) -> dict[str, dict[str, list[str]]]:
        """By host and kind, what is there and was not before; empty where nothing is."""


@dataclass(frozen=True, slots=True)
class LabHosts:
    """The hosts of a lab, as they were when it came up."""

    lab: Lab
    before: Mapping[str, Snapshot]
    home: Path
    fleet: str = "demo"
    image: str = IMAGE

    @property
    def env(self) -> Mapping[str, str]:
        """A home of its own: what a user has in ~/.ssh/config is none of the lab's."""
        return {"HOME": str(self.home)}

    def manifests(self) -> str:
        """Return their Host documents, keys pinned."""
        return self.lab.host_manifests()

    def names(self) -> tuple[str, ...]:
        """Return their names."""
        return tuple(host.name for host in self.lab.hosts)

    def engine(self, host: str) -> str:
        """``docker`` or ``podman``."""
        return self.lab.host(host).engine

    def command(self, host: str, *words: str) -> list[str]:
        """Over SSH."""
        return ["ssh", "-F", str(self.lab.ssh_config), host, *words]

    def connect(self, host: str, address: str, port: int) -> list[str]:
        """Over SSH too."""
        return ["ssh", "-F", str(self.lab.ssh_config), "-W", f"{address}:{port}", host]

    @property
    def watched(self) -> str:
        """All that a snapshot of the lab holds."""
        return "container, network, volume, image, file or process"

    def leaked(self) -> dict[str, dict[str, list[str]]]:
        """Return everything on the hosts counts, whoever made it."""
        found = {host: self.lab.leaked(host, before) for host, before in self.before.items()}
        return {host: kinds for host, kinds in found.items() if kinds}


@dataclass(frozen=True, slots=True)
class OwnDocker:
    """This machine as the only host, with a root, a fleet name and an image tag that nobody else has."""

    root: Path
    fleet: str
    image: str

    @property
    def env(self) -> Mapping[str, str]:
        """The project's own Compose is at hand where Docker has none."""
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
        """Docker."""
        return "docker"

    def command(self, _host: str, *words: str) -> list[str]:
        """Here."""
        return list(words)

    def connect(self, _host: str, _address: str, _port: int) -> None:
        """We are on the host."""

    @property
    def watched(self) -> str:
        """What can carry a label, and what lies below the root."""
        return "container, network, volume or file"

    def leaked(self) -> dict[str, dict[str, list[str]]]:
        """Return what carries the fleet's label: others use this Docker at the same time."""
        kinds = {kind: docker(*words, *self._ours()).split() for kind, words in _LISTS.items()}
        kinds["files"] = [str(path) for path in self.root.rglob("*")] if self.root.exists() else []
        found = {kind: things for kind, things in kinds.items() if things}
        return {"this-machine": found} if found else {}

    def clear(self) -> None:
        """Remove what a show that broke off has left."""
        for kind, words in _LISTS.items():
            if things := docker(*words, *self._ours()).split():
                docker(*_REMOVALS[kind], *things)

    def _ours(self) -> tuple[str, str]:
        return "--filter", f"label=dev.sandboxer.fleet={self.fleet}"


_LISTS = {"containers": ("ps", "-aq"), "networks": ("network", "ls", "-q"), "volumes": ("volume", "ls", "-q")}
_REMOVALS = {"containers": ("rm", "-f", "-v"), "networks": ("network", "rm"), "volumes": ("volume", "rm", "-f")}


@contextmanager
def open_hosts(folder: Path, say: Callable[[str], None]) -> Iterator[Hosts]:
    """The lab's hosts, else this machine's Docker; all of it is gone afterwards.

    ``folder`` is for files of theirs, and ``say`` is told what there is. Raises ShowFailed where there is neither.
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
    """The lab's image where this machine has a busybox to make it of, else the public one, under ``tag``."""
    try:
        docker("load", data=archive(tag))
        docker("run", "--rm", "--network", "none", tag, "true")
    except (OSError, subprocess.SubprocessError, ShowFailed):
        docker("pull", "--quiet", _PUBLIC_IMAGE)
        docker("tag", _PUBLIC_IMAGE, tag)


def docker(*words: str, data: bytes = b"") -> str:
    """Run this machine's docker. Raises ShowFailed where there is none, or where it fails."""
    try:
        done = run(["docker", *words], timeout=SECONDS, data=data)
    except OSError as error:
        raise ShowFailed(f"docker cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        raise ShowFailed(f"docker {words[0]}: {done.stderr.strip()[-500:]}")
    return done.stdout


def fetch(command: list[str] | None, way: Mapping[str, Any], path: str) -> str:
    """Return one page of a sandbox, by one of its handle's ways in: through ``command``, or straight.

    Raises ShowFailed.
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
