"""Threads that call the client: a fixed number, with a bounded queue before them.

They are daemons: at the end of the process nothing waits for a host. The work of a thread is then interrupted as if the
process had been killed, and the records on the hosts have its progress.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from sandboxer.web.problems import HttpProblem, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

BUSY_SECONDS = 5


class Workers:
    """Pool of ``count`` threads; at most ``waiting`` calls are queued."""

    def __init__(self, name: str, count: int, waiting: int) -> None:
        self._line: queue.Queue[tuple[Future[Any], Callable[[], Any]]] = queue.Queue(waiting)
        for number in range(count):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    async def call(self, function: Callable[[], T]) -> T:
        """Call the function in a thread; return or raise what it does. Raise HttpProblem (503) if the queue is full."""
        future: Future[T] = Future()
        try:
            self._line.put_nowait((future, function))
        except queue.Full:
            headers = {"Retry-After": str(BUSY_SECONDS)}
            raise HttpProblem(
                ProblemKind.BUSY, "too many requests are waiting for the hosts", headers=headers
            ) from None
        return await asyncio.wrap_future(future)

    def _work(self) -> None:
        while True:
            future, call = self._line.get()
            if not future.set_running_or_notify_cancel():
                continue  # the caller no longer waits
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - reported to the caller
                future.set_exception(error)
            else:
                future.set_result(result)
            del future, call
