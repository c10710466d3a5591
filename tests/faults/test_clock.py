"""A host's clock that is off ends no sandbox early: it is expired only by both clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.faults.harm import in_place_of
from tests.support.e2e import service, stack, until

if TYPE_CHECKING:
    from tests.faults.matrix import Row
    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

pytestmark = [pytest.mark.lab, pytest.mark.fault("host clock off by an hour, both ways", "nothing expires early")]

# The lab's hosts share one kernel, and so one clock: this one queries it and adds.
OFF = 'exec "$real" --date="{}" "$@"\n'


def _warning(fleet: FleetRepo) -> str:
    before = len(fleet.output)
    assert set(fleet.plan().actions.values()) <= {"no-op"}
    return "".join(fleet.output[before:])


def test_a_clock_that_is_an_hour_fast(fleet: FleetRepo, lab: Lab, row: Row) -> None:
    fleet.sandbox("one", stack(a=service()), ttl="30m")
    fleet.commit()
    clean = row.clean(fleet)
    fleet.apply()
    with in_place_of(lab, "lab-1", "date", OFF.format("1 hour")):
        row.broke("the clock set an hour ahead of a sandbox that has half an hour to live")
        assert "ahead of this machine's" in _warning(fleet)
        fleet.prune("--expired-only")
        assert fleet.apply().changes == []
        fleet.sandbox("two", stack(a=service()), ttl="30m")
        fleet.commit()
        assert fleet.apply().actions == {"two": "create"}
        row.broke("the same of one that was made meanwhile")
        fleet.prune()
        assert set(fleet.ids("lab-1")) == {"one/a", "two/a"}
    fleet.remove("two")
    fleet.commit()
    row.recovered(fleet, clean)


def test_a_clock_that_is_an_hour_behind(fleet: FleetRepo, lab: Lab, row: Row) -> None:
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    clean = row.clean(fleet)
    fleet.apply()
    fleet.sandbox("two", stack(a=service()), ttl="1s")
    fleet.commit()
    with in_place_of(lab, "lab-1", "date", OFF.format("-1 hour")):
        fleet.apply()
        row.broke("the clock set an hour behind, and a sandbox past its time by this machine's clock alone")
        ends = datetime.fromisoformat(fleet.record("lab-1", "two")["expires_at"])
        until(lambda: datetime.now(UTC) > ends, "the end of its time")
        assert "behind this machine's" in _warning(fleet)
        fleet.prune("--expired-only")
        fleet.apply()
        assert set(fleet.ids("lab-1")) == {"one/a", "two/a"}
    assert fleet.prune("--expired-only").reasons == {"two": "delete_because_expired"}
    fleet.remove("two")
    fleet.commit()
    row.recovered(fleet, clean)
