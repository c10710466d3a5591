"""Secrets are not compared in a plan, which says so; an apply says what it did about those that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.model.lifecycle import Action
from sandboxer.model.outcome import ChangedSecrets, Outcome
from sandboxer.reconcile.planner import plan
from sandboxer.render.plan_markdown import plan_markdown
from sandboxer.render.plan_text import plan_text
from sandboxer.render.secrets import secrets_text
from sandboxer.wiring.changed_secrets import changed_secrets
from sandboxer.wiring.observations import FleetObservations
from sandboxer.wiring.planning import Planned
from tests.support.cases import piped
from tests.support.planning import NOW, fleet_of, observations_of

if TYPE_CHECKING:
    from sandboxer.model.plan import Plan

SECRETS = [{"name": "DB", "from": "env:DB"}, {"name": "MAIL", "from": "env:MAIL"}]
APPLIED = {"DB": "before", "MAIL": "same"}
LINE = "Secrets are not compared: a plan reads none. An apply compares those of 1 sandbox."


def case(values: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "sandboxes": {"web": {"secretRefs": SECRETS, **spec}, "plain": {}},
        "secrets": values,
        "found": {"lab-1": {"copies": [{"name": "web", "spec": {"ttl": "4h"}, "secrets": APPLIED}, "plain"]}},
    }


def planned(values: dict[str, Any], *, read: dict[str, Any] | None = None, **spec: Any) -> Planned:
    """Return a plan made with some values; with ``read``, for an apply that reads these only then."""
    fleet, by_host = fleet_of(case(values, **spec)), observations_of(case(values, **spec))
    made = Planned(plan(fleet, by_host, NOW), FleetObservations(fleet, by_host))
    return made.of_fleet(fleet_of(case(read, **spec))) if read else made


UNREAD = dict.fromkeys(APPLIED)
NEW = {"DB": "after", "MAIL": "same"}


def done(of: Planned, error: str = "") -> list[Outcome]:
    return [Outcome(change, error) for change in of.plan.changes if change.acts]


def test_a_saved_plan_without_a_change_leaves_a_changed_secret_and_the_apply_says_so() -> None:
    saved = planned(UNREAD, read=NEW, ttl="4h")
    assert not saved.plan.differences
    (found,) = changed_secrets(saved, [])
    assert (found.sandbox, found.host, found.names, found.applied) == ("web", "lab-1", ("DB",), False)
    text = piped(secrets_text([found], saved=True))
    assert "web on lab-1: DB: not applied (no_op_because_synced)" in text
    assert "hint: a saved plan applies no other changes than its own: run `sandboxer apply` to apply these" in text


def test_a_changed_secret_comes_with_another_change_and_the_apply_says_so() -> None:
    saved = planned(UNREAD, read=NEW, ttl="8h")
    (found,) = changed_secrets(saved, done(saved))
    assert found.applied
    assert piped(secrets_text([found], saved=True)) == "Changed secrets\n  web on lab-1: DB: applied\n"


@pytest.mark.parametrize("outcome", ["failed", "none"])
def test_what_failed_or_was_not_begun_applied_nothing(outcome: str) -> None:
    decided = planned(NEW, ttl="4h")
    assert decided.plan.summary[Action.UPDATE] == 1
    (found,) = changed_secrets(decided, done(decided, "no") if outcome == "failed" else [])
    assert (found.names, found.applied) == (("DB",), False)


@pytest.mark.parametrize("values", [APPLIED, UNREAD, {"DB": "before"}])
def test_what_did_not_change_or_is_not_known_is_not_listed(values: dict[str, Any]) -> None:
    decided = planned(values, ttl="4h")
    assert changed_secrets(decided, []) == []


def test_only_so_many_sandboxes_are_listed() -> None:
    many = [ChangedSecrets(f"web-{at}", "", "lab-1", ("A", "B"), applied=True, reason="") for at in range(25)]
    assert "and 5 more sandboxes" in piped(secrets_text(many, saved=False))


# --- the plan


def faces(decided: Plan) -> list[str]:
    return [piped(plan_text(decided)), plan_markdown(decided)]


def test_a_plan_says_once_that_it_does_not_compare_secrets() -> None:
    decided = planned(UNREAD, ttl="4h").plan
    assert decided.secrets_not_compared == ("web",)
    assert decided.to_json()["secrets_not_compared"] == ["web"]
    for text in faces(decided):
        assert text.count(LINE) == 1
    assert (
        "only the record is written: no container is touched, unless a secret changed"
        in faces(planned(UNREAD, ttl="8h").plan)[0]
    )


@pytest.mark.parametrize("values", [APPLIED, NEW])
def test_a_plan_that_reads_them_for_an_apply_does_not_say_that(values: dict[str, Any]) -> None:
    decided = planned(values, ttl="8h").plan
    assert "secrets_not_compared" not in decided.to_json()
    assert not [text for text in faces(decided) if "not compared" in text or "unless" in text]


def test_the_value_itself_is_no_part_of_what_an_apply_shows() -> None:
    text = faces(planned(NEW, ttl="4h").plan)[0]
    assert "spec.secrets.DB: its value changed" in text
    assert "hmac" not in text
