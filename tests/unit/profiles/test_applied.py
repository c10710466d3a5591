"""A sandbox as applied: the profile and the variables that are on record, and files of another commit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandboxer.profiles.applied import NotAsAppliedError, as_applied, workspace_path
from tests.support.planning import fleet_of, record_of

CASE = {
    "profile": {"workspace": {"path": "app"}, "compose": {"files": ["e2e/compose.yaml"], "profiles": ["a"]}},
    "sandboxes": {"web": {"env": {"SAME": "1", "OTHER": "old", "GONE": "x"}}},
}
APPLIED = fleet_of(CASE).sandboxes["web"]
RECORD = record_of(APPLIED, "lab-1")
NEWER = {
    "profile": {"compose": {"files": ["compose.yaml"]}, "network": {"egress": "allow"}},
    "sandboxes": {"web": {"inputs": {"ref": "other"}, "env": {"SAME": "1", "OTHER": "new", "NEW": "x"}}},
}
DESIRED = fleet_of(NEWER).sandboxes["web"]


def test_it_has_the_profile_and_the_files_of_the_record() -> None:
    assert DESIRED.tree is not None
    assert APPLIED.tree is not None
    found = as_applied(RECORD, DESIRED, APPLIED.tree)
    assert found.tree == APPLIED.tree
    for part in ("compose", "network", "workspace", "resources", "reachability"):
        assert getattr(found.profile.spec, part) == getattr(APPLIED.profile.spec, part)
    assert workspace_path(RECORD) == "app"


def test_a_variable_has_its_value_only_where_that_is_known_to_be_the_applied_one() -> None:
    assert APPLIED.tree is not None
    found = as_applied(RECORD, DESIRED, APPLIED.tree).env
    assert found.keys() == {"SAME", "OTHER", "GONE"}
    assert found["SAME"].reveal() == "1"
    others = {found["OTHER"].reveal(), found["GONE"].reveal()}
    assert len(others) == 2
    assert not others & {"old", "new", "x", "1"}


def test_a_spec_that_is_no_profile_is_an_error() -> None:
    assert APPLIED.tree is not None
    record = RECORD.model_copy(update={"spec": {**RECORD.spec, "compose": {"files": 3}}})
    with pytest.raises(NotAsAppliedError, match="cannot read the spec on record"):
        as_applied(record, replace(DESIRED), APPLIED.tree)
