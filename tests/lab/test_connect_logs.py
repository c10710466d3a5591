"""The logs of a sandbox on real hosts: of every container, followed, and nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.client import Client
from tests.support.e2e import PROGRAM, service, stack, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab

HOSTS = pytest.mark.parametrize("host", ["lab-1", "lab-3", "lab-4"], ids=["docker", "no-root", "podman"])


def _says(*lines: str, then: str = "exec sleep 9999", **keys: Any) -> dict[str, Any]:
    """Return a service that prints these lines, and continues."""
    return service("sh", "-c", "".join(f"echo {line};" for line in lines) + then, **keys)


def _applied(new_fleet: Callable[..., FleetRepo], host: str, **services: Any) -> FleetRepo:
    fleet = new_fleet(host)
    fleet.sandbox("web", stack(**services))
    fleet.commit()
    fleet.apply()
    return fleet


@contextmanager
def _started(fleet: FleetRepo, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The program, which ends with the test at the latest."""
    with fleet.start(*arguments) as process:
        try:
            yield process
        finally:
            process.kill()


def _readers(fleet: FleetRepo, host: str) -> list[str]:
    """Return the processes on a host that read a log, or wait for somebody who does."""
    found = fleet.sh(host, "for p in /proc/[0-9]*/cmdline; do tr '\\0' ' ' <$p 2>/dev/null; echo; done")
    return [line for line in found.splitlines() if re.search(r"logs --follow|eval \"\$s\"", line)]


@HOSTS
def test_logs_of_every_container_the_ended_ones_too(new_fleet: Callable[..., FleetRepo], host: str) -> None:
    fleet = _applied(
        new_fleet, host,
        a=_says("one", "two"),
        b=_says("'on error' >&2", deploy={"replicas": 2}),
        init=_says("done", then="exit 0", restart="no"),
    )  # fmt: skip
    lines = fleet.run("logs", "web").splitlines()
    assert sorted(lines) == ["a | one", "a | two", "b-1 | on error", "b-2 | on error", "init | done"]
    assert fleet.run("logs", fleet.id("web"), "--service", "a", "--tail", "1") == "a | two\n"
    (stamped,) = fleet.run("logs", "web", "--service", "init", "-t").splitlines()
    assert re.fullmatch(r"init \| \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S+ done", stamped)
    fleet.run("logs", "web", "--service", "c", code=1)
    assert 'sandbox "web" has no service "c"' in fleet.output[-1]
    assert "a, b, init" in fleet.output[-1]
    fleet.run("logs", "none", code=1)
    assert 'no sandbox "none"' in fleet.output[-1]


def test_bytes_come_as_they_are_and_an_end_without_a_newline_too(new_fleet: Callable[..., FleetRepo]) -> None:
    script = (
        "printf 'a\\n\\n\\303\\244\\033[2Jx\\n'; head -c 200000 /dev/zero | tr '\\0' y; echo; echo; printf end; exit 0"
    )
    fleet = _applied(new_fleet, "lab-1", a=service("sh", "-c", script, restart="no"))
    lines = [line.data for line in Client(fleet.repo.path).logs("web")]
    assert lines[:3] == [b"a", b"", b"\xc3\xa4\x1b[2Jx"]
    assert b"".join(lines[3:-2]) == b"y" * 200000
    assert max(map(len, lines)) <= 64 * 1024
    assert lines[-2:] == [b"", b"end"]


def test_a_terminal_gets_nothing_that_harms_it(new_fleet: Callable[..., FleetRepo]) -> None:
    fleet = _applied(new_fleet, "lab-1", a=_says("\"$(printf '\\033[2Jx\\377\\t\\033[31mred\\007')\""))
    theirs, ours = os.openpty()
    command = [PROGRAM, "-C", str(fleet.repo.path), "logs", "web"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=ours, stderr=subprocess.PIPE) as process:
        os.close(ours)
        shown = os.read(theirs, 4096)
        assert process.wait(60) == 0
    os.close(theirs)
    assert shown == "\x1b[36ma |\x1b[0m �[2Jx�\t\x1b[31mred�\x1b[0m\r\n".encode()


@HOSTS
def test_a_follow_outlives_a_restart_and_ends_at_ctrl_c_with_all_that_it_began(
    new_fleet: Callable[..., FleetRepo], host: str
) -> None:
    fleet = _applied(
        new_fleet, host,
        a=_says("'started at' $(cat /proc/uptime)"),
        init=_says("done", then="exit 0", restart="no"),
    )  # fmt: skip
    seen: list[str] = []

    def says_more() -> bool:
        container = fleet.ids(host, "web")["a"]
        fleet.engine(host, "exec", container, "sh", "-c", "cat /proc/uptime >/proc/1/fd/1")
        return len(seen) > 4

    with _started(fleet, "logs", "web", "--follow") as process:
        reader = threading.Thread(target=lambda: seen.extend(process.stdout or ()))
        reader.start()
        until(lambda: len(seen) == 2, f"both containers' lines: {seen}")
        fleet.engine(host, "restart", "-t", "0", fleet.ids(host, "web")["a"])
        until(lambda: len(seen) == 3, f"what it says after a restart: {seen}")
        until(says_more, f"what it says then: {seen}")
        assert len(_readers(fleet, host)) >= 2
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        reader.join(10)
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert [line.split(" ")[0] for line in seen if "started" in line] == ["a", "a"]
    assert len(set(seen)) == len(seen), "none comes twice"
    until(lambda: not _readers(fleet, host), "nothing that reads a log is left on the host")


@pytest.mark.parametrize("host", ["lab-1", "lab-4"], ids=["docker", "podman"])
def test_a_follow_continues_with_what_an_update_recreates_and_ends_with_the_last_container(
    new_fleet: Callable[..., FleetRepo], host: str
) -> None:
    fleet = _applied(new_fleet, host, a=_says("first"), b=_says("'of b'"))
    with _started(fleet, "logs", "web", "-f", "--service", "a") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "a | first\n"
        fleet.sandbox("web", stack(a=_says("second", "third"), b=_says("'of b'")))
        fleet.commit()
        fleet.apply()
        assert process.stdout.readline() == "a | second\n"
        assert process.stdout.readline() == "a | third\n"
        fleet.engine(host, "kill", fleet.ids(host, "web")["a"])
        assert process.wait(60) == 0
        assert process.stdout.read() == ""


def test_an_iterator_is_closed_from_another_thread(new_fleet: Callable[..., FleetRepo]) -> None:
    services = {f"s{number}": _says("here") for number in range(12)}  # more than one connection has room for
    fleet = _applied(new_fleet, "lab-1", **services)
    threads = set(threading.enumerate())
    lines = Client(fleet.repo.path).logs("web", follow=True)
    seen = [next(lines).source for _ in services]
    assert sorted(seen) == sorted(services)
    rest: list[Any] = []
    waiting = threading.Thread(target=lambda: rest.extend(lines))
    waiting.start()
    lines.close()
    waiting.join(20)
    assert not waiting.is_alive()
    assert rest == []
    until(lambda: not _readers(fleet, "lab-1"), "nothing that reads a log is left on the host")
    until(lambda: set(threading.enumerate()) <= threads, "no thread is left here")


def test_whoever_reads_slowly_costs_no_memory(new_fleet: Callable[..., FleetRepo]) -> None:
    endless = "while :; do head -c 60000 /dev/zero | tr '\\0' z; echo; done"
    fleet = _applied(new_fleet, "lab-1", a=service("sh", "-c", endless, logging={"options": {"max-size": "50m"}}))
    log = fleet.engine("lab-1", "inspect", "--format", "{{.LogPath}}", fleet.ids("lab-1", "web")["a"]).strip()
    with _started(fleet, "logs", "web", "-f") as process:
        assert process.stdout is not None
        process.stdout.readline()
        memory = _resident(process.pid)
        until(lambda: fleet.exists("lab-1", f"{log}.1"), "a log of more than 50 MB")
        assert _resident(process.pid) < memory + 25_000_000


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_lost_connection_is_an_error(new_fleet: Callable[..., FleetRepo], lab: Lab) -> None:
    fleet = _applied(new_fleet, "lab-1", a=_says("first"))
    with _started(fleet, "logs", "web", "-f") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "a | first\n"
        with lab.cut("lab-1", "refuse"):
            assert process.wait(60) == 1
        assert process.stderr is not None
        assert "lab-1" in process.stderr.read()
    until(lambda: not _readers(fleet, "lab-1"), "nothing that reads a log is left on the host")
