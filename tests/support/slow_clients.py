"""Clients that hold connections open and send little: each is a real socket."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

PART_OF_HEADERS = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Part: "
LONGEST = 30.0
_AGAIN = 20  # ended connections that come again at once


class SlowClients:
    """``count`` connections that send ``first`` and then a byte now and then; some that are ended reconnect.

    ``begun`` counts the connections. They come from ``source``, an address of the loopback.
    """

    def __init__(
        self, url: str, count: int, first: bytes = PART_OF_HEADERS, *, source: str = "127.0.0.1", drip: bytes = b"x"
    ) -> None:
        host, _, port = url.rpartition("/")[2].rpartition(":")
        self._address, self._source = (host, int(port)), source
        self._count, self._first, self._drip = count, first, drip
        self._over = threading.Event()
        self._sockets: list[socket.socket | None] = [None] * count
        self._thread = threading.Thread(target=self._run)
        self.all_there = threading.Event()
        self.begun, self._again = 0, count

    def __enter__(self) -> Self:
        self._thread.start()
        assert self.all_there.wait(LONGEST)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(LONGEST)
        for one in self._sockets:
            if one is not None:
                one.close()

    def _run(self) -> None:
        while not self._over.is_set():
            self._again = _AGAIN if self.all_there.is_set() else self._count
            for number in range(self._count):
                self._step(number)
                if self._over.is_set():
                    return
            self.all_there.set()
            self._over.wait(0.1)

    def _step(self, number: int) -> None:
        one = self._sockets[number]
        try:
            if one is None and self._again:
                self._again -= 1
                one = self._sockets[number] = socket.create_connection(self._address, 5, (self._source, 0))
                one.setblocking(False)
                self.begun += 1
                one.sendall(self._first)
            elif one is not None and self._drip:
                one.send(self._drip)
                with contextlib.suppress(BlockingIOError):
                    if not one.recv(4096):
                        raise ConnectionError
        except BlockingIOError:
            pass
        except OSError:
            if one is not None:
                one.close()
            self._sockets[number] = None


def connect(url: str, first: bytes = b"", *, receive_buffer: int = 0) -> socket.socket:
    """Return a connection to a server, after sending ``first`` on it."""
    host, _, port = url.rpartition("/")[2].rpartition(":")
    one = socket.socket()
    if receive_buffer:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    one.settimeout(LONGEST)
    one.connect((host, int(port)))
    one.sendall(first)
    return one


def ended_after(one: socket.socket, drip: Callable[[socket.socket], object] = lambda _: None) -> tuple[float, bytes]:
    """Return the seconds until the server ended a connection, and what it sent.

    ``drip`` is called meanwhile.
    """
    began, received = time.monotonic(), b""
    one.settimeout(0.05)
    with one:
        while time.monotonic() - began < LONGEST:
            try:
                drip(one)
                data = one.recv(65536)
                if not data:
                    break
                received += data
            except TimeoutError:
                continue
            except OSError:
                break
    return time.monotonic() - began, received
