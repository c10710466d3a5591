"""Which hosts have a newer commit: by ancestry, or by time where that is unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from sandboxer.lifecycle.revisions import newer_on_hosts
from sandboxer.model.observed import Head, Reachable, Unreachable
from tests.support.planning import COMMIT, NOW, fleet_of, observations_of

HOUR = timedelta(hours=1)
CASE = {"hosts": {"lab-1": {}, "lab-2": {}}}


def noted(commit: str, after: timedelta = HOUR) -> dict[str, Reachable | Unreachable]:
    """Look at two hosts on which one commit was applied, and at one that did not answer."""
    found: dict[str, Reachable | Unreachable] = {"lab-3": Unreachable("lab-3", "no answer")}
    for name, observation in observations_of(CASE).items():
        assert isinstance(observation, Reachable)
        found[name] = replace(observation, head=Head(commit, NOW + after))
    return found


@pytest.mark.parametrize(
    ("ancestor", "after", "hosts"),
    [(True, -HOUR, {"lab-1", "lab-2"}), (False, HOUR, set()), (None, HOUR, {"lab-1", "lab-2"}), (None, -HOUR, set())],
)
def test_ancestry_counts_before_time(ancestor: bool | None, after: timedelta, hosts: set[str]) -> None:
    assert set(newer_on_hosts(fleet_of(CASE), noted("d" * 40, after), lambda _older, _newer: ancestor)) == hosts


def test_git_is_queried_once_for_a_commit_and_not_for_the_current_one() -> None:
    request: list[tuple[str, str]] = []

    def is_ancestor(older: str, newer: str) -> bool:
        request.append((older, newer))
        return True

    assert set(newer_on_hosts(fleet_of(CASE), noted(COMMIT), is_ancestor)) == set()
    assert set(newer_on_hosts(fleet_of(CASE), noted("d" * 40), is_ancestor)) == {"lab-1", "lab-2"}
    assert request == [(COMMIT, "d" * 40)]
    assert set(newer_on_hosts(fleet_of({**CASE, "git": {"commit": None}}), noted("d" * 40), is_ancestor)) == set()
