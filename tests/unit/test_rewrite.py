"""What changes a record alone: it is written anew under the lock, and only where it is still the same life."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sandboxer.errors import LookIncomplete, StaleChange, UsageError
from sandboxer.lifecycle.rewrite import activate, extend, give_up
from sandboxer.model.event import Event
from sandboxer.model.lifecycle import Phase
from sandboxer.model.record import parse_record
from tests.support.bench import FLEET, ID, Bench
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
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.box("one").mkdir(parents=True)
    made.root("one").chmod(0o700)
    (made.box("one") / "record.json").write_bytes(RECORD.to_bytes())
    yield made
    made.close()


def _on_host(bench: Bench) -> Record:
    return parse_record((bench.box("one") / "record.json").read_bytes(), fleet=FLEET, identifier=ID)


def test_the_end_moves_and_nothing_else_but_the_count_of_writes(bench: Bench) -> None:
    written = extend(bench.work(expected_uid=RECORD.uid), HOUR, NOW, NOW)
    assert written == _on_host(bench)
    changed = {"expires_at": RECORD.expires_at + HOUR, "generation": RECORD.generation + 1}
    assert written == RECORD.model_copy(update=changed)
    assert sorted(path.name for path in bench.box("one").iterdir()) == ["record.json"]
    again = extend(bench.work(expected_uid=RECORD.uid), HOUR, NOW, NOW)
    assert again.expires_at == RECORD.expires_at + 2 * HOUR


def test_too_much_writes_nothing(bench: Bench) -> None:
    with pytest.raises(UsageError, match="may live until"):
        extend(bench.work(expected_uid=RECORD.uid), 30 * HOUR, NOW, NOW)
    assert _on_host(bench) == RECORD


def test_another_life_is_not_extended_for_the_one_that_was_seen(bench: Bench) -> None:
    with pytest.raises(StaleChange, match="made anew meanwhile"):
        extend(bench.work(expected_uid="0" * 32), HOUR, NOW, NOW)
    assert _on_host(bench) == RECORD


@pytest.mark.parametrize("content", [None, b""])
def test_what_is_gone_meanwhile_is_said_to_be(bench: Bench, content: bytes | None) -> None:
    path = bench.box("one") / "record.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StaleChange, match="is gone from one"):
        extend(bench.work(expected_uid=RECORD.uid), HOUR, NOW, NOW)


def test_a_record_that_cannot_be_read_is_not_written_over(bench: Bench) -> None:
    path = bench.box("one") / "record.json"
    path.write_bytes(half := RECORD.to_bytes()[:99])
    with pytest.raises(LookIncomplete, match="cannot be read"):
        extend(bench.work(expected_uid=RECORD.uid), HOUR, NOW, NOW)
    assert path.read_bytes() == half


def test_what_is_being_removed_is_not_extended(bench: Bench) -> None:
    path = bench.box("one") / "record.json"
    path.write_bytes(RECORD.to_bytes().replace(b'"phase":"ready"', b'"phase":"destroying"'))
    work = replace(bench.work(), expected_uid=RECORD.uid)
    with pytest.raises(UsageError, match="is being removed"):
        extend(work, HOUR, NOW, NOW)


# --- in use


def _journal(bench: Bench) -> list[Event]:
    lines = (bench.box("one") / "journal.jsonl").read_text().splitlines()
    return [Event.model_validate_json(line) for line in lines]


def _put(bench: Bench, **changed: object) -> Record:
    record = RECORD.model_copy(update=changed)
    (bench.box("one") / "record.json").write_bytes(record.to_bytes())
    return record


def test_what_is_in_use_is_active_and_is_told_so_once(bench: Bench) -> None:
    work = bench.work(expected_uid=RECORD.uid)
    written = activate(work, NOW)
    assert (written.phase, written.expires_at) == (Phase.ACTIVE, RECORD.expires_at)
    assert _on_host(bench) == written
    again = activate(work, NOW)
    assert again.generation == written.generation + 1
    (event,) = _journal(bench)
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
    bench: Bench, clock: str, later: timedelta, end: timedelta
) -> None:
    record = _put(bench, spec={**RECORD.spec, "ttlClock": clock})
    assert record.until - record.created_at == timedelta(hours=24)
    written = activate(bench.work(expected_uid=record.uid), record.created_at + later)
    assert written.expires_at - record.created_at == end


@pytest.mark.parametrize("phase", [Phase.REQUESTED, Phase.FAILED, Phase.DESTROYING])
def test_what_is_not_ready_is_not_in_use(bench: Bench, phase: Phase) -> None:
    record = _put(bench, phase=phase)
    with pytest.raises(UsageError, match=r"not ready|being removed"):
        activate(bench.work(expected_uid=record.uid), NOW)
    assert _on_host(bench) == record


# --- given up


@pytest.mark.parametrize("phase", [Phase.REQUESTED, Phase.PROVISIONING])
def test_what_is_given_up_has_failed_and_is_told_why(bench: Bench, phase: Phase) -> None:
    record = _put(bench, phase=phase, last_event=2)
    work = replace(bench.work(expected_uid=record.uid), reason="the secret DB_PASSWORD is gone")
    written = give_up(work)
    assert written.phase is Phase.FAILED
    assert _on_host(bench) == written
    (event,) = _journal(bench)
    assert (event.phase, event.from_phase, event.number) == ("failed", phase, 3)
    assert event.reason == "the secret DB_PASSWORD is gone"


def test_what_is_ready_by_now_is_not_given_up(bench: Bench) -> None:
    assert give_up(bench.work(expected_uid=RECORD.uid)) == RECORD == _on_host(bench)
