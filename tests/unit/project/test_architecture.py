"""The hops that the architecture's page lists are those of real runs of ``plan`` and ``apply``."""

from __future__ import annotations

import inspect
import re
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import sandboxer
from sandboxer.cli.main import run
from sandboxer.extensions.compose_ssh import provision
from sandboxer.hosts import observation
from sandboxer.model.observed import EngineObservation, Reachable
from tests.support.fleet import ROOT
from tests.support.gitrepo import GitRepo, isolate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

PACKAGE = str(ROOT / "sandboxer") + "/"
MOST_HOPS, MOST_FILES = 40, 25
DECORATOR = "wiring/once.py"  # it stands between a method and its caller
Function = tuple[str, str]  # file and name
MANIFESTS = """apiVersion: sandboxer.dev/v1
kind: Host
metadata: {name: here}
spec: {connection: local, root: %s}
---
apiVersion: sandboxer.dev/v1
kind: Profile
metadata: {name: profile.web}
spec: {extension: ext.compose-ssh}
---
apiVersion: sandboxer.dev/v1
kind: Sandbox
metadata: {name: web}
spec: {profile: profile.web, inputs: {repo: ., ref: HEAD}}
"""


@dataclass
class Trace:
    """The calls of a run, each the first time: caller and callee; a thread's first function has no caller."""

    calls: dict[tuple[Function | None, Function], None] = field(default_factory=dict)

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        callee = _function(frame) if event == "call" else None
        if callee is None or callee[0] == DECORATOR:
            return
        back = frame.f_back
        while back is not None and ((caller := _function(back)) is None or caller[0] == DECORATOR or caller == callee):
            back = back.f_back
        self.calls[_function(back) if back else None, callee] = None

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record what happens inside, in every thread."""
        former = sys.getprofile()
        threading.setprofile(self)
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(former)
            threading.setprofile(None)  # type: ignore[arg-type]

    def has(self, caller: Function, callee: Function) -> bool:
        """Return whether one function has called another, or has started it in a thread."""
        reached = any(function == caller for _, function in self.calls)
        return (caller, callee) in self.calls or (reached and (None, callee) in self.calls)


def _function(frame: FrameType) -> Function | None:
    """Return the function that a frame runs; a function inside another is part of that one.

    None for other packages, and for what runs at an import: the body of a module or a class.
    """
    code = frame.f_code
    name = code.co_qualname.partition(".<locals>")[0]
    if not (code.co_flags & inspect.CO_OPTIMIZED and code.co_filename.startswith(PACKAGE)) or name.startswith("<"):
        return None
    return code.co_filename.removeprefix(PACKAGE), name


@dataclass(frozen=True)
class Hop:
    caller: str
    callee: Function


def listed(command: str) -> list[Hop]:
    """Return the hops that the page lists for a command."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    head, _, rest = page.partition(f"`sandboxer {command}`, ")[2].partition("\n\n")
    rows = re.findall(r"^\| (\d+) \| `(.+?)` \| `(.+?)` \| `(.+?)` \|", rest.partition("\n\n")[0], re.MULTILINE)
    found = [Hop(caller, (file, callee)) for _, caller, callee, file in rows]
    assert [int(number) for number, *_ in rows] == [*range(1, len(found) + 1)]
    assert head == f"{len(found)} hops through {len({hop.callee[0] for hop in found})} files:"
    return found


def left_out() -> set[str]:
    """Return the calls into other rows that the page names and does not count."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    names = re.findall(r"`([\w.]+)`", page.partition("some calls into other rows:")[2].partition("A unit test")[0])
    assert len(names) == len(set(names))
    return set(names)


def row(function: Function) -> str:
    """Return the row of a function: its folder, or its module at the top."""
    return function[0].partition("/")[0]


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> GitRepo:
    isolate(monkeypatch, tmp_path)
    repo = GitRepo.create(tmp_path / "fleet")
    repo.commit(
        {
            "sandboxer.yaml": "apiVersion: sandboxer.dev/v1\nkind: Fleet\nmetadata: {name: acme}\n",
            "manifests/web.yaml": MANIFESTS % (tmp_path / "root"),
            "compose.yaml": "services: {web: {image: busybox}}\n",
        }
    )
    return repo


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_the_hops_of_the_page_are_those_of_a_run(fleet: GitRepo, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """The backend's answers are replaced: there need be no engine, and nothing is created."""
    engine = EngineObservation("docker")
    host = Reachable("here", datetime.now(UTC), "boot", 10**12, 4.0, 2**33, "docker", {"docker": engine}, {})
    read = observation.read_observation
    monkeypatch.setattr(observation, "read_observation", lambda *given: (read(*given), host)[1])
    monkeypatch.setattr(provision, "provision", lambda *_, **__: None)
    trace = Trace()
    with trace.recorded():
        assert run(["-C", str(fleet.path), command, *(["--yes"] if command == "apply" else [])]) == 0
    hops = listed(command)
    known = {("cli/main.py", "run")}
    for hop in hops:
        callers = [function for function in known if function[1] == hop.caller]
        assert callers, f"{hop.caller} is reached by no earlier hop"
        assert any(trace.has(caller, hop.callee) for caller in callers), f"{hop.caller} does not call {hop.callee}"
        known.add(hop.callee)
    unlisted = {
        f"{caller[1]} -> {callee[1]}"
        for caller, callee in trace.calls
        if caller in known and callee not in known and row(callee) not in (row(caller), "model", "errors.py")
        if callee[1] not in left_out()
    }
    assert unlisted == set()
    assert len(hops) <= MOST_HOPS
    assert len({hop.callee[0] for hop in hops}) <= MOST_FILES


def test_the_trace_is_of_this_package() -> None:
    assert sandboxer.__file__ == f"{PACKAGE}__init__.py"
