"""The selectors of a plan: globs and labels become names, and limit every change, deletes included."""

from __future__ import annotations

from typing import Any

import pytest

from sandboxer.errors import UnknownName
from sandboxer.model.selector import parse_selector
from sandboxer.reconcile.options import Options
from sandboxer.reconcile.planner import plan
from sandboxer.wiring.observations import FleetObservations
from sandboxer.wiring.planning import resolved
from tests.support.planning import NOW, fleet_of, observations_of

NAMES: dict[str, dict[str, str]] = {"web-1": {"team": "a"}, "web-2": {"team": "b"}, "db": {}}


def names(*given: str) -> frozenset[str]:
    return frozenset(given)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (["web-*"], ["web-1", "web-2"]),
        (["web-?", "db"], ["db", "web-1", "web-2"]),
        (["[dw]*-2"], ["web-2"]),
        (["*"], ["db", "web-1", "web-2"]),
        (["db"], ["db"]),
    ],
)
def test_globs_become_names(given: list[str], found: list[str]) -> None:
    options = Options(targets=frozenset(given), excluded=frozenset(given)).resolved(NAMES, ["lab-1"])
    assert options.targets == options.excluded == frozenset(found)


@pytest.mark.parametrize("selector", ["targets", "excluded"])
def test_a_glob_that_matches_nothing_is_an_error_with_a_suggestion(selector: str) -> None:
    with pytest.raises(UnknownName) as caught:
        Options(**{selector: names("wbe-*")}).resolved(NAMES, [])
    assert caught.value.selector == selector
    assert caught.value.message == "no sandbox in git or on the hosts matches `wbe-*`"
    assert "web-" in caught.value.hint


@pytest.mark.parametrize("field", ["replaced", "hosts"])
def test_no_glob_recreates_a_sandbox_or_names_a_host(field: str) -> None:
    with pytest.raises(UnknownName):
        Options(**{field: names("web-*")}).resolved(NAMES, ["web-host"])


def test_a_selector_becomes_the_names_with_such_labels() -> None:
    assert Options().resolved(NAMES, []).selected is None
    for text, found in (("team", ["web-1", "web-2"]), ("team=b", ["web-2"]), ("!team", ["db"]), ("team=c", [])):
        assert Options(selector=parse_selector(text)).resolved(NAMES, []).selected == frozenset(found), text


CASE: dict[str, Any] = {
    "sandboxes": {"web": {"labels": {"team": "b"}}, "new": {"labels": {"team": "a"}}},
    "found": {
        "lab-1": {
            "copies": [
                {"name": "web", "spec": {"labels": {"team": "a"}}},
                {"name": "gone", "spec": {"labels": {"team": "a"}}},
                {"name": "mine", "origin": "api", "spec": {"labels": {"team": "b"}}},
            ]
        }
    },
}


@pytest.mark.parametrize(
    ("text", "planned"),
    [
        ("team=a", ["create new", "delete gone"]),
        ("team=b", ["update web", "imperative mine"]),
        ("team=c", []),
    ],
)
def test_a_selector_limits_a_plan_by_gits_labels_and_an_orphan_by_its_records(text: str, planned: list[str]) -> None:
    fleet = fleet_of(CASE)
    observations = FleetObservations(fleet, observations_of(CASE, fleet))
    options = resolved(Options(selector=parse_selector(text)), observations)
    decided = plan(fleet, observations.by_host, NOW, options)
    found = [f"{change.action} {change.sandbox}" for change in decided.changes]
    assert sorted([*found, *(f"imperative {one.sandbox}" for one in decided.imperative)]) == sorted(planned)
