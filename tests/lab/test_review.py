"""The review of a plan: what it shows of each change of ``review_changes``, and that the apply does just that.

The whole plans, as text and as Markdown, are in ``tests/cases/review``. ``SANDBOXER_UPDATE_CASES=1`` writes them; read
the diff. The changes are made one after the other to one sandbox, so each plan shows one change alone.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.lab.review_changes import CHANGES, OTHER_IMAGE, Shop
from tests.support.cases import CASES, compare
from tests.support.gitrepo import GitRepo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab

# The commit of the fleet has the keys of the lab's hosts, so it is another one in each lab.
_FLEET_COMMIT = re.compile(r"(?<= at commit )[0-9a-f]{12}|(?<= at `)[0-9a-f]{12}(?=`$)", re.MULTILINE)


def _shown(text: str) -> str:
    return _FLEET_COMMIT.sub("0" * 12, text)


def _containers(fleet: FleetRepo) -> dict[str, set[str]]:
    """Return the IDs of the containers of each service."""
    found: dict[str, set[str]] = {}
    for container in fleet.containers("lab-1", "shop").values():
        service = container["Config"]["Labels"]["com.docker.compose.service"]
        found.setdefault(service, set()).add(container["Id"])
    return found


def test_a_plan_shows_what_a_reviewer_needs_and_the_apply_does_that(
    new_fleet: Callable[..., FleetRepo], lab: Lab, tmp_path: Path
) -> None:
    fleet = new_fleet("lab-1", name="t-review", secrets={"allow": ["env:DB_PASSWORD"]})
    lab.load_image("lab-1", OTHER_IMAGE, {"other": "yes"})
    shop = Shop.begin(fleet, GitRepo.create(tmp_path / "shop"))
    fleet.env["DB_PASSWORD"] = shop.secret
    fleet.apply()
    wrong = {}
    saved = tmp_path / "plan.json"
    for name, change in CHANGES.items():
        change(shop)
        fleet.env["DB_PASSWORD"] = shop.secret
        before = _containers(fleet)
        compare(f"review/{name}.txt", _shown(fleet.run("plan", "--out", str(saved))))
        compare(f"review/{name}.md", _shown(fleet.run("show", str(saved), "-o", "markdown")))
        expected = json.loads(saved.read_text())["changes"][0].get("expected", {"services": []})
        fleet.apply()
        after = _containers(fleet)
        recreated = {service for service in before.keys() & after.keys() if not before[service] & after[service]}
        named = {one["service"] for one in expected["services"] if one["action"] == "recreate"}
        if named != recreated and not expected.get("unknown"):
            wrong[name] = f"the plan names {sorted(named)}, the apply recreated {sorted(recreated)}"
    assert wrong == {"secret": "the plan names [], the apply recreated ['db']"}  # a plan reads no secret
    fleet.assert_synced()
    everything = "".join(path.read_text() for path in (CASES / "review").iterdir())
    assert "sensitive-value" not in everything
    assert "secret-value" not in everything


def test_each_plan_is_of_a_change_that_is_made() -> None:
    assert len(CHANGES) >= 30
    assert {path.stem for path in (CASES / "review").iterdir()} == set(CHANGES)
