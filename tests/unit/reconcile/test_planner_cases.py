"""The planner, by its whole printed plans: the situations under ``tests/cases/plan``, a file a theme.

``SANDBOXER_UPDATE_CASES=1`` writes the expected texts anew; read the diff.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandboxer.model.lifecycle import Action, Reason
from tests.support.planning import plan_of, printed

CASES = Path(__file__).parents[2] / "cases" / "plan"
THEMES = sorted(path.stem for path in CASES.glob("*.yaml"))


@cache
def situations(theme: str) -> list[dict[str, Any]]:
    given: list[dict[str, Any]] = yaml.safe_load((CASES / f"{theme}.yaml").read_text(encoding="utf-8"))
    return given


@pytest.mark.parametrize("theme", THEMES)
def test_each_situation_gives_exactly_its_plan(theme: str) -> None:
    text = "\n".join(f"# {given['case']}\n{printed(plan_of(given))}" for given in situations(theme))
    expected = CASES / f"{theme}.txt"
    if os.environ.get("SANDBOXER_UPDATE_CASES"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


def test_every_action_and_every_reason_that_a_plan_can_have_has_a_situation() -> None:
    changes = [change for theme in THEMES for given in situations(theme) for change in plan_of(given).changes]
    assert {change.action for change in changes} == set(Action)
    # Whether a lock is held is found out when it is taken, so no plan knows it; what is not in git, only `drift` tells.
    assert {change.reason for change in changes} == set(Reason) - {
        Reason.BLOCKED_LOCKED,
        Reason.NO_OP_NOT_IN_GIT,
        Reason.DELETE_REQUESTED,
    }


def test_a_reason_begins_with_its_action() -> None:
    changes = [change for theme in THEMES for given in situations(theme) for change in plan_of(given).changes]
    for change in changes:
        assert change.reason.startswith(change.action.replace("-", "_") + "_because_")
