"""The stream: each event as it is stored, from where a reader left off, until the hub ends."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import httpx

from tests.support.handles import UID
from tests.support.problems import assert_problem
from tests.unit.hub.hubs import SANDBOX, RunningHub, event, registration

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def messages(answer: httpx.Response) -> Iterator[dict[str, str]]:
    """Yield the blocks of a stream, comments under the name ``""``."""
    block: dict[str, str] = {}
    for line in answer.iter_lines():
        if line:
            name, _, value = line.partition(":")
            block[name] = value.strip()
        else:
            yield block
            block = {}


def number(message: dict[str, str]) -> int:
    assert message["event"] == "event"
    value: int = json.loads(message["data"])["data"]["number"]
    return value


def test_an_event_reaches_whoever_listens_and_what_was_before_does_not(hub: RunningHub) -> None:
    hub.take(event(1))
    with hub.client.stream("GET", "/stream") as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        received = messages(answer)
        first = next(received)
        assert set(first) == {"id", ""}
        hub.take(event(2))
        message = next(received)
        assert json.loads(message["data"]) == event(2)
        assert message["id"] != first["id"]
        hub.post(event(2))
        hub.take(event(3))
        assert number(next(received)) == 3


def test_a_reader_resumes_where_it_was_interrupted(hub: RunningHub) -> None:
    with hub.client.stream("GET", "/stream") as answer:
        cursor = next(messages(answer))["id"]
    hub.take(event(1), event(2))
    for seen in ([1, 2], [2]):
        with hub.client.stream("GET", "/stream", headers={"Last-Event-ID": cursor}) as answer:
            received = messages(answer)
            assert next(received)["id"] == cursor
            events = [next(received) for _ in seen]
            assert [number(one) for one in events] == seen
            cursor = events[0]["id"]


def test_a_reader_resumes_after_a_restart(tmp_path: Path) -> None:
    with RunningHub(tmp_path / "hub.sqlite") as first, first.client.stream("GET", "/stream") as answer:
        received = messages(answer)
        next(received)
        first.take(event(1))
        cursor = next(received)["id"]
        first.stop()
        assert list(received) == []  # ended, and not broken off
    with RunningHub(tmp_path / "hub.sqlite") as second:
        second.take(event(2))
        with second.client.stream("GET", "/stream", headers={"Last-Event-ID": cursor}) as answer:
            received = messages(answer)
            next(received)
            assert number(next(received)) == 2


def test_a_cursor_of_another_database_is_refused(hub: RunningHub) -> None:
    assert_problem(hub.client.get("/stream", headers={"Last-Event-ID": "00000000-5"}), 400, "Last-Event-ID")
    assert_problem(hub.client.get("/stream", headers={"Last-Event-ID": "x"}), 400, "Last-Event-ID")


def test_a_cursor_of_the_list_of_events_is_valid_in_the_stream(hub: RunningHub) -> None:
    hub.take(event(1), event(2), event(3))
    cursor = hub.client.get("/events", params={"limit": 1}).json()["next"]
    with hub.client.stream("GET", "/stream", headers={"Last-Event-ID": cursor}) as answer:
        received = messages(answer)
        next(received)
        assert [number(next(received)), number(next(received))] == [2, 3]


def test_an_idle_stream_sends_comments(tmp_path: Path) -> None:
    with RunningHub(tmp_path / "hub.sqlite", heartbeat=0.05) as hub, hub.client.stream("GET", "/stream") as answer:
        received = messages(answer)
        next(received)
        assert [next(received), next(received)] == [{"": "still here"}] * 2
        hub.take(event(1))
        assert next(one for one in received if "event" in one)["event"] == "event"


def test_a_registration_is_sent_without_a_cursor(hub: RunningHub) -> None:
    with hub.client.stream("GET", "/stream") as answer:
        received = messages(answer)
        next(received)
        hub.put(registration())
        assert next(received) == {"event": "registration", "data": "{}"}
        hub.client.delete(f"/sandboxes/{SANDBOX}", params={"host": "lab-1", "uid": UID})
        assert next(received) == {"event": "registration", "data": "{}"}


def test_many_readers_get_every_event_while_many_write(hub: RunningHub) -> None:
    with hub.client.stream("GET", "/stream") as answer:
        start = next(messages(answer))["id"]
    numbers: list[list[int]] = []

    def read() -> None:
        headers: dict[str, Any] = {**hub.client.headers, "Last-Event-ID": start}
        with httpx.stream("GET", f"{hub.url}stream", headers=headers, timeout=30, trust_env=False) as answer:
            received = messages(answer)
            next(received)
            numbers.append([number(next(received)) for _ in range(40)])

    readers = [threading.Thread(target=read) for _ in range(3)]
    writers = [
        threading.Thread(target=lambda part=part: hub.take(*(event(n, minute=1) for n in part)))
        for part in (range(1, 21), range(21, 41))
    ]
    for thread in [*readers, *writers]:
        thread.start()
    for thread in [*readers, *writers]:
        thread.join(60)
    assert len(numbers) == 3
    assert sorted(numbers[0]) == list(range(1, 41))
    assert numbers[1] == numbers[0]
    assert numbers[2] == numbers[0]


def test_the_hub_ends_soon_with_idle_readers(tmp_path: Path) -> None:
    with RunningHub(tmp_path / "hub.sqlite") as hub, hub.client.stream("GET", "/stream") as answer:
        received = messages(answer)
        next(received)
        begun = time.monotonic()
        hub.stop()
        assert time.monotonic() - begun < 5
        assert list(received) == []
