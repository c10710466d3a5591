"""A fleet that was given another name: what it left under the old one is not made a second time unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.adapters.git import FleetRepository
from sandboxer.errors.remedy import RemedyCode, remedy_of
from sandboxer.lifecycle.revisions import renamed_from
from sandboxer.reconcile.planner import Options, plan
from tests.support.gitrepo import GitRepo
from tests.support.planning import NOW, fleet_of, observations_of

if TYPE_CHECKING:
    from pathlib import Path

FLEET = "apiVersion: sandboxer.dev/v1\nkind: Fleet\nmetadata: {name: %s}\n"


def _left(found: dict[str, Any], *once: str) -> list[tuple[str, str]]:
    case = {"hosts": {"lab-1": {}, "lab-2": {}}, "sandboxes": {"web": {}}, "found": found}
    request: list[str] = []

    def had_name(name: str) -> bool:
        request.append(name)
        return name in once

    left = list(renamed_from(observations_of(case), had_name))
    assert len(request) == len(set(request)), "each name is queried once"
    return left


def test_a_former_name_is_reported_with_its_host() -> None:
    found = {host: {"directories": ["old", "theirs", "acme/odd", ".x"]} for host in ("lab-1", "lab-2")}
    assert _left(found, "old") == [("lab-1", "old"), ("lab-2", "old")]
    assert _left(found, "theirs") == [("lab-1", "theirs"), ("lab-2", "theirs")]
    assert _left(found) == []


def test_once_there_is_a_sandbox_of_the_new_name_the_old_one_is_left_alone() -> None:
    assert _left({"lab-1": {"directories": ["old"]}, "lab-2": {"copies": ["web"]}}, "old") == []


def test_the_guard_stops_creates_alone_and_names_the_flag() -> None:
    case = {"sandboxes": {"web": {}, "shop": {}}, "found": {"lab-1": {"directories": ["old"]}}}
    fleet, observations = fleet_of(case), observations_of(case)
    decided = plan(fleet, observations, NOW, Options(renamed=frozenset({("lab-1", "old"), ("lab-2", "old")})))
    assert {change.reason.value for change in decided.changes} == {"blocked_because_guard"}
    message = decided.changes[0].message
    assert "called old before" in message
    assert "on lab-1 and 1 more" in message
    assert decided.changes[0].remedy == remedy_of(RemedyCode.ALLOW_RENAME, fleet="old")
    assert all(change.acts for change in plan(fleet, observations, NOW, Options()).changes)


@pytest.mark.parametrize(
    "line", [FLEET % "old.name", 'metadata:\n  name: "old.name"\n', "metadata: {name: old.name, labels: {}}\n"]
)
def test_git_knows_the_names_that_a_fleet_had(tmp_path: Path, line: str) -> None:
    repo = GitRepo.create(tmp_path / "fleet")
    repo.commit({"fleet/sandboxer.yaml": line})
    repo.commit({"fleet/sandboxer.yaml": FLEET % "new"})
    head = repo.commit({"fleet/other.txt": "name: elsewhere\n"})
    repository = FleetRepository(tmp_path / "fleet/fleet")
    assert repository.had_name("old.name", head)
    for never in ("old", "name", "oldxname", "old.name2", "elsewhere"):
        assert not repository.had_name(never, head)
    assert not repository.had_name("old.name", None)


def test_without_a_repository_there_was_no_other_name(tmp_path: Path) -> None:
    (tmp_path / "sandboxer.yaml").write_text(FLEET % "acme")
    assert not FleetRepository(tmp_path).had_name("acme", "0" * 40)
