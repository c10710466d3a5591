"""The lookup of sandboxes on the hosts: all of them, or one by its name or id."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from sandboxer.errors import HostNotObserved, SandboxNotFound
from sandboxer.model.identity import sandbox_id
from sandboxer.wiring.lookup import find, ids_of, located_sandboxes
from tests.unit.wiring.fleets import observations_of, planned_of

if TYPE_CHECKING:
    from sandboxer.model.observed import Reachable

MINE = {"name": "mine", "origin": "api"}


def test_every_sandbox_on_a_host_is_located_with_its_desired_state() -> None:
    located = list(located_sandboxes(planned_of({"lab-1": ["web"], "lab-2": [MINE]}, down="lab-3")))
    assert [(one.change.sandbox, one.observed.host) for one in located] == [("web", "lab-1"), ("mine", "lab-2")]
    assert [one.desired.name if one.desired else None for one in located] == ["web", None]


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_sandbox_is_found_by_its_name_and_by_its_id(by: str) -> None:
    planned = planned_of({"lab-1": ["web", MINE]})
    names = {"name": "mine", "id": next(one.change.id for one in located_sandboxes(planned) if one.desired is None)}
    (found,) = find(planned, names[by])
    assert found.change.sandbox == "mine"


def test_the_home_comes_before_the_copies_to_delete() -> None:
    found = find(planned_of({"lab-1": ["web"], "lab-2": ["web"]}), "web")
    assert [one.stray for one in found] == [False, True]
    assert {one.observed.host for one in found} == {"lab-1", "lab-2"}


def test_what_may_be_on_a_host_that_did_not_answer_is_not_absent() -> None:
    with pytest.raises(SandboxNotFound):
        find(planned_of({"lab-1": []}), "mine")
    with pytest.raises(HostNotObserved, match="lab-2"):
        find(planned_of({"lab-1": []}, down="lab-2"), "mine")
    assert find(planned_of({"lab-1": [MINE]}, down="lab-2"), "mine")


@pytest.mark.parametrize(
    ("extension", "error"), [("ext.compose-ssh", HostNotObserved), ("ext.dir-ssh", SandboxNotFound)]
)
def test_an_idle_engine_counts_if_a_profile_names_its_extension(extension: str, error: type[Exception]) -> None:
    """A requested sandbox may be on it whose record is lost; the plan counts only what is in git or on record."""
    planned = planned_of({"lab-1": []})
    observations = planned.observations
    idle = {"ext.compose-ssh": "docker does not answer: exit code 1"}
    by_host = {"lab-1": replace(cast("Reachable", observations.by_host["lab-1"]), absence_errors=idle)}
    fleet = replace(observations.fleet, sandboxes={}, extensions=frozenset({extension}))
    planned = replace(planned, observations=replace(observations, fleet=fleet, by_host=by_host))
    with pytest.raises(error):
        find(planned, "mine")


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(SandboxNotFound) as caught:
        find(planned_of({"lab-1": [MINE]}), "mien")
    assert "mine" in caught.value.hint


def test_a_name_stands_for_gits_id_and_for_that_of_each_record_with_it() -> None:
    observations = observations_of({"lab-1": ["web", {**MINE, "record": {"name": "renamed"}}]})
    of_git = sandbox_id("acme", "web")
    assert ids_of(observations, "web") == ids_of(observations, of_git) == {of_git}
    assert ids_of(observations, "renamed") == {sandbox_id("acme", "mine"), sandbox_id("acme", "renamed")}
