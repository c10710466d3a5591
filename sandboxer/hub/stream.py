"""Server-sent events: each stored event, sent to every reader from its last position."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sandboxer.hub.store import Store

HEARTBEAT = 15.0
MOST, MOST_OF_ADDRESS = 128, 64
_AT_ONCE = 100


class Broadcaster:
    """Signal that wakes every stream when something new is stored. For one event loop.

    It does not carry the events: a stream reads them from the database, from its own position, so a slow reader costs
    no memory and misses nothing.
    """

    def __init__(self) -> None:
        """Create the broadcaster without readers."""
        self._rung = asyncio.Event()
        self.registrations = 0
        self.closed = False
        self._readers: Counter[str] = Counter()

    @contextmanager
    def reader(self, address: str) -> Iterator[None]:
        """Count a stream of this address during the block."""
        self._readers[address] += 1
        try:
            yield
        finally:
            self._readers[address] -= 1
            self._readers += Counter()  # drops the counts of zero

    def has_room(self, address: str) -> bool:
        """Return whether this address may open another stream."""
        return self._readers.total() < MOST and self._readers[address] < MOST_OF_ADDRESS

    def ring(self, *, registration: bool = False) -> None:
        """Wake the streams after a write; count a registration, which has no position in the order of events."""
        self.registrations += registration
        self._rung.set()
        self._rung = asyncio.Event()

    def close(self) -> None:
        """End every stream."""
        self.closed = True
        self.ring()

    def next(self) -> asyncio.Event:
        """Return the event that the next wake-up sets.

        Call it before reading, so that nothing is missed in between.
        """
        return self._rung


async def stream(
    store: Store, broadcaster: Broadcaster, after: int, heartbeat: float, address: str = ""
) -> AsyncIterator[str]:
    """Yield the text of a stream from a position on, until the hub shuts down or the reader disconnects.

    It begins with an ``id`` and no event, so that a reader that is disconnected before the first event knows where to
    resume.
    """
    with broadcaster.reader(address):
        registrations = broadcaster.registrations
        yield f"id: {store.cursor(after)}\n: connected\n\n"
        while not broadcaster.closed:
            rung = broadcaster.next()
            found = await run_in_threadpool(store.events, after, _AT_ONCE)
            for one in found:
                after = one.seq
                yield f"id: {store.cursor(after)}\nevent: event\ndata: {one.body}\n\n"
            if registrations != broadcaster.registrations:
                registrations = broadcaster.registrations
                yield "event: registration\ndata: {}\n\n"
            if not found:
                try:
                    async with asyncio.timeout(heartbeat):
                        await rung.wait()
                except TimeoutError:
                    yield ": still here\n\n"
