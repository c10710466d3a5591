"""A saved plan with values of the environment: they are for people, and approve nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sandboxer.model.plan import EnvValues, variable_of
from sandboxer.model.saved_plan import checksum, parse_saved_plan, saved_bytes
from sandboxer.profiles.resolve import digest_of_manifests
from sandboxer.reconcile.approval import approval_of
from sandboxer.reconcile.options import Options
from tests.support.planning import fleet_of, manifests_of, plan_of
from tests.unit.reconcile.test_saved_plan import held, held_to, reasons, there, web, written

if TYPE_CHECKING:
    from sandboxer.model.plan import Change, Plan


def with_values(decided: Plan, old: str, new: str) -> Plan:
    """Return a plan as a machine shows it that could look up the values of the environment."""

    def shown(change: Change) -> Change:
        given = (replace(one, env=EnvValues(old, new)) if variable_of(one.path) else one for one in change.pending)
        return replace(change, pending=tuple(given))

    return replace(decided, changes=tuple(map(shown, decided.changes)))


ENVIRONMENT = there(web(spec={"env": {"A": "1"}}), sandboxes={"web": {"env": {"A": "2"}}})


@pytest.mark.parametrize("values", [("1", "2"), ("(unknown)", "2"), ("(sensitive)", "(sensitive)"), ("forged", "x")])
def test_values_of_the_environment_are_for_people_and_approve_nothing(values: tuple[str, str]) -> None:
    approval = approval_of(fleet_of(ENVIRONMENT), digest_of_manifests(manifests_of(ENVIRONMENT)), Options())
    saved = parse_saved_plan(saved_bytes(with_values(plan_of(ENVIRONMENT), *values), approval))
    assert reasons(held_to(saved, ENVIRONMENT)) == {"web": "update_because_changed"}


def test_an_applied_value_that_changed_since_is_not_as_approved() -> None:
    other = there(web(spec={"env": {"A": "3"}}), sandboxes={"web": {"env": {"A": "2"}}})
    assert reasons(held(ENVIRONMENT, other)) == {"web": "blocked_because_stale"}


def test_a_plan_of_a_former_release_with_digests_still_approves() -> None:
    content = {key: value for key, value in json.loads(written(ENVIRONMENT)).items() if key != "checksum"}
    (change,) = content["changes"]
    (field,) = [one for one in change["pending"] if one["path"] == "spec.env.A"]
    field |= {"old": "hmac:0a1b2c3d4e5f", "new": "hmac:5f4e3d2c1b0a"}
    saved = parse_saved_plan(json.dumps({**content, "checksum": checksum(content)}).encode())
    assert reasons(held_to(saved, ENVIRONMENT)) == {"web": "update_because_changed"}
