"""A saved plan that is shown again reads as the plan did, whoever wrote the file."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sandboxer.errors import PlanRefused
from sandboxer.errors.diagnostic import Diagnostic, Location
from sandboxer.errors.remedy import RemedyCode, remedy_of
from sandboxer.model.input_change import FileChange, InputChange
from sandboxer.model.lifecycle import Reason
from sandboxer.model.plan import EnvValues, FieldChange, HostSummary, Plan
from sandboxer.model.plan_reading import plan_of_json
from sandboxer.model.service_operation import ExpectedServices, ServiceOperation
from sandboxer.render.plan_markdown import plan_markdown
from sandboxer.render.plan_text import plan_text
from sandboxer.render.remedies import from_json, in_json
from tests.support.cases import on_terminal, piped
from tests.support.planning import plan_of
from tests.support.plans import change
from tests.support.plans import plan_of as plan_with
from tests.unit.reconcile.test_planner_cases import THEMES, situations

CASES = [(f"{theme}: {given['case']}", given) for theme in THEMES for given in situations(theme)]


def again(plan: Plan) -> Plan:
    """Return the plan as it comes out of a file."""
    return plan_of_json(json.loads(json.dumps(plan.to_json(in_json))), from_json)


@pytest.mark.parametrize("given", [given for _, given in CASES], ids=[name for name, _ in CASES])
def test_every_plan_reads_as_it_did(given: dict[str, Any]) -> None:
    plan = plan_of(given)
    for show_all in (False, True):
        assert piped(plan_text(again(plan), show_all=show_all)) == piped(plan_text(plan, show_all=show_all))
    assert plan_markdown(again(plan)) == plan_markdown(plan)


def test_what_a_plan_for_review_adds_is_shown_too() -> None:
    files = (FileChange("M", "a", 3, 1), FileChange("R", "c", None, None, ("100644", "100755"), "b"))
    given = InputChange("../shop", "main", "a" * 40, "b" * 40, 2, 0, ("one",), files, 2, diff=("-a", "+b"))
    env = FieldChange("spec.env.LEVEL", "hmac:1", "hmac:2", EnvValues("info", None, "gone from git", "fetch it"))
    expected = ExpectedServices((ServiceOperation("web", "recreate", "files", ("a",)),), exact=True)
    found = Diagnostic("error", "unknown-key", "unknown key `a`", Location("compose.yaml", 3, 5), "remove it", repo="x")
    one = change("web", Reason.UPDATE_CHANGED, pending=[env], input=given, expected=expected, diagnostics=(found,))
    plan = replace(plan_with(one), hosts=(HostSummary("lab-1", "unreachable", "no route"),))
    assert again(plan).changes[0].input == given
    assert piped(plan_text(again(plan))) == piped(plan_text(plan))


def test_nothing_in_it_reaches_a_terminal_raw() -> None:
    evil = "\x1b[2Jx\x07\u202e\r\n::add-mask::"
    remedy = remedy_of(RemedyCode.REPLACE, sandbox=evil)
    fields = [FieldChange(evil, evil, evil), FieldChange(f"spec.env.{evil}", 1, None)]
    one = change(
        "web", Reason.REPLACE_CHANGED, message=evil, pending=fields, drift=fields, volumes=(evil,), remedy=remedy
    )
    one = replace(one, sandbox=evil, host=evil, from_host=evil)
    hosts = (HostSummary(evil, "unknown", evil),)
    plan = replace(plan_with(one), fleet=evil, commit=evil, hosts=hosts)
    shown = on_terminal(plan_text(again(plan), show_all=True), 200) + plan_markdown(again(plan))
    assert not {"\x1b[2J", "\x07", "\u202e", "\r"} & set(shown)
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        (("fleet",), None, "fleet"),
        (("changes",), {}, "changes"),
        (("changes", 0, "action"), "explode", "changes.0.action"),
        (("changes", 0, "id"), "\x1b[2J", "changes.0.id"),
        (("changes", 0, "pending"), [{"path": 1, "old": 1, "new": 2}], "changes.0.pending.0.path"),
        (("changes", 0, "remedy"), {"code": "replace", "values": {"sandbox": []}}, "changes.0.remedy.values.sandbox"),
        (("hosts", 0, "status"), "fine", "hosts.0.status"),
        (("unmanaged",), [{"host": "a", "kind": "b", "name": "c"}], "unmanaged.0.kind"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_key(path: tuple[Any, ...], value: Any, key: str) -> None:
    content: Any = json.loads(json.dumps(plan_with(change("web", Reason.CREATE_ABSENT)).to_json(in_json)))
    content["hosts"] = [{"name": "lab-1", "status": "reachable", "error": None}]
    part = content
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    with pytest.raises(PlanRefused) as caught:
        plan_of_json(content, from_json)
    assert caught.value.message.startswith(f"{key}: ")


@pytest.mark.parametrize("remedy", [{"code": "newer", "values": {}}, {"code": "forget_host", "values": {}}])
def test_a_remedy_that_is_not_understood_leaves_its_message_whole(remedy: dict[str, Any]) -> None:
    content: Any = plan_with(change("web", Reason.BLOCKED_UNREACHABLE, message="no: use it")).to_json(in_json)
    content["changes"][0]["remedy"] = remedy
    plan = plan_of_json(content, from_json)
    assert plan.changes[0].message == "no: use it"
    assert "no: use it" in piped(plan_text(plan))
