"""A client that goes away while its host works: the work ends, then the lock with it, and nobody wrote meanwhile."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults import picture
from tests.faults.matrix import size
from tests.support.e2e import FleetRepo, service, stack, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from subprocess import Popen

    from tests.faults.matrix import Row
    from tests.faults.picture import Picture

pytestmark = [
    pytest.mark.lab,
    pytest.mark.fault(
        "the SSH connection dies (client killed, network cut) while the host works",
        "no second writer; lock free within 35 s",
    ),
]

LIMIT = 35.0
GENERATION = 3  # begun; begun again and ended by the client that came after
HOSTS = ("lab-1", "lab-2", "lab-3", "lab-4")
KINDS = ("killed", "cut", "frozen")
# Each host in turn meets each fault; hosts wait side by side.
ROUNDS = size(1, 6)
# Healthy once the test makes it so: until then the host works.
WAITING = service(healthcheck={"test": ["CMD", "test", "-e", "/tmp/go"], "interval": "1s", "retries": 600})


def test_the_lock_ends_with_its_client(new_fleet: Callable[..., FleetRepo], row: Row) -> None:
    fleets = {host: new_fleet(host) for host in size(HOSTS[:3], HOSTS)}
    with ThreadPoolExecutor(max_workers=len(fleets)) as pool:
        jobs = [
            pool.submit(_meet, fleet, host, [KINDS[(number + index) % 3] for number in range(ROUNDS)], row)
            for index, (host, fleet) in enumerate(fleets.items())
        ]
        longest = max(job.result() for job in jobs)
    row.measured(f"lock free after at most {longest:.1f} s")


def _meet(fleet: FleetRepo, host: str, faults: Sequence[str], row: Row) -> float:
    """Let a host meet these faults one after the other; return the longest time until its lock was free."""
    clean = _clean(fleet, host)
    longest = 0.0
    for fault in faults:
        with _begun(fleet, host) as client:
            seconds = _FAULTS[fault](fleet, host, client)
            row.broke(f"{host}: client {fault} while the host works")
            assert seconds <= LIMIT, f"{host}: {fault}: lock free after {seconds:.1f} s"
            longest = max(longest, seconds)
            assert _composing(fleet, host) == [], "the work went on after its lock was given up"
            _let_go(fleet, host)
            fleet.apply()
            client.send_signal(signal.SIGCONT)  # a frozen one wakes up, and finds that it is no writer any more
            client.communicate(timeout=120)
            assert client.returncode in (1, -signal.SIGKILL)
        row.recovered(fleet, clean)
        assert fleet.record(host, "one")["generation"] == GENERATION
        fleet.clean_up()
    return longest


@contextmanager
def _begun(fleet: FleetRepo, host: str) -> Iterator[Popen[str]]:
    """A client whose host has begun to work, and continues until it is released."""
    fleet.sandbox("one", stack(a=WAITING))
    fleet.commit()
    with fleet.start("apply", "-y") as client:
        try:
            until(lambda: "a" in fleet.ids(host, "one"), "the container", 60)
            yield client
        finally:
            client.kill()


def _clean(fleet: FleetRepo, host: str) -> Picture:
    with _begun(fleet, host) as client:
        _let_go(fleet, host)
        client.communicate(timeout=60)
        assert client.returncode == 0
    clean = picture.steady(fleet)
    fleet.clean_up()
    return clean


def _killed(fleet: FleetRepo, host: str, client: Popen[str]) -> float:
    client.send_signal(signal.SIGKILL)
    return _until_free(fleet, host)


def _frozen(fleet: FleetRepo, host: str, client: Popen[str]) -> float:
    client.send_signal(signal.SIGSTOP)
    return _until_free(fleet, host)


def _cut(fleet: FleetRepo, host: str, client: Popen[str]) -> float:
    with fleet.lab.cut(host, "drop"):
        return _until_free(fleet, host)


_FAULTS: dict[str, Callable[[FleetRepo, str, Popen[str]], float]] = {"killed": _killed, "cut": _cut, "frozen": _frozen}


def _let_go(fleet: FleetRepo, host: str) -> None:
    fleet.inside(host, "one", "a", "touch", "/tmp/go")


def _until_free(fleet: FleetRepo, host: str) -> float:
    """Return seconds until the sandbox's lock can be taken."""
    lock = f"{fleet.root}/{fleet.name}/.locks/{fleet.id('one')}"
    began = time.monotonic()
    until(lambda: fleet.lab.exec(host, ["flock", "-n", lock, "true"], check=False).returncode == 0, "the lock", 60)
    return time.monotonic() - began


def _composing(fleet: FleetRepo, host: str) -> list[str]:
    """Return the processes of Compose that work on the sandbox."""
    processes = fleet.lab.snapshot(host).processes
    return [line for line in processes if "compose" in line and fleet.project("one") in line and "conmon" not in line]
