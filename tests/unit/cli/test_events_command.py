"""``sandboxer events``, with this machine as the host."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sandboxer.model.event import drift_event
from sandboxer.model.plan import FieldChange
from tests.support.journal_host import NOW, ONE, RECORD, TWO, JournalHost, life, lines
from tests.support.local_hosts import ID
from tests.support.program import PROGRAM, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def host(tmp_path: Path) -> Iterator[JournalHost]:
    host = JournalHost.create(tmp_path)
    host.fleet()
    yield host
    host.close()


def start(host: JournalHost, *words: str) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        ["env", "--default-signal=INT", PROGRAM, "-C", host.session.folder / "fleet", "events", *words],
        env={**environment, "GIT_CONFIG_GLOBAL": os.devnull, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output_of(host: JournalHost, *words: str, code: int = 0) -> str:
    done = run("-C", host.session.folder / "fleet", "events", *words, COLUMNS="200")
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout or done.stderr


def numbers(out: str) -> list[tuple[str, int]]:
    reported = [json.loads(line)["data"] for line in out.splitlines()]
    return [(data["uid"][0], data["number"]) for data in reported]


def test_a_life_is_a_line_for_each_event(host: JournalHost) -> None:
    drift = [FieldChange("services.web.state", "running", "exited (1)")]
    record = RECORD.model_copy(update={"uid": ONE})
    found = [
        drift_event(record, fields, at=NOW, reason="r").model_copy(update={"number": number})
        for number, fields in ((4, drift), (5, []))
    ]
    host.lives(ONE, lines([*life(ONE, 3), *found]), cursor=f"{ONE} 3\n")
    assert [line.split("  ", 2)[1:] for line in output_of(host, ID).splitlines()] == [
        ["one", "requested     r"],
        ["one", "provisioning  r"],
        ["one", "ready         r  at 266f2a3"],
        ["one", "drift detected  services.web.state"],
        ["one", "drift resolved"],
    ]
    shown = [json.loads(line) for line in output_of(host, ID, "-o", "json").splitlines()]
    assert [event["type"] for event in shown][-2:] == ["dev.sandboxer.drift.detected", "dev.sandboxer.drift.resolved"]
    assert {event["specversion"] for event in shown} == {"1.0"}


def test_each_life_is_whole_and_each_event_is_shown_once(host: JournalHost) -> None:
    """With any clocks of the clients that acted, and also where a removal was interrupted."""
    first, later = life(ONE), life(TWO, 3)
    first[3] = first[3].model_copy(update={"at": NOW - timedelta(hours=1)})
    later = [event.model_copy(update={"at": NOW + timedelta(seconds=1)}) for event in later]
    host.left(lines([*first[2:], *later[:1]]))
    host.lives(TWO, lines(later))
    assert numbers(output_of(host, ID, "-o", "json")) == [
        *[("1", number) for number in (3, 4, 5)],
        *[("2", number) for number in (1, 2, 3)],
    ]


def test_there_is_none(host: JournalHost) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    assert 'no host has a journal of sandbox "other"' in " ".join(output_of(host, "other", code=1).split())


def test_it_is_followed_to_its_end(host: JournalHost) -> None:
    events = life(ONE)
    host.lives(ONE, lines(events[:3]))
    with start(host, ID, "--follow", "-o", "json") as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(3)]
        host.lives(ONE, lines(events[:4]))
        seen.append(process.stdout.readline())
        host.remove(ONE, events[4])
        out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert numbers("".join(seen) + out) == [("1", number) for number in range(1, 6)]
