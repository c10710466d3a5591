"""Connections of a server: counted before anything is read, and closed if a step takes too long.

A connection without a complete request makes way for a new one: it costs its client nothing, and must not cost other
clients theirs. A request that is being answered is never ended for another one.
"""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from sandboxer.web.problems import MEDIA_TYPE, HttpProblem, ProblemKind

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from sandboxer.web.limits import Limits


@dataclass(eq=False, slots=True)
class Connection:
    """One connection from the moment it is accepted; ``waiting_since`` is when the client began to owe a request.

    ``http`` is None during the TLS handshake. ``buffered`` is the data that the reader has not taken since
    ``stuck_since``.
    """

    raw: asyncio.Transport
    peer: str
    waiting_since: float
    http: Http | None = None
    request_since: float = 0.0
    paused_since: float | None = None
    closing_since: float | None = None
    buffered: int = 0
    stuck_since: float = 0.0

    def begin_http(self, http: Http, now: float) -> None:
        """Expect the first request."""
        self.http, self.waiting_since = http, now

    def request_began(self, now: float) -> None:
        """Note that the headers of a request are complete."""
        self.request_since = now

    def request_ended(self, now: float) -> None:
        """Note that a response is complete, and expect the next request."""
        self.waiting_since = now

    def pause(self, now: float | None) -> None:
        """Note since when the reader accepts no data; None if it accepts data again."""
        self.paused_since = now

    @property
    def answering(self) -> bool:
        """Whether a request on this connection is being answered."""
        cycle: Any = self.http.cycle if self.http is not None else None  # None until the first request
        return cycle is not None and not cycle.response_complete

    def too_slow(self, now: float, limits: Limits) -> str:
        """Return the name of the step that exceeded its limit, or an empty string.

        Call it often: it records what it observes between calls.
        """
        buffered = self.raw.get_write_buffer_size()
        if not buffered or buffered < self.buffered:
            self.stuck_since = now
        self.buffered = buffered
        if self.raw.is_closing():
            self.closing_since = self.closing_since if self.closing_since is not None else now
            return "close" if now - self.closing_since > limits.write else ""
        if self.paused_since is not None and now - self.paused_since > limits.write:
            return "write"
        if buffered and now - self.stuck_since > limits.write:
            return "write"
        if self.http is None:
            return "handshake" if now - self.waiting_since > limits.handshake else ""
        if self.http.conn.their_state is h11.SEND_BODY and now - self.request_since > limits.body:
            return "body"
        if not self.answering and now - self.waiting_since > limits.headers:
            return "headers"
        return ""


class Http(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, which also notes when each step of its connection began."""

    connection: Connection | None = None
    left: Callable[[Connection], None] | None = None
    early = b""

    def attach(self, connection: Connection, left: Callable[[Connection], None]) -> None:
        """Serve a connection; ``left`` is called once it is lost."""
        self.connection, self.left = connection, left

    def data_received(self, data: bytes) -> None:
        """Handle received data; data from the very end of a TLS handshake is kept until the connection is known."""
        if self.connection is None:
            self.early += data
        else:
            super().data_received(data)

    def handle_events(self) -> None:
        """Handle parsed events; a request whose headers are complete begins here."""
        before = self.cycle
        super().handle_events()
        if self.connection is not None and self.cycle is not before:
            self.connection.request_began(self.loop.time())

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        if self.connection is not None:
            self.connection.request_ended(self.loop.time())
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Note that the reader accepts no data."""
        super().pause_writing()
        if self.connection is not None:
            self.connection.pause(self.loop.time())

    def resume_writing(self) -> None:
        """Note that the reader accepts data again."""
        super().resume_writing()
        if self.connection is not None:
            self.connection.pause(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self.connection is None:  # right after the handshake: the client sees that the connection is closed
            return
        super().connection_lost(exc)
        if self.left is not None:
            self.left(self.connection)

    def end(self, step: str) -> None:
        """End the connection, with an answer if part of a request has arrived and the client may still read it."""
        if self.transport.is_closing() and self.connection is not None:
            self.connection.raw.abort()
            return
        if step == "headers" and self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self.transport.write(
                _answer(HttpProblem(ProblemKind.REQUEST_TIMEOUT, "the request did not arrive in time"))
            )
        self.transport.close()


class Connections:
    """All connections of one server. ``make`` creates the HTTP protocol for one; ``tls`` is None without TLS."""

    def __init__(self, limits: Limits, make: Callable[[], Http], tls: ssl.SSLContext | None) -> None:
        self.limits, self._make, self._tls = limits, make, tls
        self._open: dict[Connection, None] = {}  # in the order of arrival
        self._tasks: set[asyncio.Task[None]] = set()

    def entrance(self) -> asyncio.Protocol:
        """Return the protocol that a new connection begins with."""
        return _Entrance(self)

    def count(self) -> int:
        """Return the number of open connections."""
        return len(self._open)

    async def watch(self) -> None:
        """Close connections that exceed a limit, until cancelled."""
        while True:
            await asyncio.sleep(self.limits.check_every)
            now = asyncio.get_running_loop().time()
            for one in list(self._open):
                step = one.too_slow(now, self.limits)
                if step in ("headers", "body") and one.http is not None:
                    one.http.end(step)
                elif step:
                    one.raw.abort()

    def close(self) -> None:
        """Close the connections on which HTTP has not begun; the server closes the others."""
        for one in list(self._open):
            if one.http is None:
                one.raw.abort()

    def arrived(self, raw: asyncio.Transport) -> None:
        """Accept a new connection, or turn it away."""
        now = asyncio.get_running_loop().time()
        connection = Connection(raw, _peer(raw), now, stuck_since=now)
        if not self._make_way(connection.peer):
            if self._tls is None:
                refused = HttpProblem(ProblemKind.BUSY, "too many open connections", headers={"Retry-After": "1"})
                raw.write(_answer(refused))
                raw.close()
            else:
                raw.abort()
            return
        self._open[connection] = None
        if self._tls is None:
            self._start_http(connection, raw)
            return
        raw.pause_reading()  # until TLS reads
        task = asyncio.get_running_loop().create_task(self._secure(connection, self._tls))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _secure(self, connection: Connection, tls: ssl.SSLContext) -> None:
        http, loop = self._make(), asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(
                connection.raw,
                http,
                tls,
                server_side=True,
                ssl_handshake_timeout=self.limits.handshake,
                ssl_shutdown_timeout=self.limits.idle,
            )
        except OSError:  # OSError covers ssl errors and timeouts: the client speaks no TLS, or not in time
            secured = None
        if secured is None or secured.is_closing():
            connection.raw.abort()
            self._left(connection)
        else:
            self._start_http(connection, secured, http)

    def _start_http(self, connection: Connection, transport: asyncio.Transport, http: Http | None = None) -> None:
        http = http or self._make()
        connection.begin_http(http, asyncio.get_running_loop().time())
        http.attach(connection, self._left)
        if transport is connection.raw:
            transport.set_protocol(http)
        http.connection_made(transport)
        if http.early:
            http.data_received(http.early)

    def _left(self, connection: Connection) -> None:
        self._open.pop(connection, None)

    def _make_way(self, peer: str) -> bool:
        """Return whether another connection from this address fits, closing one that owes a request if necessary."""
        limits = self.limits
        same = [one for one in self._open if one.peer == peer]
        if limits.of_address is not None and len(same) >= limits.of_address:
            return self._drop(same)
        if len(self._open) < limits.connections:
            return True
        waiting: dict[str, list[Connection]] = {}
        for one in self._open:
            if not one.answering:
                waiting.setdefault(one.peer, []).append(one)
        return self._drop(max(waiting.values(), key=len, default=[]))

    def _drop(self, among: list[Connection]) -> bool:
        """Close the connection that has owed a request the longest; return whether there was one."""
        idle = [one for one in among if not one.answering]
        if not idle:
            return False
        oldest = min(idle, key=lambda one: one.waiting_since)
        self._left(oldest)
        oldest.raw.abort()
        return True


class _Entrance(asyncio.Protocol):
    """Protocol that hands a connection over as soon as it is made."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the new connection over."""
        if isinstance(transport, asyncio.Transport):
            self._connections.arrived(transport)


def _peer(transport: asyncio.Transport) -> str:
    """Return the peer a connection is counted for: its address, or for IPv6 the network that one customer gets."""
    name: Any = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return ""
    try:
        address = ipaddress.ip_address(str(name[0]).partition("%")[0])
    except ValueError:
        return str(name[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _answer(refused: HttpProblem) -> bytes:
    """Return a complete response as bytes; the connection ends after it."""
    body = refused.body()
    title = {408: "Request Timeout", 503: "Service Unavailable"}[refused.status]
    lines = [f"HTTP/1.1 {refused.status} {title}", f"Content-Type: {MEDIA_TYPE}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in refused.headers.items()]
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode() + body
