"""Reports to State Hub during a run: real journals on this machine, real connections to a hub that lies."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from sandboxer.errors import HostUnreachable
from sandboxer.hosts.journals import Journals
from sandboxer.lifecycle import delivery as module
from sandboxer.model.event import Event, drift_event, gap_then
from sandboxer.model.lifecycle import Phase
from sandboxer.model.plan import FieldChange
from tests.support.deliveries import STARTED_RUN, Deliveries, finished, is_ready, numbers, of, started
from tests.support.handles import registration as registration_of
from tests.support.hubs import TAKES, Answer, LyingHub, Request, Talk, says
from tests.support.journal_host import NOW, ONE, RECORD, TWO, JournalHost, life, lines
from tests.support.local_hosts import FLEET, ID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxer.model.hub import Registration
    from sandboxer.model.protocols import HostTransport


OTHERS = tuple(f"0000000{number}" for number in range(8))
REGISTRATION = registration_of(id=ID)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[JournalHost]:
    host = JournalHost.create(tmp_path)
    yield host
    host.close()


@pytest.fixture
def deliver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deliveries]:
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.005)
    with Deliveries(tmp_path) as deliver:
        yield deliver


# --- what is sent, and in which order


def test_unacknowledged_events_of_the_journals_are_sent_and_noted(host: JournalHost, deliver: Deliveries) -> None:
    host.lives(ONE, lines(life(ONE, 3)), cursor=f"{ONE} 1\n")
    host.left(lines(life(TWO, identifier=OTHERS[0])[3:]), identifier=OTHERS[0])
    with LyingHub() as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        assert finished(delivery) == []
        assert delivery.sent == 2
        again = deliver(lying)
        again.begin(host.journals, ["one"])
        assert finished(again) == []
        assert again.sent == 0
    assert numbers(lying) == of(ONE, 2, 3)
    assert numbers(lying, OTHERS[0]) == of(TWO, 4, 5)
    assert host.numbers() == [("1", 3, [])]
    assert not host.kept(OTHERS[0]).exists()


def test_what_the_run_does_is_sent_after_the_waiting_events(host: JournalHost, deliver: Deliveries) -> None:
    events = life(ONE)
    host.lives(ONE, lines(events[:3]))
    with LyingHub() as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        for event in events[3:]:  # it is read meanwhile, with these or without
            delivery.enqueue(event, "one")
        assert finished(delivery) == []
    assert numbers(lying) == of(ONE, 1, 2, 3, 4, 5)
    assert host.numbers() == [("1", 5, [])]


def test_what_was_read_already_is_not_sent_twice(host: JournalHost, deliver: Deliveries) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    with LyingHub() as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        delivery.begin(host.journals, ["one"])
        for event in life(ONE, 3) * 2:
            delivery.enqueue(event, "one")
        assert finished(delivery) == []
    assert numbers(lying) == of(ONE, 1, 2, 3)


def test_a_life_that_begins_is_sent_from_its_first_event(host: JournalHost, deliver: Deliveries) -> None:
    with LyingHub() as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        is_ready(delivery)
        host.lives(ONE, lines(life(ONE, 3)))
        for event in life(ONE, 3):
            delivery.enqueue(event, "one")
        assert finished(delivery) == []
    assert numbers(lying) == of(ONE, 1, 2, 3)
    assert host.numbers() == [("1", 3, [])]


def test_an_event_behind_one_that_is_not_known_waits_for_the_next_run(host: JournalHost, deliver: Deliveries) -> None:
    """An acknowledgement of it would also acknowledge the one before it."""
    events = life(ONE)
    host.lives(ONE, lines(events[:2]))
    with LyingHub() as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        is_ready(delivery)
        host.lives(ONE, lines(events[:4]))  # 3 is another client's
        delivery.enqueue(events[3], "one")
        delivery.enqueue(life(TWO, 3, identifier=OTHERS[0])[2], "one")  # of a life of which nothing is known
        assert finished(delivery) == []
        assert numbers(lying) == of(ONE, 1, 2)
        assert host.numbers() == [("1", 2, [3, 4])]
        next_run = deliver(lying)
        next_run.begin(host.journals, ["one"])
        assert finished(next_run) == []
    assert numbers(lying) == of(ONE, 1, 2, 3, 4)
    assert numbers(lying, OTHERS[0]) == []


def test_a_journal_that_begins_again_is_sent(host: JournalHost, deliver: Deliveries) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    record = RECORD.model_copy(update={"uid": ONE})
    unknown_host = gap_then(record, Phase.PROVISIONING, at=NOW, reason="r")
    with LyingHub() as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        is_ready(delivery)
        for event in unknown_host:
            delivery.enqueue(event, "one")
        assert finished(delivery) == []
    assert numbers(lying) == of(ONE, 1, 2, 3, unknown_host[0].number, unknown_host[1].number)


def test_hosts_that_were_not_begun_are_not_reported(host: JournalHost, deliver: Deliveries) -> None:
    with LyingHub() as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, [])
        delivery.enqueue(life(ONE)[0], "one")
        assert finished(delivery) == []
    assert lying.events == []


def test_a_life_and_the_one_after_it_are_sent_in_turn(host: JournalHost, deliver: Deliveries) -> None:
    first, second = life(ONE), life(TWO, 3)
    host.lives(ONE, lines(first[:3]), cursor=f"{ONE} 2\n")
    with LyingHub() as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        is_ready(delivery)
        host.lives(ONE, lines(first[:4]), cursor=f"{ONE} 2\n")
        host.remove(ONE, first[4])
        host.lives(TWO, lines(second))
        for event in [*first[3:], *second]:
            delivery.enqueue(event, "one")
        assert finished(delivery) == []
    assert numbers(lying) == [*of(ONE, 3, 4, 5), *of(TWO, 1, 2, 3)]
    assert host.numbers() == [("2", 3, [])]
    assert not host.kept().exists()


class _Count:
    """Answers a little later, and counts the requests that are under way at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    def answer(self, request: Request) -> Answer:
        return Answer(self._act)

    def _act(self, talk: Talk) -> None:
        subject = talk.request.json["subject"]
        with self.lock:
            self.now[subject] += 1
            self.most[subject] = max(self.most[subject], self.now[subject])
            self.most["all"] = max(self.most["all"], self.now.total())
        time.sleep(0.05)
        with self.lock:
            self.now[subject] -= 1
        TAKES.act(talk)


def test_one_at_a_time_of_a_sandbox_and_four_of_all(host: JournalHost, deliver: Deliveries) -> None:
    for identifier in OTHERS:
        host.lives(ONE, lines(life(ONE, 3, identifier=identifier)), identifier=identifier)
    count = _Count()
    with LyingHub(choose=count.answer) as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        assert finished(delivery) == []
    assert {count.most[identifier] for identifier in OTHERS} == {1}
    assert count.most["all"] in (2, 3, 4)
    assert all(numbers(lying, identifier) == of(ONE, 1, 2, 3) for identifier in OTHERS)


# --- registrations, and events of runs


def _requests(lying: LyingHub) -> list[str]:
    return [
        f"{request.method} {request.json['data']['phase']}" if request.path == "/events" else request.method
        for request in lying.requests
    ]


def test_an_identity_is_registered_while_it_is_ready(host: JournalHost, deliver: Deliveries) -> None:
    host.lives(ONE, lines(life(ONE)))
    request: list[tuple[str, ...]] = []

    def registration(*about: str) -> Registration | None:
        request.append(about)
        return REGISTRATION

    with LyingHub() as lying:
        delivery = deliver(lying, registration)
        delivery.begin(host.journals, ["one"])
        assert finished(delivery) == []
    assert _requests(lying) == [
        "POST requested",
        "POST provisioning",
        "POST ready",
        "PUT",
        "POST destroying",
        "POST destroyed",
        "DELETE",
    ]
    assert request == [(ONE, ID, "one")]
    assert lying.requests[3].json == REGISTRATION.to_json()
    assert (lying.requests[6].path, lying.requests[6].query) == (f"/sandboxes/{ID}", f"host=one&uid={ONE}")


def test_reported_drift_renews_the_registration(host: JournalHost, deliver: Deliveries) -> None:
    drift = [FieldChange("services.web.state", "running", "exited (1)")]
    record = RECORD.model_copy(update={"uid": ONE})
    host.lives(ONE, lines(life(ONE, 3)), cursor=f"{ONE} 3\n")
    with LyingHub() as lying:
        delivery = deliver(lying, lambda *_: REGISTRATION)
        delivery.begin(host.journals, ["one"])
        is_ready(delivery)
        for number, fields in ((4, drift), (5, [])):
            event = drift_event(record, fields, at=NOW, reason="r").model_copy(update={"number": number})
            delivery.enqueue(event, "one")
        assert finished(delivery) == []
    assert [request.method for request in lying.requests] == ["POST", "PUT"] * 2
    assert [event["type"].rpartition(".")[2] for event in lying.events] == ["detected", "resolved"]


def test_one_that_is_not_ready_any_more_is_not_registered(host: JournalHost, deliver: Deliveries) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    with LyingHub() as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        assert finished(delivery) == []
    assert _requests(lying) == ["POST requested", "POST provisioning", "POST ready"]


@pytest.mark.parametrize("status", [404, 405, 413, 501])
def test_a_hub_without_registrations_gets_the_events(host: JournalHost, deliver: Deliveries, status: int) -> None:
    host.lives(ONE, lines(life(ONE)))
    with LyingHub(choose=lambda request: TAKES if request.path == "/events" else says(status)) as lying:
        delivery = deliver(lying, lambda *_: REGISTRATION)
        delivery.begin(host.journals, ["one"])
        delivery.renew("one", ID, REGISTRATION)
        assert finished(delivery) == []
    assert numbers(lying) == of(ONE, 1, 2, 3, 4, 5)
    assert host.numbers() == [("1", 5, [])]


def test_a_registration_that_fails_for_a_moment_is_tried_again(host: JournalHost, deliver: Deliveries) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    with LyingHub(TAKES, TAKES, TAKES, says(503)) as lying:
        delivery = deliver(lying, lambda *_: REGISTRATION)
        delivery.begin(host.journals, ["one"])
        assert finished(delivery) == []
    assert _requests(lying)[2:] == ["POST ready", "PUT", "POST ready", "PUT"]
    assert host.numbers() == [("1", 3, [])]


def test_one_that_was_extended_is_registered_again_after_its_events(host: JournalHost, deliver: Deliveries) -> None:
    host.lives(ONE, lines(life(ONE, 2)))
    with LyingHub() as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        is_ready(delivery)
        delivery.renew("one", ID, REGISTRATION)
        assert finished(delivery) == []
    assert _requests(lying) == ["POST requested", "POST provisioning", "PUT"]


def test_a_registration_that_is_not_taken_is_no_event_that_waits(host: JournalHost, deliver: Deliveries) -> None:
    with LyingHub(otherwise=says(401)) as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        delivery.renew("one", ID, REGISTRATION)
        assert finished(delivery) == [
            f"State Hub at {lying.url}: answered 401 Unauthorized (check spec.stateHub.token)"
        ]


def test_an_event_of_a_run_is_sent_once_or_never(host: JournalHost, deliver: Deliveries) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    refuses = LyingHub(choose=lambda request: says(400) if request.json["subject"] == STARTED_RUN else TAKES)
    with refuses as lying:
        delivery = deliver(lying)
        delivery.announce(started())
        delivery.begin(host.journals, ["one"])
        assert finished(delivery) == [f"State Hub at {lying.url}: answered 400 Bad Request"]
        assert delivery.sent == 1
    assert numbers(lying) == of(ONE, 1, 2, 3)
    assert host.numbers() == [("1", 3, [])]


# --- hosts that are gone


def test_a_host_that_goes_away_is_reported_and_others_continue(
    host: JournalHost, deliver: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    gone = {"two"}

    def transport(name: str) -> HostTransport:
        if name in gone:
            raise HostUnreachable(name, f"{name} does not answer")
        return host.session.transport(name)

    journals = Journals(FLEET, {name: str(host.session.root("one")) for name in ("one", "two")}, transport)
    with LyingHub() as lying:
        delivery = deliver(lying)
        delivery.begin(journals, ["one", "two"])
        delivery.enqueue(life(TWO, identifier=OTHERS[0])[0], "two")
        is_ready(delivery)
        gone.add("one")
        assert finished(delivery) == [
            "the journals of two cannot be read: two does not answer",
            "cannot save the delivery state of State Hub on one: one does not answer",
        ]
        gone.clear()
        again = deliver(lying)
        again.begin(journals, ["one"])
        assert finished(again) == []
    assert numbers(lying) == of(ONE, 1, 2, 3, 1, 2, 3)
    assert len({event["id"] for event in lying.events}) == 3
    assert host.numbers() == [("1", 3, [])]


def test_its_threads_end_with_it(host: JournalHost, deliver: Deliveries) -> None:
    before = {thread.ident for thread in threading.enumerate()}
    events: list[Event] = life(ONE, 3)
    host.lives(ONE, lines(events))
    with LyingHub() as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        assert finished(delivery) == []
    left = [thread for thread in threading.enumerate() if thread.ident not in before]
    for thread in left:
        thread.join(10)
        assert not thread.is_alive(), thread.name
