"""What drift told, noted beside the records by the real script on this machine."""

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
from sandboxer.lifecycle import notes
from sandboxer.lifecycle.notes import Notebook
from sandboxer.model.drift import Note
from sandboxer.model.event import Event, drift_event
from sandboxer.model.plan import FieldChange
from tests.support.planning import fleet_of, record_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxer.model.seams import HostTransport

IDENTIFIER, UID = "0a0b0c0d", "1" * 32
TOLD_EVENTS: list[Event] = []
SINCE = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
RECORD = record_of(fleet_of({"sandboxes": {"web": {}}}).sandboxes["web"], "here").model_copy(
    update={"uid": UID, "id": IDENTIFIER}
)
DRIFT = FieldChange("services.web.state", "running", "exited (1)")
DETECTED = drift_event(RECORD, [DRIFT], at=SINCE, reason="repair_because_drift")
RESOLVED = drift_event(RECORD, [], at=SINCE, reason="no_op_because_synced")
TOLD = Note("here", IDENTIFIER, "web", UID, {"services.web.state": SINCE}, DETECTED)


def _over(box: Path) -> Note:
    former = hashlib.sha256((box / "drift.json").read_bytes()).hexdigest()
    return Note("here", IDENTIFIER, "web", UID, {}, RESOLVED, former)


def _journal(box: Path) -> list[Event]:
    return [Event.model_validate_json(line) for line in (box / "journal.jsonl").read_text().splitlines()]


@pytest.fixture
def box(tmp_path: Path) -> Path:
    """A sandbox's folder, with its record and its lock."""
    home = tmp_path / "root/acme"
    box = home / IDENTIFIER
    box.mkdir(parents=True)
    (box / "record.json").write_text(json.dumps({"generation": 4, "last_event": 3, "uid": UID}, separators=(",", ":")))
    (home / ".locks").mkdir()
    (home / ".locks" / IDENTIFIER).touch()
    return box


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    transport = LocalTransport("here")
    yield Notebook(
        "acme",
        {"here": str(tmp_path / "root")},
        lambda _name: transport,
        "me",
        lambda _, event: TOLD_EVENTS.append(event),
    )
    transport.close()


def test_a_note_is_written_whole_and_the_record_left_alone(box: Path, notebook: Notebook) -> None:
    record = (box / "record.json").read_bytes()
    assert notebook.write([TOLD]) == []
    assert json.loads((box / "drift.json").read_text()) == {
        "format_version": "1.0",
        "told": {"services.web.state": "2026-11-24T10:00:00Z"},
    }
    assert (box / "record.json").read_bytes() == record
    assert sorted(path.name for path in box.iterdir()) == ["drift.json", "journal.jsonl", "record.json"]


def test_the_journal_tells_it_once_behind_the_last_event(box: Path, notebook: Notebook) -> None:
    TOLD_EVENTS.clear()
    assert notebook.write([TOLD]) == []
    assert notebook.write([TOLD]) == []  # another job saw the same
    (detected,) = _journal(box)
    assert detected == DETECTED.model_copy(update={"number": 4})
    assert detected.drift is not None
    assert (detected.drift[0].path, detected.drift[0].new) == ("services.web.state", "exited (1)")
    assert notebook.write([_over(box)]) == []
    assert [(event.number, event.type) for event in _journal(box)] == [
        (4, "dev.sandboxer.drift.detected"),
        (5, "dev.sandboxer.drift.resolved"),
    ]
    assert _journal(box) == TOLD_EVENTS
    (box / "record.json").write_text(json.dumps({"last_event": 9, "uid": UID}, separators=(",", ":")))
    (box / "drift.json").symlink_to("/etc/passwd")  # no note of ours
    assert notebook.write([TOLD]) == []
    assert _journal(box)[-1].number == 10


def test_a_line_that_a_kill_cut_short_is_no_event(box: Path, notebook: Notebook) -> None:
    (box / "journal.jsonl").write_text(DETECTED.model_copy(update={"number": 7}).to_line() + '\n{"number":12,"pha')
    assert notebook.write([TOLD]) == []
    assert [line[:1] for line in (box / "journal.jsonl").read_text().splitlines()] == ["{"] * 3
    assert Event.model_validate_json((box / "journal.jsonl").read_text().splitlines()[-1]).number > 7


def test_a_note_of_what_is_over_goes(box: Path, notebook: Notebook) -> None:
    notebook.write([TOLD])
    over = _over(box)
    assert notebook.write([over]) == []
    assert notebook.write([over]) == []  # another job was faster
    assert sorted(path.name for path in box.iterdir()) == ["journal.jsonl", "record.json"]
    assert len(_journal(box)) == 2


def test_another_life_is_not_noted(box: Path, notebook: Notebook) -> None:
    (box / "record.json").write_text(json.dumps({"uid": "2" * 32}, separators=(",", ":")))
    assert notebook.write([TOLD]) == []
    assert not (box / "drift.json").exists()


def test_a_sandbox_that_is_gone_leaves_nothing_behind(box: Path, notebook: Notebook) -> None:
    (box / "record.json").unlink()
    box.rmdir()
    lock = box.parent / ".locks" / IDENTIFIER
    lock.unlink()
    assert notebook.write([TOLD]) == []
    assert [path.name for path in box.parent.iterdir()] == [".locks"]
    assert not lock.exists()


def test_a_root_that_is_not_there_is_not_made(tmp_path: Path, notebook: Notebook) -> None:
    assert notebook.write([TOLD]) == []
    assert not (tmp_path / "root").exists()


def test_what_cannot_be_written_is_a_sentence(box: Path, notebook: Notebook) -> None:
    (box / "drift.json.new").mkdir()
    (said,) = notebook.write([TOLD])
    assert said.startswith("what is told of web on here cannot be noted there: ")
    assert said.endswith("drift.json cannot be written")


def test_who_works_on_it_is_not_disturbed(box: Path, notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "LOCK_SECONDS", 1)
    with (box.parent / ".locks" / IDENTIFIER).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (said,) = notebook.write([TOLD])
    assert said.endswith("another client works on it")
    assert not (box / "drift.json").exists()
    assert notebook.write([TOLD]) == []


def test_jobs_at_once_do_no_harm(box: Path, notebook: Notebook) -> None:
    said: list[str] = []
    jobs = [threading.Thread(target=lambda: said.extend(notebook.write([TOLD]))) for _ in range(8)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert said == []
    assert json.loads((box / "drift.json").read_text())["told"]
    assert sorted(path.name for path in box.iterdir()) == ["drift.json", "journal.jsonl", "record.json"]
    assert len(_journal(box)) == 1


def test_a_host_that_went_away_is_a_sentence() -> None:
    def gone(name: str) -> HostTransport:
        raise HostUnreachable(name, f"{name} does not answer")

    book = Notebook("acme", {"here": "/nowhere"}, gone, "me")
    assert book.write([TOLD]) == ["what is told of here cannot be noted there: here does not answer"]
