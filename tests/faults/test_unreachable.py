"""A host that cannot be reached blocks its own, keeps nobody else from converging, and converges once it is back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import picture
from tests.faults.matrix import size
from tests.faults.relay import Relay
from tests.support.e2e import FleetRepo, service, stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.matrix import Row
    from tests.faults.picture import Picture
    from tests.faults.relay import CutMode
    from tests.lab import Lab
    from tests.lab.lab import Cut
    from tests.support.e2e import Result

pytestmark = [
    pytest.mark.lab,
    pytest.mark.fault(
        "host unreachable at plan; at apply; returns later", "Unknown, exit 1, others go on; converges later"
    ),
]

CHANGED = stack(a=service("sleep", "8888"))


@pytest.fixture
def fleet(new_fleet: Callable[..., FleetRepo]) -> FleetRepo:
    """Two hosts."""
    return new_fleet("lab-1", "lab-2")


def _begin(fleet: FleetRepo) -> None:
    """On lab-1 one sandbox to delete, one to change and one to leave alone; on lab-2 one to change."""
    for name in ("orphan", "changed", "anywhere"):
        fleet.sandbox(name, stack(a=service()), host="lab-1")
    fleet.sandbox("other", stack(a=service()), host="lab-2")
    fleet.commit()
    fleet.apply()
    fleet.remove("orphan")
    fleet.sandbox("changed", CHANGED, host="lab-1")
    fleet.sandbox("anywhere", stack(a=service()))
    fleet.sandbox("other", CHANGED, host="lab-2")
    fleet.commit()


def _clean(fleet: FleetRepo) -> Picture:
    _begin(fleet)
    fleet.apply()
    clean = picture.steady(fleet)
    fleet.clean_up()
    return clean


def _outcomes(applied: Result) -> dict[str, str]:
    return {change["sandbox"]: change["outcome"] for change in applied.changes}


@pytest.mark.parametrize("mode", size(("refuse",), ("refuse", "drop")))
def test_it_is_gone_when_a_plan_is_made(fleet: FleetRepo, lab: Lab, row: Row, mode: Cut) -> None:
    clean = _clean(fleet)
    _begin(fleet)
    running = fleet.ids("lab-1")
    with lab.cut("lab-1", mode):
        row.broke(f"lab-1 disconnected by {mode} before a plan")
        planned = fleet.plan("--detailed-exitcode", code=1)
        assert planned.statuses == {"lab-1": "unreachable", "lab-2": "reachable"}
        assert planned.data["complete"] is False
        blocked = dict.fromkeys(("anywhere", "changed"), "blocked_because_unreachable")
        assert planned.reasons == {**blocked, "other": "update_because_changed"}
        row.broke(f"lab-1 disconnected by {mode} before an apply")
        assert _outcomes(fleet.apply(code=1)) == {**dict.fromkeys(blocked, "blocked"), "other": "updated"}
        assert {key.split("/")[0] for key in fleet.ids("lab-2")} == {"other"}
        assert fleet.ids("lab-1") == running
    row.recovered(fleet, clean)
    assert fleet.ids("lab-1")["anywhere/a"] == running["anywhere/a"]


@pytest.mark.parametrize("mode", size(("close",), ("close", "stall")))
def test_it_is_gone_between_the_observation_and_the_operation(
    fleet: FleetRepo, lab: Lab, row: Row, mode: CutMode
) -> None:
    with Relay(lab.host("lab-1")) as relay:
        fleet.host("lab-1", address="127.0.0.1", port=relay.port)
        clean = _clean(fleet)
        _begin(fleet)
        running = fleet.ids("lab-1")
        fleet.plan()
        relay.cut_after(relay.sent + 1000, mode)  # the observation is through, and nothing after it
        row.broke(f"the connection to lab-1: {mode} after the observation")
        applied = fleet.apply("--lock-timeout", "5s", code=1, timeout=300)  # an unreachable host is waited for
        relay.cut_after(None)
        assert _outcomes(applied) == {"changed": "failed", "orphan": "failed", "other": "updated"}
        assert "lab-1" in applied.of("changed")["error"]
        assert fleet.ids("lab-1") == running
        row.recovered(fleet, clean)
