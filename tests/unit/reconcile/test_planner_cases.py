"""The planner, by its whole printed plans: the situations under ``tests/cases/plan``, a file a theme.

``SANDBOXER_UPDATE_CASES=1`` rewrites the expected texts; read the diff.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandboxer.model.lifecycle import Action, Reason
from tests.support.planning import plan_of

if TYPE_CHECKING:
    from sandboxer.errors.remedy import Remedy
    from sandboxer.model.plan import Change, Plan

CASES = Path(__file__).parents[2] / "cases" / "plan"
THEMES = sorted(path.stem for path in CASES.glob("*.yaml"))


@cache
def situations(theme: str) -> list[dict[str, Any]]:
    given: list[dict[str, Any]] = yaml.safe_load((CASES / f"{theme}.yaml").read_text(encoding="utf-8"))
    return given


@pytest.mark.parametrize("theme", THEMES)
def test_each_situation_has_exactly_its_plan(theme: str) -> None:
    text = "\n".join(f"# {given['case']}\n{printed(plan_of(given))}" for given in situations(theme))
    expected = CASES / f"{theme}.txt"
    if os.environ.get("SANDBOXER_UPDATE_CASES"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


def test_every_action_and_every_reason_that_a_plan_can_have_has_a_situation() -> None:
    changes = [change for theme in THEMES for given in situations(theme) for change in plan_of(given).changes]
    assert {change.action for change in changes} == set(Action)
    # Whether a lock is held is found out when it is taken; only `drift` reports what is not in git.
    assert {change.reason for change in changes} == set(Reason) - {
        Reason.BLOCKED_LOCKED,
        Reason.NO_OP_NOT_IN_GIT,
        Reason.DELETE_REQUESTED,
    }


def test_a_reason_begins_with_its_action() -> None:
    changes = [change for theme in THEMES for given in situations(theme) for change in plan_of(given).changes]
    for change in changes:
        assert change.reason.startswith(change.action.replace("-", "_") + "_because_")


# --- the text of a plan


def printed(decided: Plan) -> str:
    """Return a whole plan as compact text; of a create's fields only their number, and no fingerprints."""
    lines: list[str] = []
    for host in decided.hosts:
        lines += [f"host {host.name}: {host.status}{f', {host.error}' if host.error else ''}", *_remedy(host.remedy)]
    for change in decided.changes:
        lines += _printed(change)
    for change in decided.imperative:
        lines += ["imperative " + line if not line.startswith(" ") else line for line in _printed(change)]
    lines += [f"unmanaged on {thing.host}: {thing.kind} {thing.name}" for thing in decided.unmanaged]
    for warning in decided.warnings:
        lines += [f"warning: {warning.message}", *_remedy(warning.remedy)]
    counts = ", ".join(f"{action.value} {count}" for action, count in decided.summary.items() if count)
    done = "complete" if decided.complete else "incomplete"
    lines.append(f"{done}, {'differences' if decided.differences else 'no differences'}: {counts or 'nothing'}")
    return "\n".join(lines) + "\n"


def _printed(change: Change) -> list[str]:
    move = f"{change.from_host} to " if change.from_host else ""
    lines = [f"{change.sandbox} on {move}{change.host or 'no host'}: {change.action.value} {change.reason.value}"]
    lines += [f"  {change.sync.value}, {change.health.value}: {change.message}", *_remedy(change.remedy)]
    if change.action == "create":
        lines.append(f"  pending {len(change.pending)} fields")
    else:
        lines += [f"  pending {field.path}: {field.old} -> {field.new}" for field in change.pending]
    lines += [f"  drift {field.path}: {field.old} -> {field.new}" for field in change.drift]
    lines += [f"  finding {found}" for found in change.diagnostics]
    return lines + [f"  destroys volume {volume}" for volume in change.volumes]


def _remedy(remedy: Remedy | None) -> list[str]:
    return [f"  remedy {' '.join((remedy.code, *(value for _, value in remedy.values)))}"] if remedy else []
