"""The hub as a process: opens its file and its socket, serves until it is stopped, and shuts down cleanly."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sandboxer.hub.app import create_app
from sandboxer.hub.settings import address_of
from sandboxer.hub.store import Store
from sandboxer.hub.stream import HEARTBEAT, Broadcaster
from sandboxer.web.listen import bound
from sandboxer.web.server import Server, config_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from sandboxer.hub.settings import Settings

# Time for requests in progress; five seconds after the signal everything has ended.
_GRACE_SECONDS = 3


def serve(
    settings: Settings,
    announce: Callable[[str], None],
    *,
    heartbeat: float = HEARTBEAT,
    started: Callable[[Server], None] | None = None,
) -> None:
    """Serve until a signal stops the hub. ``announce`` gets the page's URL, ``started`` the server, to stop it.

    Raise SandboxerError if the file or the address is unavailable.
    """
    store = Store(settings.database)
    try:
        with bound(settings.host, settings.port) as listener:
            asyncio.run(_serve(settings, store, listener, announce, heartbeat, started))
    finally:
        store.close()


async def _serve(
    settings: Settings,
    store: Store,
    listener: socket.socket,
    announce: Callable[[str], None],
    heartbeat: float,
    started: Callable[[Server], None] | None,
) -> None:
    broadcaster = Broadcaster()
    app = create_app(store, broadcaster, token=settings.token, listen_host=settings.host, heartbeat=heartbeat)
    port = listener.getsockname()[1]

    async def ending() -> None:
        broadcaster.close()  # a stream would never end

    server = Server(
        config_of(app, _GRACE_SECONDS, settings.limits),
        listening=lambda: announce(address_of(settings, port)),
        ending=ending,
        limits=settings.limits,
    )
    if started is not None:
        started(server)
    await server.serve(sockets=[listener])
