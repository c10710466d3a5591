"""What a plan and an apply say in short: the summary of outcomes, and a plan with nothing to do."""

from __future__ import annotations

from sandboxer.model.lifecycle import Reason
from sandboxer.model.outcome import Outcome
from sandboxer.reconcile.planner import Options, plan
from sandboxer.render.live import apply_summary
from sandboxer.render.plan_markdown import plan_markdown
from sandboxer.render.plan_text import plan_text
from tests.support.cases import piped
from tests.support.planning import NOW, fleet_of, observations_of
from tests.support.plans import change


def test_what_failed_for_the_same_reason_is_one_entry_of_a_summary() -> None:
    failed = [
        Outcome(change(name, Reason.UPDATE_CHANGED, host="lab-3"), error="the connection broke") for name in "abc"
    ]
    text = piped(apply_summary(failed, 1))
    assert text.startswith("a, b, c on lab-3: failed\n    the connection broke\n")
    assert "3 failed" in text


def test_a_prune_that_deletes_none_of_four_sandboxes_does_not_say_that_there_are_none() -> None:
    names = ("a", "b", "c", "d")
    case = {"sandboxes": {name: {} for name in names}, "found": {"lab-1": {"copies": list(names)}}}
    fleet = fleet_of(case)
    decided = plan(fleet, observations_of(case, fleet), NOW, Options(only_deletes=True))
    assert piped(plan_text(decided)) == "No changes. There is nothing to delete.\n"
    assert "There are no sandboxes" not in plan_markdown(decided)
