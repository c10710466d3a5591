"""The line of operations: its order, its limits, its end; and what the server does by itself."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.api.operations import HandedOver, Job, Operations, Superseded
from sandboxer.client import Abandoned
from sandboxer.errors import HostUnreachable
from sandboxer.web.problems import HttpProblem, ProblemKind
from tests.support.e2e import until
from tests.unit.api.apis import Library, RunningApi

if TYPE_CHECKING:
    from collections.abc import Callable


class Line:
    """A line whose jobs wait until they are let go; ``ran`` is their order."""

    def __init__(self, at_once: int = 1, queue: int = 10) -> None:
        self.go = threading.Event()
        self.ran: list[str] = []
        self.ended: list[tuple[str, BaseException | None]] = []
        self.operations = Operations(at_once, queue, lambda job, _, error: self.ended.append((job.id, error)))

    def put(self, identifier: str, kind: Any = "make", act: Callable[[], Any] | None = None) -> Job:
        def waits() -> str:
            assert self.go.wait(30)
            self.ran.append(f"{kind} {identifier}")
            return identifier

        with self.operations.reserve():
            return self.operations.submit(identifier, kind, act or waits)


def test_jobs_run_in_their_order_and_the_same_one_once() -> None:
    line = Line()
    jobs = [line.put("a"), line.put("b"), line.put("a", "recreate"), line.put("c")]
    assert line.put("b") is jobs[1]
    assert line.put("c") is jobs[3]
    assert line.operations.busy() == {"a", "b", "c"}
    line.go.set()
    assert [job.future.result(30) for job in jobs] == ["a", "b", "a", "c"]
    assert line.ran == ["make a", "make b", "recreate a", "make c"]
    until(lambda: not line.operations.busy(), "all are over")


def test_two_of_one_sandbox_never_run_side_by_side() -> None:
    line = Line(at_once=3)
    first = line.put("a")
    until(lambda: line.operations.counts() == (1, 0), "the first runs")
    jobs = [first, line.put("a", "destroy"), line.put("b")]
    until(lambda: line.operations.counts() == (2, 1), "the other one runs")
    line.go.set()
    for job in jobs:
        job.future.result(30)
    assert line.ran.index("make a") < line.ran.index("destroy a")


def test_what_was_not_begun_yields_to_a_destroy() -> None:
    line = Line()
    _, waits = line.put("a"), line.put("b")
    gone = line.put("b", "destroy")
    assert isinstance(waits.future.exception(30), Superseded)
    line.go.set()
    assert gone.future.result(30) == "b"
    assert line.ran == ["make a", "destroy b"]


def test_a_reserved_position_is_kept_and_freed() -> None:
    line = Line(at_once=1, queue=1)
    line.put("a")
    with line.operations.reserve(), pytest.raises(HttpProblem, match="too many") as error, line.operations.reserve():
        pass
    assert (error.value.status, int(error.value.headers["Retry-After"]) >= 1) == (429, True)
    line.put("b")
    line.go.set()


def test_an_error_is_the_jobs_own() -> None:
    line = Line()
    job = line.put("a", act=lambda: 1 // 0)
    assert isinstance(job.future.exception(30), ZeroDivisionError)
    line.go.set()
    assert line.put("b").future.result(30) == "b"
    assert [(one, type(error)) for one, error in line.ended] == [("a", ZeroDivisionError), ("b", type(None))]


def test_at_the_end_what_runs_may_finish_and_the_rest_is_handed_over() -> None:
    line = Line()
    runs, waits = line.put("a"), line.put("b")
    until(lambda: line.operations.counts() == (1, 1), "one runs")
    threading.Timer(0.2, line.go.set).start()
    assert line.operations.close(grace=30) == 1
    assert runs.future.result(30) == "a"
    assert isinstance(waits.future.exception(30), HandedOver)
    with pytest.raises(HttpProblem, match="shutting down") as refused, line.operations.reserve():
        pass
    assert refused.value.kind is ProblemKind.SHUTTING_DOWN
    assert isinstance(line.operations.submit("c", "make", lambda: None).future.exception(1), HandedOver)


def test_what_does_not_finish_in_time_is_handed_over() -> None:
    line = Line()
    runs = line.put("a")
    until(lambda: line.operations.counts() == (1, 0), "it runs")
    assert line.operations.close(grace=0.1) == 1
    assert isinstance(runs.future.exception(1), HandedOver)
    line.go.set()
    until(lambda: line.ended == [("a", None)], "it ended all the same")


def test_whoever_does_not_want_to_wait_for_the_end_need_not() -> None:
    line = Line()
    line.put("a")
    until(lambda: line.operations.counts() == (1, 0), "it runs")
    threading.Timer(0.1, line.operations.hurry).start()
    assert line.operations.close(grace=600) == 1
    line.go.set()


def test_a_wait_for_a_job_ends_in_time() -> None:
    line = Line()
    job = line.put("a")
    assert asyncio.run(job.over(0.1)) is False
    line.go.set()
    assert asyncio.run(job.over(30)) is True
    assert asyncio.run(job.over(0)) is True or job.future.done()


# --- what the server does by itself


def test_what_was_cut_off_is_gone_on_with_at_the_start(library: Library) -> None:
    made, gone = library.add("made", phase="provisioning"), library.add("gone", phase="destroying")
    library.left = [Abandoned(made["id"], "made", "resume"), Abandoned(gone["id"], "gone", "destroy")]
    with RunningApi(library) as api:
        until(lambda: library.there.keys() == {made["id"]}, "one is destroyed")
        until(lambda: library.there[made["id"]]["phase"] == "ready", "the other is made")
        assert ("info", f'resuming sandbox "made" ({made["id"]}): resume') in api.messages


def test_a_sweep_that_fails_ends_nothing(library: Library) -> None:
    library.raises["abandoned"] = HostUnreachable("lab-1", "gone")
    library.raises["reap"] = ZeroDivisionError()
    with RunningApi(library, reap_every=0.05) as api:
        until(lambda: library.called("reap") > 2, "it goes on")
        assert api.client.get("/healthz").status_code == 200
        assert ("warning", "sweep: gone") in api.messages
        assert any(words.startswith("reap: ZeroDivisionError at ") for _, words in api.messages)


def test_it_reaps_only_where_it_shall(api: RunningApi, library: Library) -> None:
    until(lambda: api.client.get("/readyz").status_code == 200, "it has looked")
    assert library.called("reap") == 0


def test_whoever_waits_when_the_server_ends_gets_the_current_state(library: Library) -> None:
    library.held["resume"] = threading.Event()
    with RunningApi(library, operations=1, grace=0.2) as api:
        answers: list[Any] = []
        threads = [
            threading.Thread(target=lambda name=name: answers.append(api.create("?wait=60", name=name)))
            for name in ("a", "b")
        ]
        for thread in threads:
            thread.start()
        until(lambda: library.called("create") == 2, "both wait")
        until(lambda: "queued 1.0" in api.ask("GET", "/metrics").text, "one of them in line")
        with api.of("token-of-all") as kept:
            kept.get("/healthz")
            api.end()
            for thread in threads:
                thread.join(30)
    assert [(one.status_code, one.json()["phase"]) for one in answers] == [(202, "requested")] * 2
    assert any("2 operations are not finished" in words for _, words in api.messages)
    library.held["resume"].set()


def test_nothing_is_begun_while_the_server_ends(library: Library) -> None:
    library.add()
    library.held["resume"] = threading.Event()
    with RunningApi(library, grace=30) as api, api.of("token-of-all") as kept:
        kept.post("/v1/sandboxes", json={"profile": "profile.web", "name": "a"})
        until(lambda: library.called("resume") == 1, "it runs")
        slow = library.held["create"] = threading.Event()
        answers: list[Any] = []
        thread = threading.Thread(
            target=lambda: answers.append(kept.post("/v1/sandboxes", json={"profile": "profile.web", "name": "b"}))
        )
        thread.start()
        until(lambda: library.called("create") == 2, "the second is put on record")
        api.end()
        until(lambda: api._servers[0].servers[0].sockets == (), "no connection is taken any more")
        slow.set()
        thread.join(30)
        assert answers[0].status_code == 202, "what is on record is accepted"
        library.held["resume"].set()
    assert library.called("resume") == 1
