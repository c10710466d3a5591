"""Putting off an end: the record alone is written anew, under the lock, and only where it is still the same life."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sandboxer.errors import LookIncomplete, StaleChange, UsageError
from sandboxer.lifecycle.extend import extend
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
