"""Events and logs: pages, streams, and their end."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandboxer.api import streams
from sandboxer.errors import HostUnreachable, SandboxNotFound, UsageError
from sandboxer.web.problems import ProblemKind
from tests.support.e2e import until
from tests.support.problems import assert_problem
from tests.unit.api.apis import BOUND, OTHER, Library, RunningApi, event

if TYPE_CHECKING:
    import httpx
    import pytest

SSE = {"Accept": "text/event-stream"}
EVENTS = "/v1/sandboxes/web/events"
LOGS = "/v1/sandboxes/web/logs"


@dataclass(frozen=True)
class Line:
    """A line of a log, as the library gives it."""

    service: str
    source: str
    text: str


def messages_of(answer: httpx.Response) -> list[dict[str, str]]:
    """Return the events of a stream that is over, each with its fields."""
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        found += [fields] if fields else []
    return found


def test_events_come_in_pages(api: RunningApi, library: Library) -> None:
    library.journal = [event(number) for number in range(1, 6)]
    numbers, after = [], ""
    while True:
        page = api.client.get(f"{EVENTS}?limit=2{after}").json()
        numbers += [one["data"]["number"] for one in page["items"]]
        assert page["complete"] is True
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert numbers == [1, 2, 3, 4, 5]
    assert_problem(api.client.get(f"{EVENTS}?after={'0' * 64}"), 400, "after")


def test_a_life_that_is_over_is_for_those_whose_it_was(api: RunningApi, library: Library) -> None:
    library.journal = [event(1, consumer="one", actor_type="atm")]
    assert api.ask("GET", EVENTS, BOUND).status_code == 200
    for headers in ({}, SSE):
        assert_problem(api.ask("GET", EVENTS, OTHER, headers=headers), ProblemKind.SANDBOX_NOT_FOUND)
    library.raises["events"] = SandboxNotFound("no host has a journal of web")
    for headers in ({}, SSE):
        assert_problem(api.ask("GET", EVENTS, headers=headers), 404)
    library.raises["events"] = HostUnreachable("lab-1", "gone")
    for headers in ({}, SSE):
        assert_problem(api.ask("GET", EVENTS, headers=headers), 503)


def test_a_stream_ends_with_the_life_and_resumes_after_the_last_event(api: RunningApi, library: Library) -> None:
    journal = [event(number) for number in range(1, 4)]
    library.journal = list(journal)
    answer = api.ask("GET", EVENTS, headers=SSE)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert [one["id"] for one in messages_of(answer)] == [one.id for one in journal]
    assert json.loads(messages_of(answer)[0]["data"])["data"]["number"] == 1
    assert messages_of(answer)[0]["event"] == "dev.sandboxer.sandbox.ready"
    again = api.ask("GET", EVENTS, headers={**SSE, "Last-Event-ID": journal[1].id})
    assert [one["id"] for one in messages_of(again)] == [journal[2].id]
    gone = api.ask("GET", EVENTS, headers={**SSE, "Last-Event-ID": "0" * 64})
    assert len(messages_of(gone)) == 3, "that one was of a life that is gone"


def test_a_stream_sends_comments_and_ends_with_the_server(library: Library) -> None:
    library.journal = [event(1)]
    library.held["events-end"] = threading.Event()
    with RunningApi(library) as api, api.client.stream("GET", EVENTS, headers=SSE) as answer:
        lines = answer.iter_lines()
        assert next(line for line in lines if line.startswith(": still"))
        assert "sandboxer_api_streams 1.0" in api.ask("GET", "/metrics").text
        api.end()
        list(lines)


def test_a_reader_who_goes_frees_the_stream(api: RunningApi, library: Library) -> None:
    library.journal = [event(1)]
    library.held["events-end"] = threading.Event()
    with api.of(BOUND) as _, api.client.stream("GET", EVENTS, headers=SSE) as answer:
        next(answer.iter_lines())
    until(lambda: "sandboxer_api_streams 0.0" in api.ask("GET", "/metrics").text, "it is over")


def test_streams_are_limited(api: RunningApi, library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_OF_ONE", 1)
    library.journal = [event(1)]
    library.held["events-end"] = threading.Event()
    with api.client.stream("GET", EVENTS, headers=SSE) as answer:
        lines = answer.iter_lines()  # kept, for a reader that is collected ends the stream
        next(lines)
        refused = api.ask("GET", EVENTS, headers=SSE)
        assert_problem(refused, ProblemKind.TOO_MANY_STREAMS)
        assert refused.headers["Retry-After"]


def test_a_stream_that_breaks_off_reports_the_reason(api: RunningApi, library: Library) -> None:
    def broken(name: str, *, follow: bool = False) -> Any:
        yield event(1)
        if follow:
            raise HostUnreachable("lab-1", "lab-1 does not answer any more")

    library.events = broken  # type: ignore[method-assign]
    last = messages_of(api.ask("GET", EVENTS, headers=SSE))[-1]
    assert (last["event"], json.loads(last["data"])) == ("error", {"detail": "lab-1 does not answer any more"})


def test_logs_are_text_or_a_stream(api: RunningApi, library: Library) -> None:
    made = library.add()
    library.lines = [Line("web", "web-2", "one"), Line("db", "db", "zwei \u2028 \xe4")]
    answer = api.client.get(f"{LOGS}?service=web&service=db&tail=5&timestamps=true")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text == "web-2 | one\ndb | zwei \u2028 \xe4\n"
    given = {"services": ["web", "db"], "tail": 5, "follow": False, "timestamps": True}
    assert ("logs", made["id"], given) in library.calls
    stream = messages_of(api.client.get(f"{LOGS}?follow=true", headers=SSE))
    assert [json.loads(one["data"]) for one in stream] == [
        {"service": "web", "source": "web-2", "text": "one"},
        {"service": "db", "source": "db", "text": "zwei \u2028 \xe4"},
    ]


def test_logs_of_what_is_not_there(api: RunningApi, library: Library) -> None:
    assert_problem(api.client.get(LOGS), 404)
    library.add()
    library.raises["logs"] = UsageError("web has no service x")
    assert_problem(api.client.get(f"{LOGS}?service=x"), ProblemKind.SERVICE_NOT_FOUND)
    library.raises["logs"] = HostUnreachable("lab-1", "gone")
    assert_problem(api.client.get(LOGS), 503)


def test_a_slow_reader_costs_no_memory_and_misses_nothing(api: RunningApi, library: Library) -> None:
    library.add()
    library.lines = [Line("web", "web", f"{number} {'x' * 2000}") for number in range(5000)]
    assert len(api.client.get(LOGS).text.splitlines()) == 5000
