"""Streams: the items of a library's iterator, passed from its thread to the client that reads them."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sandboxer.web.problems import HttpProblem, ProblemKind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

T = TypeVar("T")

MOST, MOST_OF_ONE, MOST_OF_ADDRESS = 64, 16, 32
HEARTBEAT = 15.0
_BUSY_SECONDS = 10
_MOST_WAITING = 256  # how many items the thread may be ahead of a slow reader
_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Reader:
    """The client that opens a stream. ``address`` is empty behind a proxy, whose address every client would have."""

    token: str
    consumer: str = ""
    address: str = ""

    def shares(self) -> dict[str, int]:
        """Return what a stream counts towards, each with its maximum of open streams."""
        shares = {f"token {self.token}": MOST_OF_ONE}
        shares |= {f"consumer {self.consumer}": MOST_OF_ONE} if self.consumer else {}
        shares |= {f"address {self.address}": MOST_OF_ADDRESS} if self.address else {}
        return shares


class Streams:
    """All open streams, counted per token, consumer, address and in total; and the way to end them."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._streams: set[StreamReader[Any]] = set()
        self._lock = threading.Lock()
        self.closed = False

    def count(self) -> int:
        """Return the number of open streams."""
        return len(self._streams)

    def open(self, reader: Reader, make: Callable[[], Iterator[T | None]]) -> StreamReader[T]:
        """Return a started stream for a reader.

        Raise HttpProblem: 429 if too many are open, 503 if the server is shutting down.
        """
        shares = reader.shares()
        with self._lock:
            if self.closed:
                raise HttpProblem(
                    ProblemKind.SHUTTING_DOWN,
                    "server is shutting down",
                    headers={"Retry-After": "5", "Connection": "close"},
                )
            if len(self._streams) >= MOST or any(self._open[share] >= most for share, most in shares.items()):
                raise HttpProblem(
                    ProblemKind.TOO_MANY_STREAMS, "too many open streams", headers={"Retry-After": str(_BUSY_SECONDS)}
                )
            self._open.update(shares.keys())
            stream = StreamReader(make, lambda: self._over(shares, stream))
            self._streams.add(stream)
        stream.start()
        return stream

    def close(self) -> None:
        """End all of them."""
        with self._lock:
            self.closed = True
            streams = list(self._streams)
        for stream in streams:
            stream.close()

    def _over(self, shares: Mapping[str, int], stream: StreamReader[Any]) -> None:
        with self._lock:
            self._open.subtract(shares.keys())
            self._open += Counter()  # drops the counts of zero
            self._streams.discard(stream)


class StreamReader(Generic[T]):
    """One iterator in a separate thread, read by one coroutine. A slow reader only delays the thread.

    The iterator's None means that nothing is new. The thread ends with the iterator, or with its next step after
    ``close``.
    """

    def __init__(self, make: Callable[[], Iterator[T | None]], over: Callable[[], None]) -> None:
        self._make, self._over = make, over
        self._items: deque[T] = deque()
        self._room = threading.Condition()
        self._loop, self._news = asyncio.get_running_loop(), asyncio.Event()
        self._alive, self._ended, self._closed = False, False, False
        self._failure: Exception | None = None
        self._iterator: Iterator[T | None] | None = None

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="stream", daemon=True).start()

    async def begun(self, seconds: float) -> None:
        """Wait at most this many seconds for an item or the end. Raise the iterator's error if it comes first."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                self._news.clear()
                while not self._has_begun():
                    await self._news.wait()
                    self._news.clear()
        if self._failure is not None and not self._items:
            raise self._failure

    async def each(self, heartbeat: float) -> AsyncIterator[T | None]:
        """Yield items in order, and None after this many seconds without one. Raise the iterator's error."""
        while True:
            self._news.clear()
            while self._items:
                with self._room:
                    item = self._items.popleft()
                    self._room.notify_all()
                yield item
            if self._ended or self._closed:
                break
            try:
                async with asyncio.timeout(heartbeat):
                    await self._news.wait()
            except TimeoutError:
                yield None
        if self._failure is not None and not self._closed:
            raise self._failure

    def _has_begun(self) -> bool:
        return self._alive or self._ended

    def close(self) -> None:
        """Stop reading."""
        with self._room:
            self._closed = True
            self._room.notify_all()
        self._notify()
        # A generator is closed by its own thread, at its next step. An iterator that waits for a line that may never
        # come has a `close` for other threads, which may itself wait for a host.
        end = None if isinstance(self._iterator, Generator) else getattr(self._iterator, "close", None)
        if end is not None and not self._ended:
            threading.Thread(target=end, name="stream-end", daemon=True).start()

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Close the stream at the end of the block."""
        try:
            yield
        finally:
            self.close()

    # --- the thread

    def _run(self) -> None:
        try:
            iterator = self._iterator = self._make()
            try:
                for item in iterator:
                    if not self._put(item):
                        break
            finally:
                close = getattr(iterator, "close", None)
                if close is not None:
                    close()
        except Exception as error:  # noqa: BLE001 - reported to the reader
            self._failure = error
        finally:
            self._ended = True
            self._over()
            self._notify()

    def _put(self, item: T | None) -> bool:
        with self._room:
            while len(self._items) >= _MOST_WAITING and not self._closed:
                self._room.wait(_POLL_SECONDS)
            if item is not None and not self._closed:
                self._items.append(item)
            first, self._alive = not self._alive, True
        if item is not None or first:
            self._notify()
        return not self._closed

    def _notify(self) -> None:
        with suppress(RuntimeError):  # the loop ended first
            self._loop.call_soon_threadsafe(self._news.set)
