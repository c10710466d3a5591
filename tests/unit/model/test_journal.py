"""A sandbox's life is a state machine, and its journal has each step once."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandboxer.model.event import JOURNAL_GAP, events_of, gap_then, last_number
from sandboxer.model.failure import Failure
from sandboxer.model.hub import cloud_event
from sandboxer.model.lifecycle import TRANSITIONS, Phase, may_follow
from sandboxer.model.record import Input
from tests.support.planning import fleet_of, record_of

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
RECORD = record_of(fleet_of({"sandboxes": {"web": {}}}).sandboxes["web"], "lab-1")


def test_every_phase_has_its_row_and_every_life_can_end() -> None:
    assert set(TRANSITIONS) == {None, *Phase}
    for phase in Phase:
        reached, frontier = {phase}, {phase}
        while frontier:
            frontier = {after for before in frontier for after in TRANSITIONS[before]} - reached
            reached |= frontier
        assert Phase.DESTROYED in reached
    assert not TRANSITIONS[Phase.DESTROYED]


def test_a_life_begins_and_is_numbered() -> None:
    events = events_of(
        RECORD, (Phase.REQUESTED, Phase.PROVISIONING), former=None, after=0, at=NOW, reason="create_because_absent"
    )
    assert [(e.number, e.type, e.from_phase) for e in events] == [
        (1, "dev.sandboxer.sandbox.requested", None),
        (2, "dev.sandboxer.sandbox.provisioning", Phase.REQUESTED),
    ]
    assert len({e.id for e in events}) == 2
    assert all("\n" not in e.to_line() and json.loads(e.to_line())["reason"] for e in events)


def test_an_event_names_the_commits_that_were_applied() -> None:
    given = Input(repo="../app", ref="main", commit="c" * 40, digest="sha256:0")
    for inputs, expected in ((given, "c" * 40), (None, None)):
        record = RECORD.model_copy(update={"inputs": inputs, "fleet_commit": "f" * 40})
        (event,) = events_of(record, (Phase.READY,), former=Phase.PROVISIONING, after=2, at=NOW, reason="r")
        line, sent = json.loads(event.to_line()), cloud_event(event).to_json()["data"]
        assert isinstance(sent, dict)
        for content in (line, sent):
            assert (content["commit"], content.get("input_commit")) == ("f" * 40, expected)
            assert ("input_commit" in content) == (expected is not None)


@given(st.none() | st.sampled_from(Phase), st.sampled_from(Phase))
def test_a_step_that_no_life_takes_is_no_event(former: Phase | None, phase: Phase) -> None:
    if may_follow(former, phase):
        assert events_of(RECORD, (phase,), former=former, after=4, at=NOW, reason="r")[0].number == 5
    else:
        with pytest.raises(ValueError, match="does not go from"):
            events_of(RECORD, (phase,), former=former, after=4, at=NOW, reason="r")


def test_an_events_id_is_of_its_life_and_number_alone() -> None:
    one = events_of(RECORD, (Phase.FAILED,), former=Phase.PROVISIONING, after=2, at=NOW, reason="a")[0]
    same = one.model_copy(update={"reason": "b", "host": "elsewhere"})
    assert same.id == one.id
    assert one.model_copy(update={"uid": "f" * 32}).id != one.id
    assert one.model_copy(update={"number": 4}).id != one.id


def test_only_a_failed_event_says_why() -> None:
    error = Failure(code="disk-full", message="no space left on device", hint="free some", at=NOW, step="build")
    record = RECORD.model_copy(update={"error": error})
    through = (Phase.PROVISIONING, Phase.FAILED)
    before, failed = events_of(record, through, former=Phase.PROVISIONING, after=2, at=NOW, reason="a")
    assert before.error is None
    assert failed.error == error
    assert "error" not in json.loads(before.to_line())
    assert json.loads(failed.to_line())["error"]["code"] == "disk-full"
    assert cloud_event(failed).to_json()["data"]["error"] == error.model_dump(mode="json")  # type: ignore[index,call-overload]
    assert "error" not in cloud_event(before).to_json()["data"]  # type: ignore[operator]


def test_a_lost_journal_is_reported_and_no_number_comes_twice() -> None:
    unknown_host, provisioning = gap_then(RECORD, Phase.PROVISIONING, at=NOW, reason="repair_because_drift")
    assert unknown_host.type == JOURNAL_GAP
    assert provisioning.number == unknown_host.number + 1
    assert unknown_host.number == int(NOW.timestamp())


def test_the_last_number_is_of_the_last_whole_line() -> None:
    events = events_of(RECORD, (Phase.REQUESTED, Phase.PROVISIONING), former=None, after=0, at=NOW, reason="r")
    whole = "".join(event.to_line() + "\n" for event in events).encode()
    assert last_number(b"") == 0
    assert last_number(whole) == 2
    assert last_number(whole[10:]) == 2  # a tail begins anywhere
    for cut in range(len(events[0].to_line()) + 1, len(whole) - 1):
        assert last_number(whole[:cut]) == 1
    assert last_number(b"\xff\xfe{}\nnull\n[]") == 0
