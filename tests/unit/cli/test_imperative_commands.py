"""The imperative commands before any host is contacted: which sandboxes are meant, and the requester."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.client import SandboxFilter
from tests.support import handles
from tests.support.program import run
from tests.support.silent import silent_fleet

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxer.model.handle import Handle

MINE = "alice@ci-7"


def handle(**given: Any) -> Handle:
    return handles.handle(**{"labels": {"team": "a", "stage": "test"}, "requested_by": MINE, **given})


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (SandboxFilter(), True),
        (SandboxFilter(hosts=["lab-2", "lab-1"], phases=["ready"], labels={"team": "a"}), True),
        (SandboxFilter(hosts=["lab-2"]), False),
        (SandboxFilter(phases=["failed", "expired"]), False),
        (SandboxFilter(labels={"team": "a", "stage": "live"}), False),
        (SandboxFilter(by=MINE), True),
        (SandboxFilter(by="alice@laptop"), False),
    ],
)
def test_only_requested_values_are_used(wanted: SandboxFilter, taken: bool) -> None:
    assert wanted.takes(handle()) is taken


def test_none_of_gits_is_anybodys() -> None:
    gits = handle(origin="git")
    assert SandboxFilter().takes(gits)
    assert not SandboxFilter(imperative=True).takes(gits)
    assert not SandboxFilter(by=MINE).takes(gits)
    assert not SandboxFilter(by=MINE).takes(handle(requested_by=None))


@pytest.mark.parametrize("words", [[], ["--mine"], ["web", "--all"], ["web", "--mine"]])
def test_destroy_wants_to_know_which(words: list[str]) -> None:
    done = run("destroy", *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no sandboxes specified" in done.stderr
    assert "--all" in done.stderr


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
    silent_fleet(tmp_path / "fleet")
    for words in (["list", "-o", "name"], ["destroy", "--all", "-y"]):
        done = run("-C", tmp_path / "fleet", *words)
        assert done.returncode == 1
        assert "Warning: silent did not answer: " in done.stderr
