"""Connections carried on from a local port, here to servers on this machine."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters import relay
from sandboxer.adapters.local_tunnel import LocalTunnel
from sandboxer.adapters.relay import Relay
from sandboxer.errors import HostUnreachable, SandboxerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def _server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """Return a server that serves each connection in a thread, and end with all of them."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener, ThreadPoolExecutor(50) as pool:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    pool.submit(serve, listener.accept()[0])

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join(10)


@contextmanager
def _relay(port: int, failed: Callable[[SandboxerError], None] = lambda error: None) -> Iterator[Relay]:
    made = Relay("127.0.0.1", 0, lambda: LocalTunnel.to("here", "127.0.0.1", port), failed)
    try:
        yield made
    finally:
        made.close()
        made.close()
        assert not [thread for thread in threading.enumerate() if thread.name in ("forward", f"port {made.port}")]


def _all(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def _count(sock: socket.socket) -> None:
    with sock, suppress(OSError):
        sock.sendall(b"%d" % len(_all(sock)))


def _client(made: Relay) -> socket.socket:
    return socket.create_connection((made.address, made.port), 20)


def test_the_end_of_one_direction_is_passed_on_and_the_other_continues() -> None:
    with _server(_count) as port, _relay(port) as made, _client(made) as sock:
        sock.sendall(b"x" * 3_000_000)
        sock.shutdown(socket.SHUT_WR)
        assert _all(sock) == b"3000000"


def test_an_answer_comes_through_where_the_request_is_not_read() -> None:
    def answer(sock: socket.socket) -> None:
        with sock:
            sock.sendall(b"y" * 1_000_000)
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(20)
            _all(sock)

    with _server(answer) as port, _relay(port) as made, _client(made) as sock:
        assert len(_all(sock)) == 1_000_000


def test_more_than_the_cap_wait_for_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "AT_ONCE", 3)

    def one(made: Relay) -> bytes:
        with _client(made) as sock:
            sock.sendall(b"abc")
            sock.shutdown(socket.SHUT_WR)
            return _all(sock)

    with _server(_count) as port, _relay(port) as made, ThreadPoolExecutor(20) as pool:
        held = [_client(made) for _ in range(3)]
        waiting = [pool.submit(one, made) for _ in range(20)]
        assert not any(future.done() for future in waiting)
        for sock in held:
            sock.close()
        assert {future.result(30) for future in waiting} == {b"3"}


def test_what_cannot_be_reached_is_reported_and_reset() -> None:
    errors: list[SandboxerError] = []
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with _relay(nobody.getsockname()[1], errors.append) as made:
            for _ in range(2):
                # The reset may come before the client sees that it is connected.
                with pytest.raises(ConnectionResetError), _client(made) as sock:
                    sock.recv(10)
    assert [type(error) for error in errors] == [HostUnreachable] * 2


def test_closing_ends_what_is_open() -> None:
    with _server(_count) as port:
        with _relay(port) as made:
            sockets = [_client(made) for _ in range(10)]
            for sock in sockets:
                sock.sendall(b"x")
        for sock in sockets:
            with sock, suppress(ConnectionResetError):
                assert sock.recv(10) == b""


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=rf"cannot listen on 127\.0\.0\.1 port {port}: address already in use"):
            Relay("127.0.0.1", port, lambda: LocalTunnel.to("here", "127.0.0.1", 1), lambda error: None)
    with pytest.raises(UsageError, match=r"cannot listen on 203\.0\.113\.1"):
        Relay("203.0.113.1", 0, lambda: LocalTunnel.to("here", "127.0.0.1", 1), lambda error: None)
