"""The limits of the stream: of one address so many, and none for a reader that does not read."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from sandboxer.hub import stream
from sandboxer.web.limits import Limits
from tests.support.e2e import until
from tests.support.slow_clients import connect
from tests.unit.hub.hubs import TOKEN, RunningHub, event

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

STREAM = f"GET /stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()


def test_streams_of_one_address_are_so_many_and_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_OF_ADDRESS", 3)
    with RunningHub(tmp_path / "hub.sqlite", heartbeat=0.1) as hub:
        url = hub.url.rstrip("/")
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                one = stack.enter_context(connect(url, STREAM))
                assert b"connected" in _read_until(one, b"connected")
            refused = stack.enter_context(connect(url, STREAM))
            assert refused.recv(4096).startswith(b"HTTP/1.1 429 ")
        until(lambda: _opens(url), "there is room again")


def test_a_stream_that_nobody_reads_is_ended(tmp_path: Path) -> None:
    limits = Limits(write=0.6)
    with RunningHub(tmp_path / "hub.sqlite", heartbeat=0.1, limits=limits) as hub:
        opened = hub._servers[0].open
        assert opened is not None
        large = {"note": "x" * 50_000}
        hub.take(event(1, **large))
        (first,) = hub.client.get("/events").raise_for_status().json()["events"]
        assert first
        with connect(hub.url.rstrip("/"), STREAM, receive_buffer=4096) as deaf:
            _read_until(deaf, b"connected")
            until(lambda: any(one.answering for one in opened._open), "it streams")
            number = 1
            began = time.monotonic()
            while any(one.answering and one.http is not None for one in opened._open):
                assert time.monotonic() - began < 60
                for _ in range(10):
                    number += 1
                    hub.take(event(number, minute=number % 60, **large))
        assert hub.events(limit=1)


def _opens(url: str) -> bool:
    with connect(url, STREAM) as one:
        return b" 200 " in one.recv(4096)


def _read_until(one: object, text: bytes) -> bytes:
    received = b""
    while text not in received:
        data = one.recv(64)  # type: ignore[attr-defined]  # a socket
        assert data
        received += data
    return received
