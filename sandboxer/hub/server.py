"""The hub as a process: opens its file and its socket, serves until it is told to end, and ends cleanly."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from sandboxer.hub.app import create_app
from sandboxer.hub.settings import address_of, bound
from sandboxer.hub.store import Store
from sandboxer.hub.stream import HEARTBEAT, Bell

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from sandboxer.hub.settings import Settings

# What is under way may come to its end; five seconds after the signal all is over.
_GRACE_SECONDS = 3


class HubServer(uvicorn.Server):
    """uvicorn's server, which tells when it listens, ends the streams before it waits for them, and exits with 0."""

    def __init__(self, config: uvicorn.Config, bell: Bell, listening: Callable[[], None]) -> None:
        """``listening`` is called once, when requests are answered and signals are heard."""
        super().__init__(config)
        self._bell = bell
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, and tells so."""
        await super().startup(sockets)
        if self.started:
            self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends; a stream would go on for ever."""
        self._bell.close()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Hears SIGINT and SIGTERM. Unlike uvicorn's own, does not raise them again: to be ended is no error here."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


def serve(
    settings: Settings,
    announce: Callable[[str], None],
    *,
    heartbeat: float = HEARTBEAT,
    started: Callable[[HubServer], None] | None = None,
) -> None:
    """Serves until a signal ends it. ``announce`` gets the page's address, ``started`` the server to be ended with.

    Raises SandboxerError where the file or the address cannot be had.
    """
    store = Store(settings.database)
    try:
        with bound(settings) as listener:
            asyncio.run(_serve(settings, store, listener, announce, heartbeat, started))
    finally:
        store.close()


async def _serve(
    settings: Settings,
    store: Store,
    listener: socket.socket,
    announce: Callable[[str], None],
    heartbeat: float,
    started: Callable[[HubServer], None] | None,
) -> None:
    bell = Bell()
    app = create_app(store, bell, token=settings.token, listen_host=settings.host, heartbeat=heartbeat)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        # What a proxy says of a client is believed by nobody here.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    port = listener.getsockname()[1]
    server = HubServer(config, bell, lambda: announce(address_of(settings, port)))
    if started is not None:
        started(server)
    await server.serve(sockets=[listener])
