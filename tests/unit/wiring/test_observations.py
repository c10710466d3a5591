"""The observations of a fleet's hosts, for finding single sandboxes."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.wiring.fleets import observations_of

MINE = {"name": "mine", "origin": "api"}


def test_a_sandbox_is_found_on_the_host_that_has_it_and_on_no_other() -> None:
    observations = observations_of({"lab-1": ["web"], "lab-2": [MINE]}, down="lab-3")
    web = observations.fleet.sandboxes["web"].id
    found = observations.sandbox("lab-1", web)
    assert found is not None
    assert (found.name, found.host) == ("web", "lab-1")
    assert [observations.sandbox(host, web) for host in ("lab-2", "lab-3", "elsewhere")] == [None] * 3


def test_what_a_host_has_is_sorted_once() -> None:
    observations = observations_of({"lab-1": ["web", MINE]})
    web = observations.fleet.sandboxes["web"].id
    assert observations.sandbox("lab-1", web) is observations.sandbox("lab-1", web)


def test_the_hosts_that_answered_and_those_that_did_not() -> None:
    observations = observations_of({"lab-2": [], "lab-1": []}, down="lab-3")
    assert observations.answering() == ["lab-1", "lab-2"]
    assert observations.unreachable() == {"lab-3": "timed out"}


def test_a_host_that_git_does_not_have_any_more_has_no_sandbox() -> None:
    observations = observations_of({"lab-1": ["web"]})
    without = replace(observations, fleet=replace(observations.fleet, hosts={}))
    assert without.sandbox("lab-1", observations.fleet.sandboxes["web"].id) is None
