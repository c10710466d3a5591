"""What is left to do on a host once an apply is over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sandboxer.lifecycle.cleanup import PendingCleanup, pending_cleanups
from sandboxer.model.observed import Head, Reachable, Tombstone
from tests.support.planning import COMMIT, NOW, fleet_of, observations_of

ROOT = "/tmp/sandboxer"
CASE: dict[str, Any] = {"sandboxes": {"web": {}}}
DESIRED = fleet_of(CASE).sandboxes["web"].id
HEAD = Head(COMMIT, NOW)


def _unsettled(*, forget: bool = True, **fields: Any) -> list[PendingCleanup]:
    observation = observations_of(CASE)["lab-1"]
    assert isinstance(observation, Reachable)
    return pending_cleanups(fleet_of(CASE), {"lab-1": replace(observation, **{"head": HEAD, **fields})}, forget=forget)


def _tombstones(*identifiers: str) -> dict[str, Tombstone]:
    return {identifier: Tombstone(identifier, "sha256:00") for identifier in identifiers}


def test_where_all_is_done_no_host_is_contacted() -> None:
    assert _unsettled() == []
    assert _unsettled(tombstones=_tombstones(DESIRED)) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"leftovers": (".staging-00",)},
        {"leftovers": (".locks/0011aabb",)},
        {"head": None},
        {"head": replace(HEAD, commit="d" * 40)},
    ],
    ids=["staging", "lock", "no-head", "other-head"],
)
def test_leftovers_and_a_commit_that_is_not_noted_need_a_cleanup(fields: dict[str, Any]) -> None:
    assert _unsettled(**fields) == [PendingCleanup("lab-1", ROOT, "docker")]


def test_a_tombstone_goes_with_its_manifest_and_no_sooner() -> None:
    tombstones = _tombstones(DESIRED, "0011aabb")
    assert _unsettled(tombstones=tombstones) == [PendingCleanup("lab-1", ROOT, "docker", ("0011aabb",))]
    assert _unsettled(tombstones=tombstones, forget=False) == []


def test_a_file_that_only_resembles_a_tombstone_is_left_alone() -> None:
    assert _unsettled(tombstones=_tombstones("0011aabb 0011aabc", "x\n", "README", "0011AABB")) == []


def test_a_host_without_an_engine_is_cleaned_up_without_one() -> None:
    assert _unsettled(engine=None, head=None) == [PendingCleanup("lab-1", ROOT, "")]
