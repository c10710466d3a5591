"""The imperative commands before any host is contacted: which sandboxes are meant, and the requester."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.client import SandboxFilter
from tests.support import handles
from tests.support.program import run
from tests.support.typist import Typist
from tests.support.unreachable import unreachable_fleet

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxer.model.handle import Handle

MINE = "alice@ci-7"


def handle(**given: Any) -> Handle:
    return handles.handle(**{"labels": {"team": "a", "stage": "test"}, "requested_by": MINE, **given})


@pytest.mark.parametrize(
    ("selected", "taken"),
    [
        (SandboxFilter(), True),
        (SandboxFilter(hosts=["lab-2", "lab-1"], phases=["ready"], labels={"team": "a"}), True),
        (SandboxFilter(hosts=["lab-2"]), False),
        (SandboxFilter(phases=["failed", "expired"]), False),
        (SandboxFilter(labels={"team": "a", "stage": "live"}), False),
        (SandboxFilter(selector="team in (a,b),stage"), True),
        (SandboxFilter(selector="team=a,!stage"), False),
        (SandboxFilter(by=MINE), True),
        (SandboxFilter(by="alice@laptop"), False),
    ],
)
def test_only_requested_values_are_used(selected: SandboxFilter, taken: bool) -> None:
    assert selected.takes(handle()) is taken


def test_none_of_gits_is_anybodys() -> None:
    gits = handle(origin="git")
    assert SandboxFilter().takes(gits)
    assert not SandboxFilter(imperative=True).takes(gits)
    assert not SandboxFilter(by=MINE).takes(gits)
    assert not SandboxFilter(by=MINE).takes(handle(requested_by=None))


EXCLUSIVE = "names, --all and --without-record exclude each other"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no sandboxes specified"),
        (["-y"], "no sandboxes specified"),
        (["--mine"], "--mine restricts --all, which is missing"),
        (["web", "--mine"], "--mine restricts --all, which is missing"),
        (["web", "--all"], EXCLUSIVE),
        (["web", "--all", "--mine"], EXCLUSIVE),
        (["web", "--without-record", "1f2e3d4c"], EXCLUSIVE),
        (["--all", "--without-record", "1f2e3d4c"], EXCLUSIVE),
    ],
)
def test_destroy_wants_to_know_which(words: list[str], message: str) -> None:
    done = run("destroy", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert "specify names or IDs, --all [--mine], or --without-record ID" in done.stderr


# The program over a client that has found something, and writes to a file what it is to remove.
PROMPT = """
import pathlib, sys
from sandboxer.cli.main import run
from sandboxer.client import Client
from sandboxer.client.unrecorded import Unrecorded

found = [Unrecorded("1f2e3d4c", "lost", "lab-1", ["lost-web-1"], [], [], "", frozenset({"c1"}))]

def destroy(self, identifier, shown):
    pathlib.Path(sys.argv[1]).write_text(f"{identifier} {shown == found}")
    return shown

Client.unrecorded = lambda self, identifier: found
Client.destroy_unrecorded = destroy
sys.exit(run(["destroy", "--without-record", "1f2e3d4c"]))
"""


@pytest.mark.parametrize(
    ("answer", "code", "says", "removed"),
    [("n", 1, "Nothing was changed.", ""), ("", 1, "Nothing was changed.", ""), ("y", 0, "destroyed", "1f2e3d4c True")],
)
def test_what_is_removed_is_what_was_shown_and_confirmed(
    tmp_path: Path, answer: str, code: int, says: str, removed: str
) -> None:
    note = tmp_path / "removed"
    with Typist([sys.executable, "-c", PROMPT, str(note)], os.environ) as typist:
        typist.until("container lost-web-1")
        typist.until("Delete all of this?")
        typist.type(f"{answer}\r")
        typist.until(says)
        assert typist.end() == code
    assert (note.read_text() if note.exists() else "") == removed


def test_destroy_of_all_contacts_no_host_where_it_could_not_ask_for_confirmation() -> None:
    done = run("destroy", "--all", "--mine")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot ask for confirmation without a terminal" in done.stderr
    assert "-y" in done.stderr


def test_a_phase_that_is_none_is_refused_with_those_that_are() -> None:
    done = run("list", "--phase", "bogus")
    assert (done.returncode, done.stdout) == (1, "")
    assert "'bogus' is not one of 'requested', 'provisioning', 'ready', 'active'" in done.stderr


def test_a_list_that_may_lack_something_is_an_error(tmp_path: Path) -> None:
    unreachable_fleet(tmp_path / "fleet")
    for words in (["list", "-o", "name"], ["destroy", "--all", "-y"]):
        done = run("-C", tmp_path / "fleet", *words)
        assert done.returncode == 1
        assert 'Warning: host "offline" did not answer: ' in done.stderr
