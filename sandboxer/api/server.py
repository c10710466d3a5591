"""The API as a process: it serves until stopped, finishes running operations, and hands over the rest."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from sandboxer.api.app import served
from sandboxer.api.auth import TokenAuth
from sandboxer.api.maintenance import Maintenance
from sandboxer.api.metrics import Metrics
from sandboxer.api.operations import KINDS, Operations
from sandboxer.api.rate_limit import RateLimit
from sandboxer.api.service import Service
from sandboxer.api.streams import HEARTBEAT, Streams
from sandboxer.api.workers import Workers
from sandboxer.web.listen import bound, url_of
from sandboxer.web.server import Server, config_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from sandboxer.api.operations import Job
    from sandboxer.api.settings import Settings
    from sandboxer.client import Client
    from sandboxer.model.run_events import Level

    Connect = Callable[[Callable[[str], None]], Client]
    Log = Callable[[Level, str], None]

# Each observation is a connection to every host, beside those of the operations; from ten at once, sshd drops some.
READERS, WRITERS, WAITING = 4, 4, 200

# For responses in progress when everything else has ended.
_LAST_SECONDS = 3
_POLL_SECONDS = 0.2


def serve(
    settings: Settings,
    root: Path,
    announce: Callable[[str], None],
    log: Log,
    *,
    connect: Connect | None = None,
    check: Callable[[], None] | None = None,
    heartbeat: float = HEARTBEAT,
    started: Callable[[Server], None] | None = None,
) -> None:
    """Serve the fleet in ``root`` until a signal stops it. ``announce`` is called with the URL once it listens.

    ``log`` writes the log; it is called from one thread at a time. ``started`` gets the server, so that a caller can
    stop it. Raise SandboxerError if the address is unavailable or the manifests are invalid.
    """
    check = check or (lambda: check_manifests(root))
    check()
    lock, over = threading.Lock(), threading.Event()

    def locked_log(level: Level, words: str) -> None:
        with lock:
            if not over.is_set():
                log(level, words)

    try:
        with bound(settings.host, settings.port) as listener:
            service = service_for(settings, root, connect or client_of(root), check, locked_log, heartbeat)
            asyncio.run(_serve(settings, service, listener, announce, started))
    finally:
        with lock:
            over.set()  # a running thread must not write while the interpreter exits


def service_for(
    settings: Settings,
    root: Path,
    connect: Connect,
    check: Callable[[], None],
    log: Log,
    heartbeat: float = HEARTBEAT,
) -> Service:
    """Return the parts of a server, with its threads started."""
    metrics = Metrics()
    metrics.begin(KINDS)

    def ended(job: Job, seconds: float, error: BaseException | None) -> None:
        service.ended(job, seconds, error)

    operations = Operations(settings.operations, settings.queue, ended)
    service = Service(
        root=root,
        connect=connect,
        check=check,
        operations=operations,
        reads=Workers("read", READERS, WAITING),
        writes=Workers("write", WRITERS, WAITING),
        streams=Streams(),
        metrics=metrics,
        log=log,
        heartbeat=heartbeat,
        behind_proxy=settings.limits.of_address is None,
    )
    metrics.follow(operations.counts, service.streams.count)
    return service


def client_of(root: Path) -> Connect:
    """Return a factory of clients for a fleet; each call of a client observes the hosts again."""
    from sandboxer.client import Client

    return lambda warn: Client(root, warn=warn, remote=True)


def check_manifests(root: Path) -> None:
    """Raise SandboxerError if the fleet's manifests are invalid. Connects to no host."""
    from sandboxer.wiring.source import FleetSource

    FleetSource(root).sound()


async def _serve(
    settings: Settings,
    service: Service,
    listener: socket.socket,
    announce: Callable[[str], None],
    started: Callable[[Server], None] | None,
) -> None:
    auth = TokenAuth(settings.tokens, RateLimit(settings.rate))
    app = served(service, auth, listen_host=None if settings.any_name else settings.host)
    maintenance = Maintenance(service, settings.reap_every)
    port = listener.getsockname()[1]
    scheme = "https" if settings.tls else "http"

    def listening() -> None:
        announce(url_of(settings.host, port, scheme))
        maintenance.start()

    async def ending() -> None:
        maintenance.close()
        service.streams.close()
        closing = asyncio.create_task(asyncio.to_thread(service.operations.close, settings.grace))
        while not (await asyncio.wait({closing}, timeout=_POLL_SECONDS))[0]:
            if server.force_exit:  # Ctrl-C again
                service.operations.hurry()
        left = closing.result()
        if left:
            words = "operation is" if left == 1 else "operations are"
            service.log("warning", f"{left} {words} not finished; the next server resumes recorded operations")

    more = {"ssl_certfile": settings.tls[0], "ssl_keyfile": settings.tls[1]} if settings.tls else {}
    config = config_of(app, _LAST_SECONDS, settings.limits, **more)
    server = Server(config, listening=listening, ending=ending, limits=settings.limits)
    if started is not None:
        started(server)
    await server.serve(sockets=[listener])
