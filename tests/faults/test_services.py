"""Services that cannot start, do not stay, or never become healthy: the cause is named, the next apply continues."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.matrix import size
from tests.support.e2e import service, stack, web

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.matrix import Row
    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

pytestmark = [
    pytest.mark.lab,
    pytest.mark.fault(
        "image missing; port taken; one service that exits; one that never gets healthy",
        "partial, cause named, resumable",
    ),
]

MOON = service(
    "sh", "-c", "echo waiting for the moon; sleep 9999",
    healthcheck={"test": ["CMD", "sh", "-c", "echo no moon yet; exit 1"], "interval": "1s", "retries": 2},
)  # fmt: skip
NEVER = MOON | {"healthcheck": MOON["healthcheck"] | {"retries": 1000}}
# What is wrong with the service `bad`, and the text that the error must contain.
CAUSES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "image": (service() | {"image": "localhost/not/there:1"}, ('service "bad" was not', "localhost/not/there:1")),
    "exits": (service("sh", "-c", "echo the last words; exit 3"), ('service "bad" is exited (3)', "the last words")),
    "sick": (MOON, ('service "bad" is running (', "waiting for the moon", "no moon yet")),
    "never": (NEVER, ('service "bad" is running (starting)', "waiting for the moon", "no moon yet")),
    "program": (service("/no/such/program"), ('service "bad" is created', "/no/such/program")),
}


@pytest.mark.parametrize("host", size(["lab-1"], ["lab-1", "lab-4"]))
def test_a_service_that_fails(new_fleet: Callable[..., FleetRepo], host: str, row: Row) -> None:
    fleet = new_fleet(host)
    quick = {"readiness": {"timeout": "5s"}}
    for name in (*CAUSES, "sound"):
        fleet.sandbox(name, stack(bad=service(), good=service()), profile_spec=quick)
    sound = fleet.commit()
    clean = row.clean(fleet)
    for name, (bad, _) in CAUSES.items():
        fleet.sandbox(name, stack(bad=bad, good=service()), profile_spec=quick)
        row.broke(f"a service: {name}")
    fleet.commit()
    applied = fleet.apply(code=1)
    assert applied.of("sound")["outcome"] == "created"
    for name, (_, words) in CAUSES.items():
        error = applied.of(name)["error"]
        assert applied.of(name)["outcome"] == "failed"
        assert all(word in error for word in words), error
        assert 'service "good"' not in error or name == "image", error
        assert fleet.record(host, name)["phase"] == "failed"
    running = fleet.ids(host)
    assert set(running) >= {f"{name}/good" for name in (*CAUSES, "sound") if name != "image"}

    fleet.repo.git("checkout", "-q", sound, "--", "stacks")
    fleet.commit()
    row.recovered(fleet, clean)
    after = fleet.ids(host)
    assert {name for name in running if running[name] != after[name]} <= {f"{name}/bad" for name in CAUSES}


def test_an_update_that_fails(fleet: FleetRepo, row: Row) -> None:
    """What ran continues to run unless the update touched it, and a revert is an update like any other."""
    fleet.sandbox("one", stack(bad=service(), good=service()))
    sound = fleet.commit()
    clean = row.clean(fleet)
    fleet.apply()
    before = fleet.ids("lab-1")
    for name in size(["image"], ["image", "exits", "program"]):
        fleet.sandbox("one", stack(bad=CAUSES[name][0], good=service()))
        fleet.commit()
        row.broke(f"an update of a service: {name}")
        error = fleet.apply(code=1, drifts=True).of("one")["error"]
        assert all(word in error for word in CAUSES[name][1]), error
        assert fleet.ids("lab-1")["one/good"] == before["one/good"]
        fleet.repo.git("checkout", "-q", sound, "--", "stacks")
        fleet.commit()
        row.recovered(fleet, clean)
        assert fleet.ids("lab-1")["one/good"] == before["one/good"]


_TAKE = """
import socket, sys
taken = [socket.create_server(("127.0.0.1", port)) for port in range(40000, 40010)]
print("taken", flush=True)
sys.stdin.read()
"""
_RANGE = "/proc/sys/net/ipv4/ip_local_port_range"


@contextmanager
def _ports_taken(lab: Lab, host: str) -> Iterator[subprocess.Popen[str]]:
    """Return a host with ten ports for Docker to choose from, each of them taken until the given process ends."""
    usual = lab.exec(host, ["cat", _RANGE]).stdout
    lab.stop_engine(host, "stop")
    lab.exec(host, ["tee", _RANGE], input="40000 40009\n")
    command = lab.host(host).command(["/usr/bin/python3", "-c", _TAKE])
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as taker:
        try:
            assert taker.stdout is not None
            assert taker.stdout.readline() == "taken\n"
            lab.start_engine(host)
            yield taker
        finally:
            taker.communicate()
            lab.stop_engine(host, "stop")
            lab.exec(host, ["tee", _RANGE], input=usual)
            lab.start_engine(host)


def test_a_port_that_is_taken(fleet: FleetRepo, lab: Lab, row: Row) -> None:
    """Host ports in a compose file do not count, so all that can be taken is each port that the engine may choose."""
    network = {"egress": "allow", "ingress": "loopback"}
    ports = {"ports": [{"name": "http", "service": "a", "port": 8080}]}
    fleet.sandbox("one", stack(a=web(), b=service()), profile_spec={"network": network, "reachability": ports})
    fleet.commit()
    clean = row.clean(fleet)
    with _ports_taken(lab, "lab-1") as taker:
        row.broke("each port that the engine may choose is taken")
        error = fleet.apply(code=1).of("one")["error"]
        assert "address already in use" in error
        assert 'service "a" is created' in error
        assert fleet.record("lab-1", "one")["phase"] == "failed"
        running = fleet.ids("lab-1")
        taker.communicate()
        fleet.apply(drifts=True)
        assert fleet.ids("lab-1")["one/b"] == running["one/b"]
        row.is_ready(fleet, clean)
    row.recovered(fleet, clean)
