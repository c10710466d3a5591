"""Changes of a record alone: it is rewritten under the lock, and only if it is still the same life."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sandboxer.errors import ObservationIncomplete, StaleChange, UsageError
from sandboxer.lifecycle.record_changes import activate, extend, give_up, note_error
from sandboxer.model.event import Event
from sandboxer.model.failure import Failure
from sandboxer.model.lifecycle import Phase
from sandboxer.model.record import parse_record
from tests.support.local_hosts import FLEET, ID, LocalHosts
from tests.support.planning import NOW, fleet_of, record_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxer.model.record import Record

HOUR = timedelta(hours=1)
RECORD = record_of(fleet_of({"sandboxes": {"web": {"ttl": "2h"}}}).sandboxes["web"], "one").model_copy(
    update={"id": ID, "fleet": FLEET}
)


@pytest.fixture
def session(tmp_path: Path) -> Iterator[LocalHosts]:
    made = LocalHosts(tmp_path)
    made.directory("one").mkdir(parents=True)
    made.root("one").chmod(0o700)
    (made.directory("one") / "record.json").write_bytes(RECORD.to_bytes())
    yield made
    made.close()


def _on_host(session: LocalHosts) -> Record:
    return parse_record((session.directory("one") / "record.json").read_bytes(), fleet=FLEET, identifier=ID)


def test_the_end_moves_and_nothing_else_but_the_count_of_writes(session: LocalHosts) -> None:
    written = extend(session.operation(expected_uid=RECORD.uid), HOUR, NOW, NOW)
    assert written == _on_host(session)
    changed = {"expires_at": RECORD.expires_at + HOUR, "generation": RECORD.generation + 1}
    assert written == RECORD.model_copy(update=changed)
    assert sorted(path.name for path in session.directory("one").iterdir()) == ["record.json"]
    again = extend(session.operation(expected_uid=RECORD.uid), HOUR, NOW, NOW)
    assert again.expires_at == RECORD.expires_at + 2 * HOUR


def test_too_much_writes_nothing(session: LocalHosts) -> None:
    with pytest.raises(UsageError, match="may live until"):
        extend(session.operation(expected_uid=RECORD.uid), 30 * HOUR, NOW, NOW)
    assert _on_host(session) == RECORD


def test_another_life_is_not_extended_for_the_one_that_was_seen(session: LocalHosts) -> None:
    with pytest.raises(StaleChange, match="recreated meanwhile"):
        extend(session.operation(expected_uid="0" * 32), HOUR, NOW, NOW)
    assert _on_host(session) == RECORD


@pytest.mark.parametrize("content", [None, b""])
def test_a_sandbox_that_is_gone_meanwhile_is_reported(session: LocalHosts, content: bytes | None) -> None:
    path = session.directory("one") / "record.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StaleChange, match="was removed from one"):
        extend(session.operation(expected_uid=RECORD.uid), HOUR, NOW, NOW)


def test_a_record_that_cannot_be_read_is_not_written_over(session: LocalHosts) -> None:
    path = session.directory("one") / "record.json"
    path.write_bytes(half := RECORD.to_bytes()[:99])
    with pytest.raises(ObservationIncomplete, match="cannot be read"):
        extend(session.operation(expected_uid=RECORD.uid), HOUR, NOW, NOW)
    assert path.read_bytes() == half


def test_what_is_being_removed_is_not_extended(session: LocalHosts) -> None:
    path = session.directory("one") / "record.json"
    path.write_bytes(RECORD.to_bytes().replace(b'"phase":"ready"', b'"phase":"destroying"'))
    operation = replace(session.operation(), expected_uid=RECORD.uid)
    with pytest.raises(UsageError, match="is being removed"):
        extend(operation, HOUR, NOW, NOW)


# --- in use


def _journal(session: LocalHosts) -> list[Event]:
    lines = (session.directory("one") / "journal.jsonl").read_text().splitlines()
    return [Event.model_validate_json(line) for line in lines]


def _put(session: LocalHosts, **changed: object) -> Record:
    record = RECORD.model_copy(update=changed)
    (session.directory("one") / "record.json").write_bytes(record.to_bytes())
    return record


def test_what_is_in_use_is_active_and_is_reported_once(session: LocalHosts) -> None:
    operation = session.operation(expected_uid=RECORD.uid)
    written = activate(operation, NOW)
    assert (written.phase, written.expires_at) == (Phase.ACTIVE, RECORD.expires_at)
    assert _on_host(session) == written
    again = activate(operation, NOW)
    assert again.generation == written.generation + 1
    (event,) = _journal(session)
    assert (event.type, event.from_phase, event.number) == ("dev.sandboxer.sandbox.active", "ready", again.last_event)


@pytest.mark.parametrize(
    ("clock", "later", "end"),
    [
        ("activity", timedelta(minutes=30), timedelta(hours=2, minutes=30)),
        ("activity", timedelta(hours=23), timedelta(hours=24)),  # not beyond the profile's max
        ("activity", -timedelta(hours=1), timedelta(hours=2)),  # a clock that is wrong ends nothing early
        ("creation", timedelta(minutes=30), timedelta(hours=2)),
    ],
)
def test_the_end_moves_with_the_last_use_where_the_clock_is_that(
    session: LocalHosts, clock: str, later: timedelta, end: timedelta
) -> None:
    record = _put(session, spec={**RECORD.spec, "ttlClock": clock})
    assert record.until - record.created_at == timedelta(hours=24)
    written = activate(session.operation(expected_uid=record.uid), record.created_at + later)
    assert written.expires_at - record.created_at == end


@pytest.mark.parametrize("phase", [Phase.REQUESTED, Phase.FAILED, Phase.DESTROYING])
def test_what_is_not_ready_is_not_in_use(session: LocalHosts, phase: Phase) -> None:
    record = _put(session, phase=phase)
    with pytest.raises(UsageError, match=r"not ready|being removed"):
        activate(session.operation(expected_uid=record.uid), NOW)
    assert _on_host(session) == record


# --- given up


@pytest.mark.parametrize("phase", [Phase.REQUESTED, Phase.PROVISIONING])
def test_what_is_given_up_has_failed_with_the_reason(session: LocalHosts, phase: Phase) -> None:
    record = _put(session, phase=phase, last_event=2)
    operation = replace(session.operation(expected_uid=record.uid), reason="the secret DB_PASSWORD is gone")
    written = give_up(operation)
    assert written.phase is Phase.FAILED
    assert _on_host(session) == written
    (event,) = _journal(session)
    assert (event.phase, event.from_phase, event.number) == ("failed", phase, 3)
    assert event.reason == "the secret DB_PASSWORD is gone"


def test_what_is_ready_by_now_is_not_given_up(session: LocalHosts) -> None:
    assert give_up(session.operation(expected_uid=RECORD.uid)) == RECORD == _on_host(session)


# --- the cause of a change that could not begin

CAUSE = Failure(code="secret-missing", message="the secret DB has no value", hint="", at=NOW, step="plan", service=None)


def test_a_cause_is_written_and_cleared_and_nothing_else_changes(session: LocalHosts) -> None:
    operation = session.operation(expected_uid=RECORD.uid, expected_generation=RECORD.generation)
    assert note_error(operation, CAUSE) == RECORD.model_copy(update={"error": CAUSE}) == _on_host(session)
    assert note_error(operation, None) == RECORD == _on_host(session)
    assert (session.directory("one") / "record.json").read_bytes() == RECORD.to_bytes()


def test_no_cause_is_written_for_what_another_client_has_changed_since_the_plan(session: LocalHosts) -> None:
    record = _put(session, generation=RECORD.generation + 1)
    operation = session.operation(expected_uid=RECORD.uid, expected_generation=RECORD.generation)
    assert note_error(operation, CAUSE) == record == _on_host(session)


@pytest.mark.parametrize("phase", [Phase.REQUESTED, Phase.FAILED])
def test_no_cause_is_written_over_that_of_a_sandbox_that_is_not_ready(session: LocalHosts, phase: Phase) -> None:
    record = _put(session, phase=phase)
    operation = session.operation(expected_uid=RECORD.uid, expected_generation=RECORD.generation)
    assert note_error(operation, CAUSE) == record == _on_host(session)


def test_a_record_is_written_even_where_the_text_of_its_failure_cannot_be_removed(session: LocalHosts) -> None:
    (session.directory("one") / "last-error.txt").mkdir()
    assert activate(session.operation(expected_uid=RECORD.uid), NOW) == _on_host(session)
