"""Ports forwarded into sandboxes on real hosts: many at once, through a restart, a lost connection and an update."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.client import Client
from sandboxer.errors import UsageError
from tests.support.e2e import FleetRepo, service, stack, until, web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab import Lab

pytestmark = pytest.mark.lab

HOSTS = pytest.mark.parametrize(
    "host", ["lab-1", "lab-3", "lab-4"], ids=["docker", "no-root", "podman"], scope="module"
)
DOCKER = pytest.mark.parametrize("host", ["lab-1"], ids=["docker"], scope="module")
PORTS = {"reachability": {"ports": [{"name": "http", "service": "a", "port": 8080}]}}
# Its httpd makes a process for each connection.
MANY = {"network": {"egress": "deny"}, "resources": {"cpus": 0.5, "memory": "64MiB", "pids": 512}}
PAGE = "hello from inside\n"
# Serves PAGE; a sandbox's own httpd, so that what answers is surely the container.
SERVER = service("sh", "-c", f"echo '{PAGE.strip()}' >/www/index.html; exec httpd -f -p 8080 -h /www")


@pytest.fixture(scope="module")
def applied(lab: Lab, host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetRepo]:
    """A sandbox on each host, for the tests that leave it as it is, but for a restart."""
    fleet = FleetRepo.create(lab, tmp_path_factory.mktemp("forwards") / "fleet", hosts=[host])
    try:
        yield _with_sandbox(fleet, {"a": SERVER, "b": web()}, **MANY)
    finally:
        fleet.clean_up()


def _applied(new_fleet: Callable[..., FleetRepo], host: str, services: dict[str, Any], **profile: Any) -> FleetRepo:
    return _with_sandbox(new_fleet(host), services, **profile)


def _with_sandbox(fleet: FleetRepo, services: dict[str, Any], **profile: Any) -> FleetRepo:
    fleet.sandbox("web", stack(**services), profile_spec=PORTS | profile)
    fleet.commit()
    fleet.apply()
    return fleet


@contextmanager
def _forwarded(fleet: FleetRepo, *arguments: str, signals: int = signal.SIGINT) -> Iterator[dict[str, Any]]:
    """The program forwards a port; yield its output about it. It exits with 0 when it is stopped."""
    with fleet.start("forward", "web", *arguments, "-o", "json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        assert line, process.stderr.read()
        forward: dict[str, Any] = json.loads(line)
        forward["pid"] = process.pid
        try:
            yield forward
        finally:
            process.send_signal(signals)
            code = process.wait(30)
            forward["stderr"] = process.stderr.read()
        assert code == 0, forward["stderr"]
        assert "Traceback" not in forward["stderr"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((forward["local_address"], forward["local_port"]), 5).close()


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        text: str = answer.read().decode()
        return text


def _answers(url: str) -> bool:
    try:
        return _get(url) == PAGE
    except (OSError, urllib.error.URLError):
        return False


@HOSTS
def test_a_hundred_requests_at_once_into_a_closed_network_and_on_after_a_restart(applied: FleetRepo, host: str) -> None:
    fleet = applied
    assert fleet.get("web")["reachability"][0]["via"] == "tunnel"
    with _forwarded(fleet) as forward, ThreadPoolExecutor(100) as pool:
        assert {forward[key] for key in ("name", "service", "port", "local_address")} == {
            "http",
            "a",
            8080,
            "127.0.0.1",
        }
        url = forward["url"]
        assert url == f"http://127.0.0.1:{forward['local_port']}"
        assert set(pool.map(_get, [url] * 100)) == {PAGE}
        fleet.engine(host, "restart", "-t", "0", fleet.ids(host, "web")["a"])
        until(lambda: _answers(url), "it answers after a restart")
        assert set(pool.map(_get, [url] * 100)) == {PAGE}


@DOCKER
def test_a_hundred_at_once_share_one_connection(applied: FleetRepo, lab: Lab, host: str) -> None:
    fleet = applied
    with _forwarded(fleet) as forward:
        address = (forward["local_address"], forward["local_port"])
        sockets = [socket.create_connection(address, 10) for _ in range(100)]
        for sock in sockets:
            sock.sendall(b"GET / HTTP/1.0\r\n")
        until(lambda: len(_to_ssh(forward["pid"], lab.host(host).address)) == 1, "one connection to sshd")
        for sock in sockets:
            sock.sendall(b"\r\n")
        assert all(PAGE.encode() in _rest(sock) for sock in sockets)
        assert len(_to_ssh(forward["pid"], lab.host(host).address)) == 1


def _to_ssh(pid: int, address: str) -> list[str]:
    """Return the TCP connections of a process to an sshd."""
    inodes = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    remote = "".join(f"{int(part):02X}" for part in reversed(address.split("."))) + ":0016"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[2] == remote and f"socket:[{row[9]}]" in inodes]


def _rest(sock: socket.socket) -> bytes:
    """Return all that comes until the other side ends it."""
    with sock:
        return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.mark.parametrize("host", ["lab-1", "lab-4"], ids=["docker", "podman"])
def test_it_continues_with_a_container_that_was_recreated(new_fleet: Callable[..., FleetRepo], host: str) -> None:
    fleet = _applied(new_fleet, host, {"a": SERVER, "b": web()})
    with _forwarded(fleet, signals=signal.SIGTERM) as forward:
        assert _answers(forward["url"])
        before = fleet.ids(host, "web")["a"]
        fleet.sandbox("web", stack(a={**SERVER, "environment": {"X": "1"}}, b=web()), profile_spec=PORTS)
        fleet.commit()
        fleet.apply()
        assert fleet.ids(host, "web")["a"] != before
        until(lambda: _answers(forward["url"]), "it answers after an update")


def test_published_ports_numbers_and_what_is_not_there(new_fleet: Callable[..., FleetRepo]) -> None:
    network = {"egress": "allow", "ingress": "loopback"}
    fleet = _applied(new_fleet, "lab-1", {"a": SERVER, "b": SERVER}, network=network)
    assert fleet.get("web")["reachability"][0]["via"] == "published"
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        given.close()
        with _forwarded(fleet, f"{port}:http") as reported:
            assert (reported["local_port"], _get(reported["url"])) == (port, PAGE)
        number = str(taken.getsockname()[1])
        fleet.run("forward", "web", f"{number}:8080", code=1)
        assert f"cannot listen on 127.0.0.1 port {number}" in fleet.output[-1]
    with _forwarded(fleet, "8080", "--service", "b") as reported:
        assert (reported["name"], reported["service"], _get(f"http://127.0.0.1:{reported['local_port']}")) == (
            "8080",
            "b",
            PAGE,
        )
    fleet.run("forward", "web", "9999", code=1)
    assert 'sandbox "web" has 2 services; no service specified' in fleet.output[-1]
    fleet.run("forward", "web", "none", code=1)
    assert 'sandbox "web" has no port "none"' in fleet.output[-1]
    with Client(fleet.repo.path).forward("web", 8080) as forward:
        assert _get(forward.url) == PAGE
        with pytest.raises(UsageError):
            Client(fleet.repo.path).forward("web", 8080, local_port=forward.local_port)


@DOCKER
def test_a_refused_connection_ends_alone(applied: FleetRepo, host: str) -> None:
    threads = set(threading.enumerate())
    warned: list[str] = []
    fleet = applied
    with Client(fleet.repo.path, warn=warned.append).forward("web", "http") as forward:
        nothing = Client(fleet.repo.path, warn=warned.append).forward("web", 9, service="a")
        with nothing, socket.create_connection(("127.0.0.1", nothing.local_port), 10) as sock:
            assert _end_of(sock) == "reset"
        assert warned == ['a connection was refused: nothing answers on port "9" of service "a" of sandbox "web"']
        assert _get(forward.url) == PAGE
        fleet.engine(host, "stop", "-t", "0", fleet.ids(host, "web")["a"])
        with socket.create_connection(("127.0.0.1", forward.local_port), 10) as sock:
            assert _end_of(sock) == "reset"
        assert 'service "a" of sandbox "web" is not running: exited' in warned[-1]
        fleet.engine(host, "start", fleet.ids(host, "web")["a"])
        until(lambda: _answers(forward.url), "it answers when it runs again")
    until(lambda: set(threading.enumerate()) <= threads, "no thread is left")


def _end_of(sock: socket.socket) -> str:
    sock.settimeout(60)
    try:
        return f"ended: {sock.recv(100)!r}"
    except ConnectionResetError:
        return "reset"


def test_each_side_may_end_before_the_other(new_fleet: Callable[..., FleetRepo]) -> None:
    """A server that answers once it has read all, as ``nc`` does, gets the end of what is sent."""
    counts = service("sh", "-c", "while :; do nc -l -p 7 -e sh -c 'wc -c'; done")
    fleet = _applied(new_fleet, "lab-1", {"a": counts})
    size = 5_000_000
    forward = Client(fleet.repo.path).forward("web", 7)
    with forward, socket.create_connection(("127.0.0.1", forward.local_port), 30) as sock:
        sock.sendall(b"x" * size)
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(60)
        assert sock.recv(100).strip() == str(size).encode()
        assert sock.recv(100) == b""


@DOCKER
def test_a_lost_connection_is_opened_again(applied: FleetRepo, lab: Lab, host: str) -> None:
    fleet = applied
    with _forwarded(fleet) as forward:
        assert _answers(forward["url"])
        with lab.cut(host, "refuse"):
            until(lambda: not _answers(forward["url"]), "it is disconnected")
        until(lambda: _answers(forward["url"]), "it answers again")
    assert 'the connection to host "lab-1" was lost; reconnecting' in forward["stderr"]


def test_whoever_reads_slowly_costs_no_memory(new_fleet: Callable[..., FleetRepo]) -> None:
    endless = service("sh", "-c", "nc -l -p 7 -e sh -c 'while head -c 100000 /dev/zero; do echo >>/tmp/count; done'")
    fleet = _applied(new_fleet, "lab-1", {"a": endless})
    with _forwarded(fleet, "7") as forward, socket.create_connection(("127.0.0.1", forward["local_port"]), 30) as sock:
        assert sock.recv(1000)
        before = _resident(forward["pid"])
        pieces = until(lambda: _stuck(fleet), "nothing goes on any more")
        assert pieces * 100_000 < 50_000_000
        assert _resident(forward["pid"]) < before + 20_000_000


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _stuck(fleet: FleetRepo) -> int:
    """Return how many pieces the server in the container has sent, once that stays so for a second; else 0."""
    first, second = fleet.inside(
        "lab-1", "web", "a", "sh", "-c", "wc -l </tmp/count; sleep 1; wc -l </tmp/count"
    ).split()
    return int(first) if first == second else 0
