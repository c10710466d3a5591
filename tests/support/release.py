"""States that a former release left on real hosts, and this release run on them: ``tests/cases/release/``.

A host is a restored folder, this machine's shell, and an engine that returns the recorded answers; the shell scripts,
their parsers, the planner and the commands are this release's own. Everything that these tests import from the product
is in this file alone.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import shutil
import socket
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch

from sandboxer.adapters.local import LocalTransport
from sandboxer.adapters.transports import Transports
from sandboxer.cli.main import run
from sandboxer.extensions.base import ObserveRequest
from sandboxer.extensions.compose_ssh.observe import engine_part
from sandboxer.hosts.journals import Journals
from sandboxer.hosts.observation import observe_command
from sandboxer.hosts.sections import Sections
from sandboxer.model.event import Event
from sandboxer.model.lock import Holder
from sandboxer.model.record import parse_record
from sandboxer.model.request import SandboxRequest
from sandboxer.model.saved_plan import parse_saved_plan
from sandboxer.wiring import clock
from sandboxer.wiring.fleet_hosts import open_fleet
from sandboxer.wiring.planning import plan_approved
from tests.support.cases import CASES
from tests.support.gitrepo import GitRepo
from tests.support.hubs import Answer, LyingHub, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandboxer.model.manifest import Host
    from sandboxer.model.observed import Engine
    from sandboxer.model.plan import Plan
    from sandboxer.model.protocols import Command, CommandResult, HostTransport

RELEASES = CASES / "release"
ROOT = "/tmp/sandboxer"
HUB_PORT = 18765
TOKEN = {"STATE_HUB_TOKEN": "a-token-of-the-fixture", "APP_TOKEN": "a-secret-of-the-fixture"}
_ANSWERS = {
    "docker": ("containers", "networks", "volumes"),
    "podman": ("containers", "described", "networks", "volumes"),
}
_HIDDEN = frozenset({"docker", "podman", "podman-compose", "docker-compose", "curl", "date"})


# --- recordings


@dataclass(frozen=True)
class Recorded:
    """The folder of one recorded release; see its README.md."""

    folder: Path

    def text(self, name: str) -> str:
        """Return a file's text."""
        return (self.folder / name).read_text(encoding="utf-8")

    def json(self, name: str) -> Any:
        """Return a file's JSON."""
        return json.loads(self.text(name))

    @property
    def about(self) -> dict[str, Any]:
        """``release.json``: the commit, the fleet, the time, the hosts, the commands."""
        return cast("dict[str, Any]", self.json("release.json"))

    @property
    def hosts(self) -> list[str]:
        """The hosts' names."""
        return sorted(self.about["hosts"])

    def files(self, name: str) -> dict[str, Path]:
        """Return all recorded files of this name, by host and path below the fleet's folder there."""
        found = {}
        for host in self.hosts:
            home = self.folder / "hosts" / host / "files" / self.about["fleet"]
            found |= {f"{host}/{path.relative_to(home)}": path for path in sorted(home.rglob(name))}
        return found

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests that the flush sent to State Hub, in a fixed order."""
        found = [json.loads(line) for line in self.text("hub.jsonl").splitlines()]
        return [{**one, "body": without_the_moment(one["body"]) if one["body"] else None} for one in found]


def recorded(name: str) -> Recorded:
    """Return the states of the release of this name."""
    return Recorded(RELEASES / name)


def received_by_the_hub(requests: list[Request]) -> list[dict[str, Any]]:
    """Return the requests that a hub received, without the data of the run that sent them, in a fixed order."""
    found = [
        {
            "method": one.method,
            "path": one.path,
            "query": one.query,
            "content_type": one.headers.get("content-type", ""),
            "body": without_the_moment(one.json) if one.body else None,
        }
        for one in requests
    ]
    of_runs = [one for one in found if one["body"] and str(one["body"].get("type", "")).startswith("dev.sandboxer.run")]
    return sorted((one for one in found if one not in of_runs), key=lambda one: json.dumps(one, sort_keys=True))


# Keys that the recorded release did not have: of handles and registrations, and of changes.
NEWER_IN_HANDLES = ("commit", "error", "inputs", "services")
NEWER_IN_CHANGES = ("diagnostics", "error", "expected", "input")
NEWER_IN_PLANS = ("secrets_not_compared",)


def without_the_moment(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without the counts and times of the run that printed it, and without newer keys."""
    newer = NEWER_IN_HANDLES if "reachability" in document else NEWER_IN_PLANS
    newer = NEWER_IN_CHANGES if "action" in document else newer
    left = {key: value for key, value in document.items() if key not in ("stats", "seconds_left", *newer)}
    changes = left.get("changes")
    return left | {"changes": [without_the_moment(one) for one in changes]} if isinstance(changes, list) else left


# --- recording a host


def engine_answers(
    execute: Callable[[str, bytes], bytes], host: str, fleet: str, engine: Engine
) -> tuple[int, dict[str, bytes]]:
    """Return a host's clock, and the engine's answers.

    With the files they are all that this release's observation of a host consists of. ``execute`` runs a script with a
    standard input on the host, and returns its output.
    """
    request = ObserveRequest(host, ROOT, fleet, engine)
    command, nonce = observe_command(request, engine_part(request))
    parts = list(Sections(execute(command.script, command.stdin), nonce))
    assert parts[-1][0] == "end", parts[-1]
    clock = next(int(body) for name, _, body in parts if name == "clock")
    expected = ("api-containers", "next", "next") if engine == "docker" else _ANSWERS[engine]
    bodies = [body for name, _, body in parts if name in expected]
    return clock, dict(zip(_ANSWERS[engine], bodies, strict=False))


# --- restored hosts


class RestoredHost(LocalTransport):
    """A recorded host, as the transport to it: its files in a temporary folder, its engine's answers.

    The folder's path is as long as the root's, and replaces it on the way in and out, so that everything on the host,
    and everything that the program sees, is as it was recorded.
    """

    def __init__(self, workshop: Workshop, host: str, folder: Path) -> None:
        super().__init__(host)
        states = workshop.states
        self._own = Path("/tmp", f"s{secrets.token_hex(4)}")
        assert len(str(self._own)) == len(ROOT)
        _restore(states.folder / "hosts" / host, self._own)
        self._socket = Path(f"{self._own}.sock")
        _engine(states, host, folder / host, self._socket)
        words = {
            "PATH": f"{folder / host}:{workshop.tools}",
            "HOME": str(folder),
            "DOCKER_HOST": f"unix://{self._socket}",
        }
        self._prelude = "".join(f"{name}='{value}'; export {name}\n" for name, value in words.items())

    @property
    def home(self) -> Path:
        """The parent directory of the fleets' folders."""
        return self._own

    def run(self, command: Command) -> CommandResult:
        """Run a command as that host would."""
        theirs, own = ROOT.encode(), str(self._own).encode()
        script = self._prelude + command.script
        result = super().run(replace(command, script=script, stdin=command.stdin.replace(theirs, own)))
        return replace(result, stdout=result.stdout.replace(own, theirs), stderr=result.stderr.replace(own, theirs))

    def remove(self) -> None:
        """Remove all its files."""
        shutil.rmtree(self._own)
        self._socket.unlink(missing_ok=True)


def _restore(host: Path, root: Path) -> None:
    root.mkdir(mode=0o700)
    folders = []
    for line in (host / "index.txt").read_text().splitlines():
        kind, mode, seconds, name = line.split(" ", 3)
        path = root / name
        if kind == "d":
            path.mkdir(parents=True, exist_ok=True)
            folders.append((path, int(mode, 8)))
            continue
        shutil.copyfile(host / "files" / name, path)
        path.chmod(int(mode, 8))
        if "/workspace/" in name:  # its times are part of its content; those of kept journals must not be old
            os.utime(path, (int(seconds), int(seconds)))
    for path, mode in reversed(folders):
        path.chmod(mode)


def _engine(states: Recorded, host: str, folder: Path, api: Path) -> None:
    """Write the programs in which a host differs from this machine: the engine's, and the clock."""
    about, folder = states.about["hosts"][host], folder
    folder.mkdir()
    answers = states.folder / "hosts" / host / "engine"
    programs = {"date": f'case "$*" in *+%s*) echo {about["clock"]} ;; *) exec {shutil.which("date")} "$@" ;; esac'}
    if about["engine"] == "docker":
        programs |= {"docker": "exit 1", "curl": _CURL.format(answers=answers)}
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(api))
    else:
        programs |= {"podman": _PODMAN.format(answers=answers)}
    for name, text in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)


# Docker's API, queried for containers, networks and volumes in this order.
_CURL = """
while [ "$#" -gt 0 ]; do [ "$1" != -w ] || mark=$2; shift; done
for each in containers networks volumes; do cat '{answers}'/$each.txt; printf "$mark"; done"""
_PODMAN = """
case $1 in
  ps) cat '{answers}/containers.txt' ;;
  inspect)
    for word in "$@"; do
      case $word in *[!0-9a-f]*) ;; *) grep -F '{{"id":"'"$word" '{answers}/described.txt' ;; esac
    done ;;
  network | volume) case $2 in ls) echo all ;; *) cat '{answers}'/"$1"s.txt ;; esac ;;
esac"""


# --- shared by all hosts


@dataclass(frozen=True)
class Workshop:
    """Common parts of restored hosts: the fleet's repository, and this machine's programs.

    The programs in which the recorded hosts differ from this machine are left out.
    """

    states: Recorded
    repo: GitRepo
    tools: Path

    @classmethod
    def prepare(cls, states: Recorded, folder: Path) -> Workshop:
        """Create it in a folder; it is only read afterwards."""
        repo = GitRepo.create(folder / "fleet")
        repo.git("fast-import", "--quiet", stdin=(states.folder / "fleet.fast-export").read_bytes())
        repo.git("reset", "-q", "--hard", "main")
        tools = folder / "tools"
        tools.mkdir()
        programs: dict[str, Path] = {}
        for folder in os.environ["PATH"].split(":"):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                programs = {program.name: program for program in Path(folder).iterdir()} | programs
        for name in programs.keys() - _HIDDEN:
            (tools / name).symlink_to(programs[name])
        return cls(states, repo, tools)


# --- this release on restored hosts


@dataclass
class Restored:
    """A fleet and its hosts as recorded, for this release to manage."""

    states: Recorded
    repo: GitRepo
    transports: dict[str, RestoredHost]

    def run(self, *words: str) -> tuple[int, str]:
        """Run the program; return its exit code and its standard output."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            code = run(["-C", str(self.repo.path), *words])
        return code, out.getvalue()

    def approved(self, data: bytes) -> Plan:
        """Return what this release would do for a saved plan. Raise PlanRefused if it is invalid."""
        with open_fleet(self.repo.path) as (source, hosts):
            return plan_approved(source, hosts, parse_saved_plan(data)).plan


@contextmanager
def restored(workshop: Workshop, folder: Path) -> Iterator[Restored]:
    """Yield the restored hosts; every clock shows the recorded time."""
    states = workshop.states
    hosts = {name: RestoredHost(workshop, name, folder) for name in states.hosts}

    def to(_transports: Transports, host: Host) -> HostTransport:
        return hosts[host.metadata.name]

    at = datetime.fromisoformat(states.about["at"])
    try:
        with patch.object(Transports, "to", to), patch.object(clock, "now", lambda: at):
            yield Restored(states, workshop.repo, hosts)
    finally:
        for host in hosts.values():
            host.remove()


@contextmanager
def hub_at_the_recorded_port(answer: Answer) -> Iterator[LyingHub]:
    """Yield a hub that is reachable at the recorded fleet's URL, whatever its real port is."""
    connect = socket.create_connection
    with LyingHub(otherwise=answer) as hub, contextlib.ExitStack() as stack:
        port = int(hub.url.rpartition(":")[2])

        def elsewhere(address: tuple[str, int], *arguments: Any, **more: Any) -> socket.socket:
            made = connect(("127.0.0.1", port) if address[1] == HUB_PORT else address, *arguments, **more)
            return stack.enter_context(made)  # the program leaves them open until its end

        with patch.object(socket, "create_connection", elsewhere):
            yield hub


# --- single formats


def reread_record(data: bytes, fleet: str, identifier: str) -> bytes:
    """Return a record as this release writes it after reading it."""
    return parse_record(data, fleet=fleet, identifier=identifier).to_bytes()


def reread_request(identifier: str, data: bytes) -> bytes:
    """Return the request of an imperative sandbox as this release writes it after reading it."""
    request = SandboxRequest.parse(identifier, data)
    assert request is not None
    return request.to_bytes()


def reread_events(text: str) -> str:
    """Return the events of a journal as this release writes them after reading them."""
    return "".join(Event.model_validate_json(line).to_line() + "\n" for line in text.splitlines())


def holder(data: bytes) -> str:
    """Return the lock holder, as this release reads the lock's file."""
    return str(Holder.parse(data.decode()) or "")


def lives(present: Restored, host: str) -> dict[str, list[int]]:
    """Return the numbers of the events that a host still has to report, by ID and life."""
    journals = Journals(present.states.about["fleet"], {host: ROOT}, lambda name: present.transports[name])
    return {f"{life.id} {life.uid}": [event.number for event in life.events] for life in journals.read(host)}


def on_branch(repo: Path) -> bytes:
    """Return all commits on a repository's branch, as text."""
    git = ["git", "-C", str(repo), "fast-export", "--reencode=no", "main"]
    return subprocess.run(git, capture_output=True, check=True, timeout=60).stdout
