"""A relay of TCP connections from this machine: a listener, and two pumps for each connection."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from typing import TYPE_CHECKING

from sandboxer.errors import SandboxerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.model.protocols import Tunnel

AT_ONCE = 512  # connections of one relay; further ones wait
_WAITING = 1024  # connections that wait to be accepted
_CHUNK = 32 * 1024
_SLICE = 2.0  # seconds until a pump notices that the other one has failed
_END_LIMIT = 5.0
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing then sends a reset


class Relay:
    """A listener on an address of this machine; ``connect`` opens the tunnel for each connection.

    If it raises SandboxerError, only that connection ends, and ``failed`` receives the error. ``port`` 0 takes a free
    one. Raise UsageError if the port is not available.
    """

    def __init__(
        self, address: str, port: int, connect: Callable[[], Tunnel], failed: Callable[[SandboxerError], None]
    ) -> None:
        self._connect, self._failed = connect, failed
        self._listener = _listen(address, port)
        self.address: str = self._listener.getsockname()[0]
        self.port: int = self._listener.getsockname()[1]
        self._wake, self._waker = socket.socketpair()
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._lock = threading.Lock()
        self._open: set[_Connection] = set()
        self._closed = threading.Event()
        self._accepting = threading.Thread(target=self._accept, name=f"port {self.port}", daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Close the listener and every connection. Idempotent."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._waker.send(b"x")
        self._accepting.join(_END_LIMIT)
        with self._lock:
            left = list(self._open)
        for connection in left:
            connection.abort()
        for connection in left:
            connection.join(_END_LIMIT)
        for sock in (self._listener, self._wake, self._waker):
            sock.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            if not self._slots.acquire(timeout=0.25):
                continue
            sock = self._next()
            if sock is None:
                self._slots.release()
                continue
            connection = _Connection(sock, self._connect, self._failed, self._over)
            with self._lock:
                self._open.add(connection)
            connection.start()

    def _next(self) -> socket.socket | None:
        """Return the next connection; None if it is gone already, or the relay is closed."""
        with contextlib.suppress(OSError):
            ready, _, _ = select.select([self._listener, self._wake], [], [])
            if self._listener in ready and not self._closed.is_set():
                sock, _ = self._listener.accept()
                sock.setblocking(True)
                return sock
        return None

    def _over(self, connection: _Connection) -> None:
        with self._lock:
            self._open.discard(connection)
        self._slots.release()


class _Connection:
    """One connection and its tunnel: data from either side goes to the other, and so does its end."""

    def __init__(
        self,
        sock: socket.socket,
        connect: Callable[[], Tunnel],
        failed: Callable[[SandboxerError], None],
        over: Callable[[_Connection], None],
    ) -> None:
        self._sock, self._connect, self._failed, self._over = sock, connect, failed, over
        self._tunnel: Tunnel | None = None
        self._aborted = threading.Event()
        self._down = threading.Thread(target=self._carry, name="forward", daemon=True)
        self._up = threading.Thread(target=self._pump_up, name="forward", daemon=True)

    def start(self) -> None:
        self._down.start()

    def join(self, timeout: float) -> None:
        self._down.join(timeout)

    def abort(self) -> None:
        """Close both sides at once; the pumps notice it."""
        self._aborted.set()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _carry(self) -> None:
        try:
            self._tunnel = self._connect()
            self._tunnel.settimeout(_SLICE)
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._up.start()
            self._pump_down(self._tunnel)
            self._up.join()
        except SandboxerError as error:
            if not self._aborted.is_set():
                self._failed(error)
            self._reset()
        except OSError:
            self._reset()
        finally:
            if self._tunnel is not None:
                self._tunnel.close()
            self._sock.close()
            self._over(self)

    def _reset(self) -> None:
        """Reset the client's connection: an interrupted answer must not look complete."""
        self._aborted.set()
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._sock.shutdown(socket.SHUT_RD)  # wakes the other pump, and sends nothing to the peer

    def _pump_down(self, tunnel: Tunnel) -> None:
        """Copy from the tunnel to the client. A slow client makes the other side wait: nothing piles up."""
        try:
            while not self._aborted.is_set():
                try:
                    data = tunnel.recv(_CHUNK)
                except TimeoutError:
                    continue
                if not data:
                    self._sock.shutdown(socket.SHUT_WR)
                    return
                self._sock.sendall(data)
        except OSError:
            self._reset()

    def _pump_up(self) -> None:
        """Copy from the client to the tunnel. If the tunnel takes no more, an answer on its way still arrives."""
        tunnel = self._tunnel
        if tunnel is None:
            return
        try:
            while data := self._sock.recv(_CHUNK):
                if not self._send(tunnel, data):
                    return
        except OSError:  # the client has disconnected
            self._aborted.set()
        if not self._aborted.is_set():
            tunnel.shutdown_write()

    def _send(self, tunnel: Tunnel, data: bytes) -> bool:
        try:
            while data and not self._aborted.is_set():
                with contextlib.suppress(TimeoutError):
                    data = data[tunnel.send(data) :]
        except OSError:
            return False
        return not data


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        listener = socket.create_server((address, port), family=family, backlog=_WAITING)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        hint = "choose another local port, or omit it to use a free one"
        raise UsageError(f"cannot listen on {address} port {port}: {reason.lower()}", hint=hint) from None
    listener.setblocking(False)
    return listener
