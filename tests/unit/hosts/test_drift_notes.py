"""Reported drift, noted beside the records by the real script on this machine."""

from __future__ import annotations

import fcntl
import hashlib
import json
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.local import LocalTransport
from sandboxer.errors import HostUnreachable
from sandboxer.hosts import notes
from sandboxer.hosts.notes import DriftNotes
from sandboxer.model.drift import Note
from sandboxer.model.event import Event, drift_event
from sandboxer.model.plan import FieldChange
from tests.support.planning import fleet_of, record_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxer.model.protocols import HostTransport

IDENTIFIER, UID = "0a0b0c0d", "1" * 32
EVENTS: list[Event] = []
SINCE = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
RECORD = record_of(fleet_of({"sandboxes": {"web": {}}}).sandboxes["web"], "here").model_copy(
    update={"uid": UID, "id": IDENTIFIER}
)
DRIFT = FieldChange("services.web.state", "running", "exited (1)")
DETECTED = drift_event(RECORD, [DRIFT], at=SINCE, reason="repair_because_drift")
RESOLVED = drift_event(RECORD, [], at=SINCE, reason="no_op_because_synced")
NOTE = Note("here", IDENTIFIER, "web", UID, {"services.web.state": SINCE}, DETECTED)


def _over(directory: Path) -> Note:
    former = hashlib.sha256((directory / "drift.json").read_bytes()).hexdigest()
    return Note("here", IDENTIFIER, "web", UID, {}, RESOLVED, former)


def _journal(directory: Path) -> list[Event]:
    return [Event.model_validate_json(line) for line in (directory / "journal.jsonl").read_text().splitlines()]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A sandbox's folder, with its record and its lock."""
    home = tmp_path / "root/acme"
    directory = home / IDENTIFIER
    directory.mkdir(parents=True)
    (directory / "record.json").write_text(
        json.dumps({"generation": 4, "last_event": 3, "uid": UID}, separators=(",", ":"))
    )
    (home / ".locks").mkdir()
    (home / ".locks" / IDENTIFIER).touch()
    return directory


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[DriftNotes]:
    transport = LocalTransport("here")
    yield DriftNotes(
        "acme",
        {"here": str(tmp_path / "root")},
        lambda _name: transport,
        lambda _, event: EVENTS.append(event),
    )
    transport.close()


def test_a_note_is_written_whole_and_the_record_left_alone(directory: Path, notebook: DriftNotes) -> None:
    record = (directory / "record.json").read_bytes()
    assert notebook.write([NOTE]) == []
    assert json.loads((directory / "drift.json").read_text()) == {
        "format_version": "1.0",
        "told": {"services.web.state": "2026-11-24T10:00:00Z"},
    }
    assert (directory / "record.json").read_bytes() == record
    assert sorted(path.name for path in directory.iterdir()) == ["drift.json", "journal.jsonl", "record.json"]


def test_the_journal_has_it_once_after_the_last_event(directory: Path, notebook: DriftNotes) -> None:
    EVENTS.clear()
    assert notebook.write([NOTE]) == []
    assert notebook.write([NOTE]) == []  # another job saw the same
    (detected,) = _journal(directory)
    assert detected == DETECTED.model_copy(update={"number": 4})
    assert detected.drift is not None
    assert (detected.drift[0].path, detected.drift[0].new) == ("services.web.state", "exited (1)")
    assert notebook.write([_over(directory)]) == []
    assert [(event.number, event.type) for event in _journal(directory)] == [
        (4, "dev.sandboxer.drift.detected"),
        (5, "dev.sandboxer.drift.resolved"),
    ]
    assert _journal(directory) == EVENTS
    (directory / "record.json").write_text(json.dumps({"last_event": 9, "uid": UID}, separators=(",", ":")))
    (directory / "drift.json").symlink_to("/etc/passwd")  # no note of ours
    assert notebook.write([NOTE]) == []
    assert _journal(directory)[-1].number == 10


def test_a_line_that_a_kill_cut_short_is_no_event(directory: Path, notebook: DriftNotes) -> None:
    (directory / "journal.jsonl").write_text(
        DETECTED.model_copy(update={"number": 7}).to_line() + '\n{"number":12,"pha'
    )
    assert notebook.write([NOTE]) == []
    assert [line[:1] for line in (directory / "journal.jsonl").read_text().splitlines()] == ["{"] * 3
    assert Event.model_validate_json((directory / "journal.jsonl").read_text().splitlines()[-1]).number > 7


def test_a_note_of_what_is_over_goes(directory: Path, notebook: DriftNotes) -> None:
    notebook.write([NOTE])
    over = _over(directory)
    assert notebook.write([over]) == []
    assert notebook.write([over]) == []  # another job was faster
    assert sorted(path.name for path in directory.iterdir()) == ["journal.jsonl", "record.json"]
    assert len(_journal(directory)) == 2


def test_another_life_is_not_noted(directory: Path, notebook: DriftNotes) -> None:
    (directory / "record.json").write_text(json.dumps({"uid": "2" * 32}, separators=(",", ":")))
    assert notebook.write([NOTE]) == []
    assert not (directory / "drift.json").exists()


def test_a_sandbox_that_is_gone_leaves_nothing_behind(directory: Path, notebook: DriftNotes) -> None:
    (directory / "record.json").unlink()
    directory.rmdir()
    lock = directory.parent / ".locks" / IDENTIFIER
    lock.unlink()
    assert notebook.write([NOTE]) == []
    assert [path.name for path in directory.parent.iterdir()] == [".locks"]
    assert not lock.exists()


def test_a_root_that_is_not_there_is_not_made(tmp_path: Path, notebook: DriftNotes) -> None:
    assert notebook.write([NOTE]) == []
    assert not (tmp_path / "root").exists()


def test_what_cannot_be_written_is_a_sentence(directory: Path, notebook: DriftNotes) -> None:
    (directory / "drift.json.new").mkdir()
    (message,) = notebook.write([NOTE])
    assert message.startswith("cannot save the reported drift of web on here: ")
    assert message.endswith("drift.json cannot be written")


def test_who_works_on_it_is_not_disturbed(
    directory: Path, notebook: DriftNotes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "LOCK_SECONDS", 1)
    with (directory.parent / ".locks" / IDENTIFIER).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (message,) = notebook.write([NOTE])
    assert message.endswith("another client works on it")
    assert not (directory / "drift.json").exists()
    assert notebook.write([NOTE]) == []


def test_jobs_at_once_do_no_harm(directory: Path, notebook: DriftNotes) -> None:
    messages: list[str] = []
    jobs = [threading.Thread(target=lambda: messages.extend(notebook.write([NOTE]))) for _ in range(8)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert messages == []
    assert json.loads((directory / "drift.json").read_text())["told"]
    assert sorted(path.name for path in directory.iterdir()) == ["drift.json", "journal.jsonl", "record.json"]
    assert len(_journal(directory)) == 1


def test_a_host_that_went_away_is_a_sentence() -> None:
    def gone(name: str) -> HostTransport:
        raise HostUnreachable(name, f"{name} does not answer")

    book = DriftNotes("acme", {"here": "/nowhere"}, gone)
    assert book.write([NOTE]) == ["cannot save the reported drift of here: here does not answer"]
