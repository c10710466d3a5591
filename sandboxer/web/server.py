"""A server as a process: serves until it is told to end, and ends cleanly."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.types import ASGIApp


class Server(uvicorn.Server):
    """uvicorn's server, which tells when it listens, ends what goes on before it waits for it, and exits with 0."""

    def __init__(
        self, config: uvicorn.Config, *, listening: Callable[[], None], ending: Callable[[], Awaitable[None]]
    ) -> None:
        """``listening`` is called once, when requests are answered and signals are heard.

        ``ending`` is awaited once no more connections are taken, and before those that there are are waited for.
        """
        super().__init__(config)
        self._listening = listening
        self._ending = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, and tells so."""
        await super().startup(sockets)
        if self.started:
            self._listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends."""
        for server in self.servers:
            server.close()
        await self._ending()
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


def config_of(app: ASGIApp, grace_seconds: int, **more: Any) -> uvicorn.Config:
    """The settings that every server of this house has; ``grace_seconds`` after its end began all is over."""
    return uvicorn.Config(
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
        timeout_graceful_shutdown=grace_seconds,
        **more,
    )
