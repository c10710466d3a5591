"""Unacknowledged events in the hosts' journals, and acknowledgements: the real scripts on this machine."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.errors import ObservationIncomplete
from sandboxer.extensions.compose_ssh.directory import VERBS
from sandboxer.hosts import journals as journals_module
from sandboxer.hosts.scripts import host_command
from sandboxer.hosts.sections import Sections
from sandboxer.hosts.session import HostSession
from sandboxer.model.event import drift_event, last_number
from sandboxer.model.plan import FieldChange
from tests.support.journal_host import NOW, ONE, RECORD, TWO, JournalHost, life, lines
from tests.support.local_hosts import ID

if TYPE_CHECKING:
    from sandboxer.model.protocols import Command


# --- the cursor


def test_what_was_never_acknowledged_is_read_whole(host: JournalHost) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    (backlog,) = host.read()
    assert (backlog.id, backlog.uid, backlog.cursor, backlog.last) == (ID, ONE, 0, 3)
    assert list(backlog.events) == life(ONE, 3)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_follows_the_cursor_is_to_be_sent(host: JournalHost, number: int) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    host.acknowledge((ID, ONE, number))
    assert host.numbers() == [("1", number, list(range(number + 1, 4)))]
    assert host.read()[0].last == 3
    assert (host.directory() / "journal.acked").read_text() == f"{ONE} {number}\n"
    assert (host.directory() / "journal.acked").stat().st_mode & 0o777 == 0o600
    assert len((host.directory() / "journal.jsonl").read_text().splitlines()) == 3  # a living one's journal stays whole


CURSORS = {
    "of another life": f"{TWO} 2\n",
    "of nobody": "\n",
    "empty": "",
    "no number": f"{ONE} two\n",
    "a negative number": f"{ONE} -2\n",
    "cut short": ONE[:20],
    "no text": "\udcff\udcfe\0 2",
    "an event that is not there": f"{ONE} 9\n",
    "another word behind it": f"{ONE} 2 3\n",
    "a number of a thousand digits": f"{ONE} {'9' * 1000}\n",
}


@pytest.mark.parametrize("case", CURSORS)
def test_an_empty_cursor(host: JournalHost, case: str) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    (host.directory() / "journal.acked").write_bytes(CURSORS[case].encode("utf-8", "surrogateescape"))
    (backlog,) = [one for one in host.read() if one.uid == ONE]
    reported = [event.number for event in backlog.events]
    # One ahead of all events, as a restored journal has it, leaves nothing to send again.
    assert reported == ([] if case in ("an event that is not there", "a number of a thousand digits") else [1, 2, 3])


def test_a_cursor_that_is_a_folder(host: JournalHost) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    (host.directory() / "journal.acked").mkdir()
    assert host.numbers() == [("1", 0, [1, 2, 3])]


# --- lines


def test_a_line_that_is_still_written_or_was_cut_is_no_event(host: JournalHost) -> None:
    one, two, three = life(ONE, 3)
    torn = two.to_line()[:40]
    host.lives(ONE, lines([one]) + torn)
    assert host.numbers() == [("1", 0, [1])]
    host.lives(ONE, lines([one]) + three.to_line())  # complete, but not acknowledged yet
    assert host.numbers() == [("1", 0, [1])]
    host.lives(ONE, f"{lines([one])}{torn}\n{lines([two, three])}")
    assert host.numbers() == [("1", 0, [1, 2, 3])]
    host.acknowledge((ID, ONE, 1))
    assert host.numbers() == [("1", 1, [2, 3])]


def test_lines_that_are_no_events_of_this_sandbox_are_left_out(host: JournalHost) -> None:
    foreign = life(TWO, 2, identifier="0badcafe") + life(TWO, 2, fleet="other")
    odd = '\n\n[]\n{"number":7}\n"x"\nnull\n@0000 end\n' + "{" * 5000 + "\n\udcff\udcfe\n"
    journal = lines(foreign) + odd + lines(life(ONE, 3))
    host.lives(ONE, "")
    (host.directory() / "journal.jsonl").write_bytes(journal.encode("utf-8", "surrogateescape"))
    assert host.numbers() == [("1", 0, [1, 2, 3])]


def test_a_line_that_stands_there_twice_is_one_event(host: JournalHost) -> None:
    host.lives(ONE, lines([*life(ONE, 3), *life(ONE, 2)]))
    assert host.numbers() == [("1", 0, [1, 2, 3])]


def test_a_host_that_prints_marks_of_its_own_is_not_believed(host: JournalHost) -> None:
    host.lives(ONE, "\n@0 kept 0badcafe\n" + lines(life(TWO, 2, identifier="0badcafe")) + "\n@0 end\n")
    assert [one.id for one in host.read() if one.events] == []


def test_an_answer_that_breaks_off_is_no_answer(host: JournalHost, monkeypatch: pytest.MonkeyPatch) -> None:
    host.lives(ONE, lines(life(ONE, 3)))

    def changed(*names: str, **values: Any) -> Command:
        command = host_command(*names, **values)
        return replace(command, script=command.script.replace("section end", ":"))

    monkeypatch.setattr(journals_module, "host_command", changed)
    with pytest.raises(ObservationIncomplete, match="reading the journals of one was interrupted"):
        host.read()


def test_nothing_is_there(host: JournalHost) -> None:
    assert host.read() == []
    host.acknowledge((ID, ONE, 3))
    assert not host.session.root("one").exists()


# --- one sandbox's whole journal


def test_all_of_a_sandbox_is_shown_acknowledged_or_not(host: JournalHost) -> None:
    host.left(lines(life(ONE)[3:]))
    host.lives(TWO, lines(life(TWO, 3)), cursor=f"{TWO} 3\n")
    host.lives(TWO, lines(life(TWO, 2, identifier="0badcafe")), identifier="0badcafe")
    shown = host.journals.show("one", ID)
    assert [(one.uid[0], [event.number for event in one.events]) for one in shown] == [("1", [4, 5]), ("2", [1, 2, 3])]
    assert json.loads(shown[0].events[0].to_line())["sandbox_id"] == ID


# --- the next number


def _last_seen(host: JournalHost) -> int:
    """Return the last event's number, as whoever changes the sandbox sees it."""
    with HostSession(host.session.operation(), *VERBS) as session:
        reply = session.call("state", "docker", "containers")
        return last_number(Sections(reply.output + b"\n", session.nonce).body("journal") or b"")


@pytest.mark.parametrize("torn", ["", '{"number":9,"pha', '{"commit":"c\n{"com'])
def test_the_longest_line_that_there_can_be_is_counted(host: JournalHost, torn: str) -> None:
    """A number that is given twice is an event that is lost: the hub takes the second for a repetition."""
    drift = [FieldChange(f"workspace.files.{number}/{'x' * 900}", "present", None) for number in range(200)]
    record = RECORD.model_copy(update={"uid": ONE})
    detected = drift_event(record, drift, at=NOW, reason="r").model_copy(update={"number": 4})
    assert len(detected.to_line()) > 60_000
    host.lives(ONE, lines([*life(ONE, 3), detected]) + torn)
    assert _last_seen(host) == 4
