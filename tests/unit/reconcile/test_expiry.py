"""When a sandbox ends: by whose word, by whose clock, and how far that may be put off."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from sandboxer.errors import UsageError
from sandboxer.errors.remedy import RemedyCode, remedy_of
from sandboxer.lifecycle.handles import handle
from sandboxer.model.observed import Reachable
from sandboxer.model.quantity import parse_duration
from sandboxer.reconcile.expiry import described_expiry, expired, expiry_after, extended
from sandboxer.reconcile.planner import plan
from tests.support.planning import NOW, fleet_of, observations_of, record_of

HOUR = timedelta(hours=1)
MOMENT = "2026-11-24T13:00:00Z"


def _desired(**spec: Any) -> Any:
    return fleet_of({"sandboxes": {"web": spec}}).sandboxes["web"]


def _record(spec: dict[str, Any], **given: Any) -> Any:
    return record_of(_desired(**spec), "lab-1", **given)


@pytest.mark.parametrize(
    ("spec", "given", "source", "ttl", "left"),
    [
        ({"ttl": "8h"}, {}, "ttl", "8h", "7h"),
        ({}, {}, "profile", "4h", "3h"),
        ({"expiresAt": MOMENT}, {}, "expiresAt", None, "1h"),
        ({"ttl": "8h"}, {"extended": "2h"}, "extended", "8h", "9h"),
        ({}, {"extended": "2h"}, "extended", "4h", "5h"),
        ({"expiresAt": MOMENT}, {"extended": "2h"}, "extended", None, "3h"),
        ({"ttl": "1h"}, {}, "ttl", "1h", None),
        ({"ttl": "1h"}, {"age": "3h"}, "ttl", "1h", None),
    ],
)
def test_an_expiry_is_described_with_its_source(
    spec: dict[str, Any], given: dict[str, Any], source: str, ttl: str | None, left: str | None
) -> None:
    described = described_expiry(_record(spec, **given), _desired(**spec), NOW, NOW)
    assert (described.source, described.ttl) == (source, ttl)
    assert described.left == (parse_duration(left) if left else timedelta())


def test_without_its_manifest_a_default_is_described_as_a_ttl() -> None:
    described = described_expiry(_record({}), None, NOW, NOW)
    assert (described.source, described.ttl) == ("ttl", "4h")


@pytest.mark.parametrize("ttl", [None, 7, "often", ["4h"], "٤h"])
def test_a_ttl_that_somebody_wrote_into_the_record_harms_nobody(ttl: Any) -> None:
    record = _record({})
    record = record.model_copy(update={"spec": {**record.spec, "ttl": ttl}})
    assert described_expiry(record, None, NOW, NOW).at == record.expires_at
    record = record.model_copy(update={"spec": {**record.spec, "expiresAt": ttl or 1}})
    assert described_expiry(record, None, NOW, NOW).source == "expiresAt"


@pytest.mark.parametrize(("host", "runner"), [(HOUR, -HOUR), (-HOUR, HOUR), (-HOUR, timedelta()), (timedelta(), -HOUR)])
def test_one_clock_that_is_an_hour_off_ends_nothing_early(host: timedelta, runner: timedelta) -> None:
    record = _record({"ttl": "90m"})
    over = record.expires_at
    assert not expired(over, over + host, over + runner)
    assert described_expiry(record, None, over + host, over + runner).left == HOUR
    assert expired(over, over + max(host, HOUR), over + max(runner, HOUR))


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_plan_under_a_wrong_clock_deletes_nothing_early_and_warns(seconds: int) -> None:
    """Of an hour's life half is over; by one clock that is an hour off, all of it is, or none yet."""
    for ours, theirs in ((0, seconds), (seconds, 0)):
        case = {
            "sandboxes": {"web": {"ttl": "1h"}},
            "found": {"lab-1": {"clock": theirs, "copies": [{"name": "web", "record": {"age": "30m"}}]}},
        }
        decided = plan(fleet_of(case), observations_of(case), NOW + timedelta(seconds=ours))
        assert [change.reason.value for change in decided.changes] == ["no_op_because_synced"]
        assert len(decided.warnings) == 1
        assert "3600 s" in decided.warnings[0].message


@pytest.mark.parametrize(("seconds", "warned"), [(59, False), (60, False), (61, True), (-60, False), (-61, True)])
def test_more_than_a_minute_between_two_clocks_is_warned_about(seconds: int, warned: bool) -> None:
    case = {"found": {"lab-1": {"clock": seconds}}}
    assert bool(plan(fleet_of(case), observations_of(case), NOW).warnings) is warned


def test_what_git_has_later_wins_over_an_extension() -> None:
    record = _record({"ttl": "2h"}, extended="5h")
    assert expiry_after(_desired(ttl="2h"), record) == record.expires_at
    assert expiry_after(_desired(ttl="3h"), record) == record.created_at + 3 * HOUR
    assert expiry_after(_desired(expiresAt=MOMENT), record) == datetime.fromisoformat(MOMENT)


def test_an_extension_is_no_difference() -> None:
    case = {
        "sandboxes": {"web": {"ttl": "2h"}},
        "found": {"lab-1": {"copies": [{"name": "web", "record": {"extended": "5h"}}]}},
    }
    (change,) = plan(fleet_of(case), observations_of(case), NOW).changes
    assert (change.reason.value, change.pending, change.drift) == ("no_op_because_synced", (), ())


# --- putting it off


def test_an_end_moves_up_to_the_latest_that_the_profile_allows() -> None:
    record = _record({"ttl": "2h"})
    assert extended(record, HOUR, NOW, NOW) == record.expires_at + HOUR
    room = record.until - record.expires_at
    assert extended(record, room, NOW, NOW) == record.until
    with pytest.raises(UsageError, match=r"may live until 2026-11-25 11:00:00Z at most") as refused:
        extended(record, room + timedelta(seconds=1), NOW, NOW)
    assert refused.value.hint == "extend by at most 22h"


def test_at_its_limit_it_can_only_be_recreated() -> None:
    record = _record({"ttl": "2h"}, extended="22h")
    with pytest.raises(UsageError, match="may live until") as refused:
        extended(record, timedelta(seconds=1), NOW, NOW)
    assert refused.value.remedy == remedy_of(RemedyCode.RAISE_TTL, sandbox="web")


def test_what_is_over_is_extended_beyond_now_or_not_at_all() -> None:
    record = _record({"ttl": "1h"}, age="3h")
    assert extended(record, 3 * HOUR, NOW, NOW) == NOW + HOUR
    with pytest.raises(UsageError, match="is past too") as refused:
        extended(record, HOUR, NOW, NOW)
    assert refused.value.hint == "extend by at least 121m"
    assert extended(record, parse_duration("121m"), NOW, NOW) > NOW


def test_what_cannot_live_until_now_gets_no_hint_about_the_duration() -> None:
    record = _record({"ttl": "1h"}, age="30h")
    for by in (HOUR, 23 * HOUR, 60 * HOUR):
        with pytest.raises(UsageError) as refused:
            extended(record, by, NOW, NOW)
        assert refused.value.remedy == remedy_of(RemedyCode.RAISE_TTL, sandbox="web")


# --- handles


@pytest.mark.parametrize(
    ("record", "clock_offset", "phase", "left"),
    [
        ({"age": "1h"}, timedelta(), "ready", 3 * 3600),
        ({"age": "4h"}, timedelta(), "expired", 0),
        ({"age": "4h"}, -HOUR, "ready", 3600),
        ({"age": "5h", "phase": "failed"}, timedelta(), "failed", 0),
        ({"age": "5h", "phase": "active"}, timedelta(), "expired", 0),
    ],
)
def test_a_handle_shows_that_a_sandbox_expired_and_still_exists(
    record: dict[str, Any], clock_offset: timedelta, phase: str, left: int
) -> None:
    case = {"sandboxes": {"web": {}}, "found": {"lab-1": {"copies": [{"name": "web", "record": record}]}}}
    fleet, observations = fleet_of(case), observations_of(case)
    (change,) = plan(fleet, observations, NOW).changes
    observation = observations["lab-1"]
    assert isinstance(observation, Reachable)
    from sandboxer.reconcile.observed_sandbox import observed_host

    observed = observed_host(observation, fleet.name, "/tmp/sandboxer").copies[change.id]
    described = handle(change, observed, fleet.sandboxes["web"], NOW + clock_offset, NOW)
    assert (described.phase, described.seconds_left, described.expiry_source, described.ttl) == (
        phase,
        left,
        "profile",
        "4h",
    )
