"""Connections that send nothing, or little: they cost the server little, and others nothing."""

from __future__ import annotations

import contextlib
import resource
import socket
import ssl
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from sandboxer.web.limits import Limits
from sandboxer.web.problems import ProblemKind
from tests.support.e2e import until
from tests.support.gitrepo import GitRepo
from tests.support.hubs import self_signed
from tests.support.problems import assert_problem
from tests.support.slow_clients import PART_OF_HEADERS, SlowClients, connect, ended_after
from tests.unit.api.apis import ALL, Library, RunningApi
from tests.unit.hub.hubs import RunningHub, event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.web.connections import Connections

SHORT = Limits(handshake=0.6, headers=0.6, body=0.6, idle=1, write=0.8)
AUTHORIZED = f"Host: 127.0.0.1\r\nAuthorization: Bearer {ALL}\r\n".encode()
NORMAL_SECONDS = 8.0  # milliseconds, on a machine that has nothing else to do; shut out, it would be 30


@dataclass(frozen=True)
class Line:
    """A line of a log, as the library gives it."""

    service: str
    source: str
    text: str


@pytest.fixture
def short(library: Library) -> Iterator[RunningApi]:
    with RunningApi(library, limits=SHORT) as running:
        yield running


def connections_of(api: RunningApi) -> Connections:
    found = api._servers[0].open
    assert found is not None
    return found


def is_served(api: RunningApi, count: int = 20) -> None:
    """New connections are answered in their normal time."""
    for _ in range(count):
        began = time.monotonic()
        assert api.ask("GET", "/v1/sandboxes").status_code == 200
        assert time.monotonic() - began < NORMAL_SECONDS


@pytest.mark.parametrize("first", [b"", b"G", PART_OF_HEADERS, PART_OF_HEADERS + b"y\r\n"])
def test_hundreds_of_slow_connections_keep_nobody_out(library: Library, first: bytes) -> None:
    with RunningApi(library) as api, SlowClients(api.url, 600, first, drip=b"x" if first else b""):
        is_served(api)
        assert connections_of(api).count() <= Limits().of_address + 1


def test_those_of_another_address_are_not_even_ended_for_them(library: Library) -> None:
    limits = Limits(connections=64, of_address=16)
    with RunningApi(library, limits=limits) as api:
        api.client.get("/healthz")
        with SlowClients(api.url, 200, source="127.0.0.2") as slow:
            until(lambda: slow.begun > 300, "many have come and gone")
            before = [one for one in connections_of(api)._open if one.peer == "127.0.0.1"]
            assert api.client.get("/v1/sandboxes").status_code == 200
            assert before
            assert before == [one for one in connections_of(api)._open if one.peer == "127.0.0.1"]


def test_where_the_whole_number_is_reached_those_that_wait_make_way(library: Library) -> None:
    limits = Limits(connections=32, of_address=None)
    with RunningApi(library, limits=limits) as api, SlowClients(api.url, 100, source="127.0.0.3"):
        is_served(api)
        assert connections_of(api).count() <= 32


@pytest.mark.parametrize(
    ("first", "drip", "says"),
    [
        (b"", b"", b""),
        (b"", b"\r\n", b""),
        (PART_OF_HEADERS, b"x", b"HTTP/1.1 408 "),
        (PART_OF_HEADERS, b"\r\nX: y", b"HTTP/1.1 408 "),
        (b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET", b"x", b"HTTP/1.1 200 OK"),
        (b"GET /v1/sandboxes HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n", b"x", b"HTTP/1.1 401 "),
        (b"POST /v1/sandboxes HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", b"HT"),
        (
            b"POST /v1/sandboxes HTTP/1.1\r\n" + AUTHORIZED + b"Content-Type: application/json\r\n"
            b"Content-Length: 1000\r\n\r\n{",
            b" ",
            b"",
        ),
    ],
)
def test_a_request_that_never_comes_is_not_waited_for(
    short: RunningApi, first: bytes, drip: bytes, says: bytes
) -> None:
    seconds, received = ended_after(connect(short.url, first), lambda one: one.sendall(drip))
    assert seconds < NORMAL_SECONDS
    assert received.startswith(says)
    until(lambda: connections_of(short).count() <= 1, "the connection is forgotten")


def test_an_answer_that_nobody_reads_is_not_kept(library: Library) -> None:
    library.add()
    library.lines = [Line("web", "web-1", "x" * 8000)] * 4000
    request = b"GET /v1/sandboxes/web/logs HTTP/1.1\r\n" + AUTHORIZED + b"\r\n"
    checked = replace(SHORT, write=4)  # none is ended while a busy machine begins the others
    with RunningApi(library, limits=checked) as api, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(api.url, request, receive_buffer=4096)) for _ in range(16)]
        assert [one.recv(4) for one in slow] == [b"HTTP"] * len(slow)  # each is served
        assert_problem(_logs(api), 429)
        until(lambda: connections_of(api).count() <= 1, "those that do not read are ended")
        until(lambda: _logs(api).status_code == 200, "another one is served")


def _logs(api: RunningApi) -> httpx.Response:
    return api.ask("GET", "/v1/sandboxes/web/logs")


def test_a_request_that_takes_long_is_never_ended_for_others(library: Library) -> None:
    limits = Limits(headers=0.5, body=0.5, write=0.5, connections=16, of_address=4)
    library.held["list"] = threading.Event()
    with RunningApi(library, limits=limits) as api:
        request = b"GET /v1/sandboxes HTTP/1.1\r\n" + AUTHORIZED + b"\r\n"
        with contextlib.ExitStack() as stack:
            checked = [stack.enter_context(connect(api.url, request)) for _ in range(4)]
            until(lambda: sum(one.answering for one in connections_of(api)._open) == 4, "all are being answered")
            refused = stack.enter_context(connect(api.url))
            assert refused.recv(4096).startswith(b"HTTP/1.1 503 Service Unavailable")
            time.sleep(1.2)  # longer than any of the limits
            library.held["list"].set()
            for one in checked:
                assert one.recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_tls_that_is_never_begun_or_ended_keeps_nobody_out(library: Library, tmp_path: Path) -> None:
    pem = str(self_signed(tmp_path))
    with RunningApi(library, tls=(pem, pem), limits=SHORT) as api:
        trusted = ssl.create_default_context(cafile=pem)
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        for first in (b"", hello):
            with SlowClients(api.url, 200, first, drip=b"\0" if first else b""):
                for _ in range(10):
                    began = time.monotonic()
                    headers = {"Authorization": f"Bearer {ALL}"}
                    answer = httpx.get(f"{api.url}/v1/sandboxes", headers=headers, verify=trusted, trust_env=False)
                    assert answer.status_code == 200
                    assert time.monotonic() - began < NORMAL_SECONDS
        for first in (b"", hello, b"GET / HTTP/1.1\r\n\r\n"):
            seconds, _ = ended_after(connect(api.url, first))
            assert seconds < NORMAL_SECONDS
        raw = connect(api.url)
        with trusted.wrap_socket(raw, server_hostname="127.0.0.1") as secure:
            secure.sendall(PART_OF_HEADERS)
            seconds, received = ended_after(secure)  # type: ignore[arg-type]  # a socket with TLS is one
        assert seconds < NORMAL_SECONDS
        assert received.startswith(b"HTTP/1.1 408 ")
        assert ProblemKind.REQUEST_TIMEOUT.uri.encode() in received
        until(lambda: connections_of(api).count() <= 1, "all are forgotten")


def test_a_server_with_few_descriptors_still_serves(tmp_path: Path) -> None:
    repo = GitRepo.create(tmp_path / "fleet")
    repo.write("sandboxer.yaml", "apiVersion: sandboxer.dev/v1\nkind: Fleet\nmetadata: {name: nobodys}\nspec: {}\n")
    repo.commit()
    process = subprocess.Popen(
        [sys.executable, "-m", "sandboxer", "-C", str(repo.path), "serve", "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)),
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with SlowClients(url, 400):
            for _ in range(20):
                began = time.monotonic()
                assert httpx.get(f"{url}/healthz", timeout=30, trust_env=False).status_code == 200
                assert time.monotonic() - began < NORMAL_SECONDS
            assert len(list(Path(f"/proc/{process.pid}/fd").iterdir())) < 200
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert errors == ""


@pytest.mark.parametrize(
    ("descriptors", "connections", "of_address"), [(4096, 512, 128), (256, 128, 128), (150, 22, 22), (64, 16, 16)]
)
def test_connections_leave_descriptors_for_the_rest(descriptors: int, connections: int, of_address: int) -> None:
    within = Limits().within(descriptors)
    assert (within.connections, within.of_address) == (connections, of_address)
    assert Limits(of_address=None).within(descriptors).of_address is None


def test_an_end_waits_for_no_half_open_connection(library: Library, tmp_path: Path) -> None:
    pem = str(self_signed(tmp_path))
    settings: list[dict[str, Any]] = [{}, {"tls": (pem, pem)}]
    for more in settings:
        with contextlib.ExitStack() as stack:
            with RunningApi(library, **more) as api:
                for _ in range(20):
                    stack.enter_context(connect(api.url))
                began = time.monotonic()
            assert time.monotonic() - began < 8


def test_where_streams_are_counted_by_address(library: Library) -> None:
    from sandboxer.api.streams import Reader

    assert Reader("a", "atm/x", "10.0.0.1").shares() == {"token a": 16, "consumer atm/x": 16, "address 10.0.0.1": 32}
    assert Reader("a").shares() == {"token a": 16}


@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.9"])
def test_addresses_are_distinguished(library: Library, source: str) -> None:
    with RunningApi(library) as api:
        port = int(api.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 10, (source, 0)):
            until(lambda: source in {one.peer for one in connections_of(api)._open}, "it is counted")


def test_hundreds_of_slow_connections_keep_nobody_out_of_a_hub(tmp_path: Path) -> None:
    with RunningHub(tmp_path / "hub.sqlite") as hub, SlowClients(hub.url.rstrip("/"), 600):
        for number in range(1, 21):
            began = time.monotonic()
            hub.take(event(number))
            assert time.monotonic() - began < 8  # shut out, it would be 30


@pytest.mark.parametrize("first", [b"", PART_OF_HEADERS])
def test_a_request_that_never_comes_is_not_waited_for_by_a_hub(tmp_path: Path, first: bytes) -> None:
    limits = Limits(headers=0.5, body=0.5, write=0.5, idle=1)
    with RunningHub(tmp_path / "hub.sqlite", limits=limits) as hub:
        seconds, _ = ended_after(connect(hub.url.rstrip("/"), first), lambda one: one.sendall(b"x") if first else None)
        assert seconds < 8
