"""The queue of operations that change sandboxes: a fixed number run at once, the rest wait in order of arrival.

Nothing here is persistent: a requested sandbox is on record on its host before it enters this queue.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from sandboxer.web.problems import HttpProblem, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Kind = Literal["make", "recreate", "destroy"]
KINDS: tuple[Kind, ...] = ("make", "recreate", "destroy")

_FIRST_GUESS, _LONGEST_RETRY = 5.0, 60  # seconds


class HandedOver(Exception):
    """The server shut down before the operation was finished; the sandbox's record has its progress."""


class Superseded(Exception):
    """The operation did not start because the sandbox is to be destroyed."""


@dataclass(eq=False, slots=True)
class Job:
    """One operation on one sandbox. ``act`` is called once, in a thread."""

    id: str
    kind: Kind
    act: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future)

    async def over(self, seconds: float) -> bool:
        """Wait at most this many seconds for the end of the job; return whether it ended."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def notify(_: Future[Any]) -> None:
            with suppress(RuntimeError):  # the loop ended first
                loop.call_soon_threadsafe(done.set)

        self.future.add_done_callback(notify)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await done.wait()
        return self.future.done()


class Operations:
    """Queue in which at most ``at_once`` jobs run and ``queue`` wait. Two for one sandbox never run side by side.

    ``ended`` is called for every job that ran, with its seconds and its error or None.
    """

    def __init__(self, at_once: int, queue: int, ended: Callable[[Job, float, BaseException | None], None]) -> None:
        self._at_once, self._queue, self._ended = at_once, queue, ended
        self._changed = threading.Condition()
        self._waiting: list[Job] = []
        self._running: dict[str, Job] = {}
        self._reserved = 0
        self._usual = _FIRST_GUESS
        self.closed, self._hurried = False, False
        for number in range(at_once):
            threading.Thread(target=self._work, name=f"operation-{number}", daemon=True).start()

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Reserve a position in the queue during the block; release it at the end if ``submit`` did not use it.

        Raise HttpProblem: 429 if the queue is full, 503 if the server is shutting down.
        """
        with self._changed:
            self._must_be_open()
            taken = len(self._waiting) + len(self._running) + self._reserved
            if taken >= self._at_once + self._queue:
                turns = math.ceil(taken / self._at_once)
                retry = min(_LONGEST_RETRY, max(1, math.ceil(turns * self._usual / 2)))
                raise HttpProblem(
                    ProblemKind.TOO_MANY_OPERATIONS, "too many queued operations", headers={"Retry-After": str(retry)}
                )
            self._reserved += 1
        try:
            yield
        finally:
            with self._changed:
                self._reserved -= 1

    def submit(self, identifier: str, kind: Kind, act: Callable[[], Any]) -> Job:
        """Queue a job, or return an equal one that is already queued. Call it in the block of ``reserve``.

        A destroy supersedes jobs that have not started. If the server is shutting down, hand the job over at once.
        """
        dropped: list[Job] = []
        with self._changed:
            if self.closed:
                dropped = [Job(identifier, kind, act)]
                dropped[0].future.set_exception(HandedOver())
                return dropped[0]
            running = self._running.get(identifier)
            waiting = [job for job in self._waiting if job.id == identifier]
            same = waiting or ([running] if running else [])
            if same and same[-1].kind == kind:
                return same[-1]
            if kind == "destroy":
                dropped = waiting
                self._waiting = [job for job in self._waiting if job.id != identifier]
            job = Job(identifier, kind, act)
            self._waiting.append(job)
            self._changed.notify_all()
        for former in dropped:
            former.future.set_exception(Superseded())
        return job

    def busy(self) -> frozenset[str]:
        """Return the IDs of the sandboxes with a running or waiting operation."""
        with self._changed:
            return frozenset(self._running) | {job.id for job in self._waiting}

    def counts(self) -> tuple[int, int]:
        """Return the numbers of running and of waiting jobs."""
        with self._changed:
            return len(self._running), len(self._waiting)

    def close(self, grace: float) -> int:
        """Start nothing more, wait ``grace`` seconds for running jobs, and hand over the rest; return their number."""
        with self._changed:
            self.closed = True
            left, self._waiting = self._waiting, []
            self._changed.notify_all()
        for job in left:
            job.future.set_exception(HandedOver())
        deadline = time.monotonic() + grace
        with self._changed:
            while self._running and not self._hurried and (rest := deadline - time.monotonic()) > 0:
                self._changed.wait(rest)
            running = list(self._running.values())
        for job in running:
            _clean_up(job, None, HandedOver())
        return len(left) + len(running)

    def hurry(self) -> None:
        """End the wait of ``close`` now."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()

    # --- the threads

    def _must_be_open(self) -> None:
        if self.closed:
            raise HttpProblem(
                ProblemKind.SHUTTING_DOWN,
                "server is shutting down",
                headers={"Retry-After": "5", "Connection": "close"},
            )

    def _next(self) -> Job | None:
        with self._changed:
            while not self.closed:
                for job in self._waiting:
                    if job.id not in self._running:
                        self._waiting.remove(job)
                        self._running[job.id] = job
                        return job
                self._changed.wait()
            return None

    def _work(self) -> None:
        while (job := self._next()) is not None:
            began, result, failure = time.monotonic(), None, None
            try:
                result = job.act()
            except BaseException as error:  # noqa: BLE001 - reported to the waiting clients
                failure = error
            seconds = time.monotonic() - began
            self._ended(job, seconds, failure)
            with self._changed:
                del self._running[job.id]
                self._usual += (seconds - self._usual) / 8
                self._changed.notify_all()
            _clean_up(job, result, failure)


def _clean_up(job: Job, result: Any, failure: BaseException | None) -> None:
    """Report the outcome to the waiting clients. If a job ends while it is handed over, the first outcome counts."""
    with suppress(Exception):
        if failure is not None:
            job.future.set_exception(failure)
        else:
            job.future.set_result(result)
