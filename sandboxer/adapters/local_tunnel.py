"""A TCP connection of this machine, with the methods of one that a host opens for us (``model.protocols.Tunnel``)."""

from __future__ import annotations

import contextlib
import os
import socket

from sandboxer.errors import HostUnreachable

_LIMIT = 10.0  # seconds


class LocalTunnel:
    """A socket whose two directions can be closed separately."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    @classmethod
    def to(cls, host: str, address: str, port: int) -> LocalTunnel:
        """Connect within 10 seconds; raise HostUnreachable if nothing answers. ``host`` is its name."""
        try:
            sock = socket.create_connection((address, port), _LIMIT)
        except OSError as error:
            reason = os.strerror(error.errno).lower() if error.errno else "no answer"
            raise HostUnreachable(
                host, f"{host} cannot reach {address}:{port} ({reason})", hint="check that a service listens there"
            ) from None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(sock)

    def settimeout(self, seconds: float | None) -> None:
        """Limit how long a read or a write may wait, in seconds."""
        self._socket.settimeout(seconds)

    def recv(self, size: int) -> bytes:
        """Return some bytes; none at the end."""
        return self._socket.recv(size)

    def send(self, data: bytes) -> int:
        """Send some of the bytes and return their number."""
        return self._socket.send(data)

    def shutdown_write(self) -> None:
        """Close the sending direction."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close both directions, and wake the reader."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
