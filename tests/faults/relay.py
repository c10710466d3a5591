"""A connection between the program and a host that can be cut after any number of bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from tests.lab.host import LabHost

CutMode = Literal["close", "stall"]
_CHUNK = 32 * 1024


class Relay:
    """Forwards TCP connections from a port of this machine to a host's SSH server, and counts the bytes sent to it.

    ``sent`` is the number of bytes of the newest connection. After ``cut_after`` each connection is cut at that byte:
    ``close`` ends it on both sides; ``stall`` forwards nothing more in either direction without closing it, until cuts
    end.
    """

    def __init__(self, host: LabHost) -> None:
        self._target = (host.address, host.port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._limit: int | None = None
        self._mode: CutMode = "close"
        self._sockets: list[socket.socket] = []
        self._stalled: list[socket.socket] = []
        self.port: int = self._server.getsockname()[1]
        self.sent = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="relay", daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for sock in self._sockets:
            _end(sock)

    def cut_after(self, count: int | None, mode: CutMode = "close") -> None:
        """Cut each later connection after this many bytes to the host; None ends the cuts."""
        self._limit, self._mode = count, mode
        if count is None:
            while self._stalled:
                _end(self._stalled.pop())

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the end
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection(self._target, timeout=10)
                far.settimeout(None)
                self._sockets += [near, far]
                self.sent = 0
                stalled = threading.Event()
                threading.Thread(target=self._to_host, args=(near, far, stalled), daemon=True).start()
                threading.Thread(target=self._from_host, args=(far, near, stalled), daemon=True).start()

    def _to_host(self, near: socket.socket, far: socket.socket, stalled: threading.Event) -> None:
        count = 0
        with contextlib.suppress(OSError):
            while data := near.recv(_CHUNK):
                data = data if self._limit is None else data[: self._limit - count]
                far.sendall(data)
                count += len(data)
                self.sent = count
                if self._limit is not None and count >= self._limit:
                    if self._mode == "stall":
                        stalled.set()
                        self._stalled += [near, far]
                        return
                    break
        _end(near)
        _end(far)

    @staticmethod
    def _from_host(far: socket.socket, near: socket.socket, stalled: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(_CHUNK):
                if stalled.is_set():
                    return
                near.sendall(data)
        if not stalled.is_set():
            _end(near)


def _end(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()
