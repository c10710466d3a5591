"""The unsent events of a deleted sandbox, and concurrent clients: the real scripts on this machine."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.errors import HostUnreachable
from sandboxer.hosts import journals as journals_module
from sandboxer.hosts.journals import Journals
from sandboxer.hosts.scripts import host_command
from tests.support.journal_host import ONE, RECORD, TWO, JournalHost, life, lines
from tests.support.local_hosts import FLEET, ID

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxer.model.protocols import Command, HostTransport


# --- what a sandbox leaves


def test_its_unsent_events_outlive_it_once(host: JournalHost) -> None:
    events = life(ONE)
    host.lives(ONE, lines(events[:4]), cursor=f"{ONE} 2\n")
    host.remove(ONE, events[4])
    assert host.kept().read_text() == lines(events[2:])
    assert host.kept().stat().st_mode & 0o777 == 0o600
    assert host.numbers() == [("1", 0, [3, 4, 5])]
    host.lives(ONE, lines(events[:4]))  # who was to remove it died in between, and it is removed again
    host.remove(ONE, events[4])
    assert host.kept().read_text() == lines(events[2:])


def test_without_a_hub_it_leaves_nothing(host: JournalHost) -> None:
    host.lives(ONE, lines(life(ONE, 4)))
    host.remove(ONE)
    assert host.files() == []


def test_a_torn_line_takes_no_other_with_it(host: JournalHost) -> None:
    events = life(ONE)
    host.lives(ONE, lines(events[:4]) + '{"number":9,"pha')
    host.remove(ONE, events[4])
    assert host.numbers() == [("1", 0, [1, 2, 3, 4, 5])]
    host.acknowledge((ID, ONE, 5))
    assert host.files() == []


def test_two_lives_of_a_name_are_kept_and_sent_one_after_the_other(host: JournalHost) -> None:
    for uid in (ONE, TWO):
        host.lives(uid, lines(life(uid, 4)))
        host.remove(uid, life(uid)[4])
    third = "3" * 32
    host.lives(third, lines(life(third, 2)))
    assert host.numbers() == [("1", 0, [1, 2, 3, 4, 5]), ("2", 0, [1, 2, 3, 4, 5]), ("3", 0, [1, 2])]
    host.acknowledge((ID, ONE, 3))
    assert host.numbers() == [("1", 0, [4, 5]), ("2", 0, [1, 2, 3, 4, 5]), ("3", 0, [1, 2])]
    host.acknowledge((ID, ONE, 5), (ID, TWO, 1), (ID, third, 2))
    assert host.numbers() == [("2", 0, [2, 3, 4, 5]), ("3", 2, [])]
    host.acknowledge((ID, TWO, 5))
    assert not (host.home / ".journals").exists()
    assert host.numbers() == [("3", 2, [])]


def test_once_sent_nothing_is_left_of_it(host: JournalHost) -> None:
    host.lives(ONE, lines(life(ONE, 4)))
    host.remove(ONE, life(ONE)[4])
    host.acknowledge((ID, ONE, 4))
    assert host.numbers() == [("1", 0, [5])]
    host.acknowledge((ID, ONE, 5))
    assert not host.session.root("one").exists()


def test_a_fleet_that_lives_on_keeps_its_folder(host: JournalHost) -> None:
    host.left(lines(life(ONE)))
    host.lives(TWO, lines(life(TWO, 1, identifier="0badcafe")), identifier="0badcafe")
    host.acknowledge((ID, ONE, 5))
    assert [path for path in host.files() if "0badcafe" not in path] == [FLEET]
    assert sorted(path.name for path in (host.home / ".locks").iterdir()) == ["0badcafe"]


def test_an_old_acknowledgement_marks_no_new_life(host: JournalHost) -> None:
    host.lives(TWO, lines(life(TWO, 3)))
    host.acknowledge((ID, ONE, 3))
    assert host.numbers() == [("2", 0, [1, 2, 3])]
    assert not (host.directory() / "journal.acked").exists()
    host.left(lines(life(ONE)))
    host.acknowledge((ID, ONE, 5))
    assert host.numbers() == [("2", 0, [1, 2, 3])]
    assert (host.home / ".locks" / ID).exists()


def test_what_was_not_kept_is_not_acknowledged(host: JournalHost) -> None:
    host.left(lines(life(ONE)))
    host.acknowledge((ID, TWO, 5), (ID, ONE, 9))
    assert host.numbers() == [("1", 0, [1, 2, 3, 4, 5])]


@pytest.mark.parametrize("odd", ["../../x", "0011aabb;x", "*", "-", "0011AABB"])
def test_what_is_no_id_is_passed_over(host: JournalHost, odd: str) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    before = host.files()
    host.acknowledge((odd, ONE, 3), (ID, ONE, 2))
    assert set(host.files()) == {*before, f"{FLEET}/{ID}/journal.acked"}
    assert host.numbers() == [("1", 2, [3])]


# --- bounds


def _age(path: Path, days: float) -> None:
    then = time.time() - timedelta(days=days).total_seconds()
    os.utime(path, (then, then))


def test_it_is_kept_for_thirty_days(host: JournalHost) -> None:
    host.lives(TWO, lines(life(TWO, 1)))
    for number, days in enumerate((0, 29, 32, 400)):
        identifier = f"0000000{number}"
        host.left(lines(life(ONE, identifier=identifier)), identifier=identifier)
        _age(host.kept(identifier), days)
    assert [one.id for one in host.read() if one.uid == ONE] == ["00000000", "00000001"]
    assert sorted(path.name for path in host.kept().parent.iterdir()) == ["00000000.jsonl", "00000001.jsonl"]


def test_of_more_than_a_thousand_the_youngest_are_kept(host: JournalHost) -> None:
    for number in range(1004):
        identifier = f"{number:08x}"
        host.left(lines(life(ONE, 1, identifier=identifier)), identifier=identifier)
        _age(host.kept(identifier), 1 + number / 10_000)
    assert [one.id for one in host.read()] == [f"{number:08x}" for number in range(1000)]
    assert len(list(host.kept().parent.iterdir())) == 1000


def test_of_one_sandbox_a_mebibyte_is_kept(host: JournalHost) -> None:
    first, *_, last = life(ONE)
    many = [first.model_copy(update={"number": number, "reason": "r" * 2000}) for number in range(1, 600)]
    host.lives(ONE, lines(many))
    host.remove(ONE, last.model_copy(update={"number": 600}))
    assert host.kept().stat().st_size == 1024 * 1024
    (backlog,) = host.journals.show("one", ID)
    assert [event.number for event in backlog.events] == list(range(601 - len(backlog.events), 601))
    assert len(backlog.events) > 300


def test_one_reading_takes_a_part_of_a_long_journal_and_the_next_continues(host: JournalHost) -> None:
    first = life(ONE)[0]
    host.lives(ONE, lines(first.model_copy(update={"number": number}) for number in range(1, 1500)))
    read: list[int] = []
    while part := [event.number for one in host.read() for event in one.events]:
        read += part
        host.acknowledge((ID, ONE, part[-1]))
    assert read == list(range(1, 1500))


# --- links, and others at work


def test_no_link_is_followed(host: JournalHost, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / f"{ID}.jsonl").write_text(lines(life(ONE)))
    (elsewhere / "record.json").write_bytes(RECORD.model_copy(update={"uid": ONE}).to_bytes())
    (elsewhere / "journal.jsonl").write_text(lines(life(ONE)))
    before = {path: path.read_bytes() for path in elsewhere.iterdir()}
    host.lives(TWO, lines(life(TWO, 2, identifier="0badcafe")), identifier="0badcafe")
    host.directory().symlink_to(elsewhere)  # a sandbox's folder
    (host.home / ".journals").symlink_to(elsewhere)  # the folder of what is kept
    other = host.directory("0badcafe") / "journal.jsonl"
    other.unlink()
    other.symlink_to(elsewhere / "journal.jsonl")
    assert [one for one in host.read() if one.events] == []
    assert host.journals.show("one", ID) == []
    host.acknowledge((ID, ONE, 5), (ID, ONE, 2))
    assert {path: path.read_bytes() for path in elsewhere.iterdir()} == before
    (host.home / ".journals").unlink()
    host.kept().parent.mkdir()
    host.kept().symlink_to(elsewhere / f"{ID}.jsonl")  # one of them
    assert [one for one in host.read() if one.events] == []
    host.acknowledge((ID, ONE, 5))
    assert {path: path.read_bytes() for path in elsewhere.iterdir()} == before


def test_a_fleet_below_a_link_is_left_alone(host: JournalHost, tmp_path: Path) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    moved = tmp_path / "moved"
    host.session.root("one").rename(moved)
    host.session.root("one").symlink_to(moved)
    assert host.read() == []
    host.acknowledge((ID, ONE, 3))
    assert not (moved / FLEET / ID / "journal.acked").exists()


def test_what_is_kept_waits_for_who_works_on_the_sandbox(host: JournalHost) -> None:
    host.left(lines(life(ONE)))
    lock = host.home / ".locks" / ID
    lock.parent.mkdir()
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        noting = threading.Thread(target=host.acknowledge, args=((ID, ONE, 5),))
        noting.start()
        time.sleep(0.3)  # it would be through
        assert host.kept().exists()
        held.flush()
        fcntl.flock(held, fcntl.LOCK_UN)
        noting.join(20)
    assert not host.session.root("one").exists()


def test_who_works_long_keeps_what_is_kept(host: JournalHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(*names: str, **values: Any) -> Command:
        command = host_command(*names, **values)
        return replace(command, script=command.script.replace("timeout 5", "timeout 1"))

    monkeypatch.setattr(journals_module, "host_command", changed)
    host.left(lines(life(ONE)))
    host.lives(TWO, lines(life(TWO, 3, identifier="0badcafe")), identifier="0badcafe")
    lock = host.home / ".locks" / ID
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        host.acknowledge((ID, ONE, 5), ("0badcafe", TWO, 3))
    assert host.numbers() == [("1", 0, [1, 2, 3, 4, 5]), ("2", 3, [])]
    host.acknowledge((ID, ONE, 5))
    assert host.numbers() == [("2", 3, [])]


def test_a_living_ones_cursor_waits_for_nobody(host: JournalHost) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    with (host.home / ".locks" / ID).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        began = time.monotonic()
        host.acknowledge((ID, ONE, 3))
        assert time.monotonic() - began < 4
    assert host.numbers() == [("1", 3, [])]


def test_many_who_note_at_once_do_no_harm(host: JournalHost) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    host.left(lines(life(TWO, identifier="0badcafe")), identifier="0badcafe")
    threads = [
        threading.Thread(target=host.acknowledge, args=((ID, ONE, number), ("0badcafe", TWO, number)))
        for number in (1, 2, 3, 3, 2, 1, 3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept, living = host.numbers()
    # A run that finds the lock gone leaves it to the next one: to send again does no harm, and the end is always kept.
    assert kept[0] == "2"
    assert kept[2] == list(range(kept[2][0], 6))
    assert living[1] in (0, 1, 2, 3)
    assert living[2] == list(range(living[1] + 1, 4))
    host.acknowledge((ID, ONE, 3), ("0badcafe", TWO, 5))
    assert host.numbers() == [("1", 3, [])]
    assert sorted(path.name for path in host.directory().iterdir()) == ["journal.acked", "journal.jsonl", "record.json"]


def test_a_host_that_went_away_is_a_sentence() -> None:
    def gone(name: str) -> HostTransport:
        raise HostUnreachable(name, f"{name} does not answer")

    away = Journals(FLEET, {"one": "/nowhere", "two": "/nowhere"}, gone)
    with pytest.raises(HostUnreachable):
        away.read("one")
    acknowledged = {name: [(ID, ONE, 3)] for name in ("one", "two")}
    assert away.acknowledge_all(acknowledged) == [
        f"cannot save the delivery state of State Hub on {name}: {name} does not answer" for name in ("one", "two")
    ]
    assert away.acknowledge_all({}) == []
