"""A server as a process: serves until it is stopped, and shuts down cleanly."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import uvicorn

from sandboxer.web.connections import Connections, Http
from sandboxer.web.limits import Limits, raise_descriptors

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.types import ASGIApp


# How many connections are accepted before the first of them is handled, and how many wait in the kernel.
_ACCEPTED_AT_ONCE, _BACKLOG = 32, 1024


class Server(uvicorn.Server):
    """uvicorn's server, which reports that it listens, ends open work before it waits for it, and exits with 0.

    ``limits`` counts and times its connections from the accepted socket on.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        listening: Callable[[], None],
        ending: Callable[[], Awaitable[None]],
        limits: Limits | None = None,
    ) -> None:
        """Create the server. ``listening`` is called once, when it answers requests and handles signals.

        ``ending`` is awaited after it stops accepting connections and before it waits for the open ones.
        """
        super().__init__(config)
        self._listening = listening
        self._ending = ending
        self._limits = (limits or Limits()).within(raise_descriptors())
        self._watch: asyncio.Task[None] | None = None
        self.open: Connections | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen on the sockets, and report it."""
        await self.lifespan.startup()
        loop, limits = asyncio.get_running_loop(), self._limits
        self.open = Connections(limits, self._http, self.config.ssl)
        self._watch = loop.create_task(self.open.watch())
        self.servers = []
        for one in sockets or []:
            self.servers.append(await loop.create_server(self.open.entrance, sock=one, backlog=_ACCEPTED_AT_ONCE))
            one.listen(_BACKLOG)
        self.started = True
        self._listening()

    def _http(self) -> Http:
        return Http(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, and shut down."""
        for server in self.servers:
            server.close()
        await self._ending()
        if self.open is not None:
            self.open.close()
        await super().shutdown(sockets)
        if self._watch is not None:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM. Unlike uvicorn, do not raise them again: being stopped is no error here."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


def config_of(app: ASGIApp, grace_seconds: int, limits: Limits | None = None, **more: Any) -> uvicorn.Config:
    """Return the settings that all servers share; ``grace_seconds`` after shutdown begins, everything has ended."""
    return uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        # Proxy headers about the client are not trusted.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=grace_seconds,
        timeout_keep_alive=max(1, round((limits or Limits()).idle)),
        **more,
    )
