"""A hub that refuses, fails, hangs or is slow: what waits on the hosts, the messages, and how long it takes."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from sandboxer.lifecycle import delivery as module
from sandboxer.lifecycle.delivery import ATTEMPTS
from tests.support.deliveries import Deliveries, finished, is_ready, numbers, of, started
from tests.support.hubs import CUTS, HANGS, TAKES, TOKEN, Answer, LyingHub, Request, Talk, says
from tests.support.journal_host import ONE, JournalHost, life, lines
from tests.support.local_hosts import ID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sandboxer.model.jsontypes import JsonObject


OTHERS = tuple(f"0000000{number}" for number in range(8))
REGISTRATION: JsonObject = {"id": ID, "name": "web"}


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


def test_what_is_refused_stops_its_sandbox_and_no_other(host: JournalHost, deliver: Deliveries) -> None:
    for identifier in OTHERS[:3]:
        host.lives(ONE, lines(life(ONE, 3, identifier=identifier)), identifier=identifier)

    def choose(request: Request) -> Answer:
        bad = request.json["subject"] == OTHERS[0] and request.json["data"]["number"] == 2
        return says(400, {"detail": "data.phase: no phase"}) if bad else TAKES

    with LyingHub(choose=choose) as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        (message,) = finished(delivery)
        assert message == (
            f"State Hub at {lying.url}: answered 400 Bad Request: data.phase: no phase; "
            "2 events wait on the hosts (sent by the next run, or by `sandboxer hub flush`)"
        )
    assert [numbers(lying, identifier) for identifier in OTHERS[:3]] == [of(ONE, 1, 2), *[of(ONE, 1, 2, 3)] * 2]
    assert [one[1:] for one in host.numbers()] == [(1, [2, 3]), (3, []), (3, [])]


def test_what_fails_for_a_moment_is_tried_again_in_its_order(host: JournalHost, deliver: Deliveries) -> None:
    host.lives(ONE, lines(life(ONE)))
    with LyingHub(says(503), TAKES, CUTS, says(500), says(429, Retry_After="0"), TAKES, says(502)) as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        assert finished(delivery) == []
    assert numbers(lying) == of(ONE, 1, 1, 2, 2, 2, 2, 3, 3, 4, 5)
    assert host.numbers() == [("1", 5, [])]


def test_a_hub_is_not_contacted_before_retry_after(host: JournalHost, deliver: Deliveries) -> None:
    host.lives(ONE, lines(life(ONE, 1)))
    request: list[float] = []

    def choose(_: Request) -> Answer:
        request.append(time.monotonic())
        return TAKES if len(request) > 1 else says(429, Retry_After="1")

    with LyingHub(choose=choose) as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        assert finished(delivery) == []
    first, second = request
    assert second - first >= 1.0


# The answer, how often it is requested, and the message about it.
GIVEN_UP = {
    "again and again": (says(503), ATTEMPTS, "answered 503 Service Unavailable"),
    "cut again and again": (CUTS, ATTEMPTS, ""),
    "later than a run can wait": (says(503, Retry_After="120"), 1, "answered 503 Service Unavailable"),
    "another token": (says(401), 1, "answered 401 Unauthorized (check spec.stateHub.token)"),
    "elsewhere": (says(302, Location="/"), 1, "answered 302 Found"),
    "nothing": (says(200), 1, "answered 200 OK without a body, which acknowledges nothing"),
}


@pytest.mark.parametrize("case", GIVEN_UP)
def test_a_hub_is_given_up(host: JournalHost, deliver: Deliveries, case: str) -> None:
    answer, times, why = GIVEN_UP[case]
    host.lives(ONE, lines(life(ONE, 3)))
    with LyingHub(otherwise=answer) as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        (message,) = finished(delivery)
        assert message.startswith(f"State Hub at {lying.url}: {why}")
        assert message.endswith("; 3 events wait on the hosts (sent by the next run, or by `sandboxer hub flush`)")
        assert TOKEN not in message
    assert len(lying.requests) == times
    assert host.numbers() == [("1", 0, [1, 2, 3])]


def test_a_hub_that_is_not_there_is_one_sentence(host: JournalHost, deliver: Deliveries) -> None:
    for identifier in OTHERS:
        host.lives(ONE, lines(life(ONE, 3, identifier=identifier)), identifier=identifier)
    with LyingHub() as lying:
        pass
    delivery = deliver(lying)
    delivery.announce(started())
    delivery.begin(host.journals, ["one"])
    (message,) = finished(delivery)
    assert "refused; 24 events wait on the hosts" in message


def test_a_hub_with_retry_after_beyond_the_run_is_named(
    host: JournalHost, deliver: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE", 60.0)
    host.lives(ONE, lines(life(ONE, 3)))
    with LyingHub(otherwise=says(503)) as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        (message,) = delivery.finish(grace=2.0)
    assert ": answered 503 Service Unavailable; 3 events wait" in message


# --- time


def test_a_hub_that_hangs_costs_its_grace_and_nothing_once_that_has_passed(
    host: JournalHost, deliver: Deliveries
) -> None:
    host.lives(ONE, lines(life(ONE, 3)))
    with LyingHub(otherwise=HANGS) as lying:
        for before, least, most in ((0.0, 0.3, 6.0), (1.2, 0.0, 0.7)):
            delivery = deliver(lying)
            delivery.begin(host.journals, ["one"])
            while not lying.requests:
                time.sleep(0.01)
            time.sleep(before)
            began = time.monotonic()
            (message,) = delivery.finish(grace=1.0)
            assert least <= time.monotonic() - began < most
            assert message.startswith(f"State Hub at {lying.url}: no answer within 1 s; 3 events wait on the hosts")
            lying.requests.clear()
    assert host.numbers() == [("1", 0, [1, 2, 3])]


def test_events_during_a_hang_of_the_hub_delay_nobody(host: JournalHost, deliver: Deliveries) -> None:
    with LyingHub(otherwise=HANGS) as lying:
        delivery = deliver(lying)
        began = time.monotonic()
        delivery.announce(started())
        delivery.begin(host.journals, ["one"])
        for event in life(ONE):
            delivery.enqueue(event, "one")
        delivery.renew("one", ID, REGISTRATION)
        assert time.monotonic() - began < 2
        assert len(delivery.finish(grace=0.1)) == 1


def test_a_hub_that_keeps_acknowledging_gets_more_time_up_to_a_limit(host: JournalHost, deliver: Deliveries) -> None:
    many = [life(ONE, 1)[0].model_copy(update={"number": number}) for number in range(1, 200)]
    host.lives(ONE, lines(many))

    def act(talk: Talk) -> None:
        time.sleep(0.05)
        TAKES.act(talk)

    with LyingHub(otherwise=Answer(act)) as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        began = time.monotonic()
        (message,) = delivery.finish(grace=1.4, most=1.5)
        assert 1.4 < time.monotonic() - began < 8
        assert message.startswith(f"State Hub at {lying.url}: ")
    ((_, cursor, left),) = host.numbers()
    assert 0 < cursor < 40
    assert f"; {len(left)} events wait on the hosts" in message
    assert left == list(range(cursor + 1, 200))


def test_what_is_acknowledged_after_the_end_is_not_noted_and_sent_again(host: JournalHost, deliver: Deliveries) -> None:
    host.lives(ONE, lines(life(ONE, 2)))
    go = threading.Event()

    def act(talk: Talk) -> None:
        go.wait(20)
        TAKES.act(talk)

    with LyingHub(Answer(act)) as lying:
        delivery = deliver(lying)
        delivery.begin(host.journals, ["one"])
        assert len(delivery.finish(grace=0.3)) == 1
        go.set()
        is_ready(delivery)
        assert host.numbers() == [("1", 0, [1, 2])]
        again = deliver(lying)
        again.begin(host.journals, ["one"])
        assert finished(again) == []
    assert numbers(lying) == of(ONE, 1, 1, 2)
    assert lying.events[0] == lying.events[1]
