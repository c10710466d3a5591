"""Many clients at once: each sandbox is written by one at a time, and every client ends in 0 or in a clear 1."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.faults.matrix import size
from tests.support.e2e import FleetRepo, service, stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from tests.faults.matrix import Row

pytestmark = [
    pytest.mark.lab,
    pytest.mark.fault(
        "two and fifty appliers at once, 20 rounds",
        "each sandbox written by one at a time, every client ends in 0 or in a clear 1",
    ),
]

CLIENTS = size((2, 8), (2, 50))
ROUNDS = size(2, 20)
CREATED = 3  # events of a sandbox that was made: requested, provisioning, ready
WRITES = 2  # of its record in each later apply, an event each: begun, and ended
SANDBOXES = {"one": "lab-1", "two": "lab-2", "three": "lab-2"}


@pytest.mark.parametrize("clients", CLIENTS)
def test_appliers_at_once(new_fleet: Callable[..., FleetRepo], row: Row, clients: int) -> None:
    fleet = new_fleet("lab-1", "lab-2")
    _want(fleet, ROUNDS)
    clean = row.clean(fleet)
    _want(fleet, 0)
    fleet.apply()
    reported = 0
    for number in range(1, ROUNDS + 1):
        before = {name: fleet.record(host, name)["generation"] for name, host in SANDBOXES.items()}
        _want(fleet, number)
        row.broke(f"{clients} clients at once, round {number}")
        with ThreadPoolExecutor(max_workers=clients) as pool:
            ends = list(pool.map(lambda _: _apply(fleet), range(clients)))
        assert {end for end in ends if end is not None} <= {"blocked_because_locked"}
        reported += sum(end is not None for end in ends)
        for name, host in SANDBOXES.items():
            assert fleet.record(host, name)["generation"] == before[name] + WRITES, f"{name}: written by more than one"
            assert _journal(fleet, host, name) == list(range(1, CREATED + WRITES * number + 1))
    row.measured(f"{clients} clients: {reported} of {clients * ROUNDS} ended in a clear 1")
    row.recovered(fleet, clean)


def _want(fleet: FleetRepo, number: int) -> None:
    for name, host in SANDBOXES.items():
        fleet.sandbox(name, stack(a=service("sleep", str(9000 + number))), host=host)
    fleet.commit()


def _apply(fleet: FleetRepo) -> str | None:
    """Return how a client ended: None for 0; the reason why it could not act for 1."""
    with fleet.start("apply", "-y", "-o", "json", "--lock-timeout", "300s") as process:
        stdout, stderr = process.communicate(timeout=900)
    assert process.returncode in (0, 1), stderr
    assert "Traceback" not in stderr
    if process.returncode == 0:
        return None
    bad: list[dict[str, Any]] = [change for change in json.loads(stdout)["outcomes"] if change["outcome"] != "updated"]
    (reason,) = {change["reason"] for change in bad if change["outcome"] in ("blocked", "failed")}
    return str(reason)


def _journal(fleet: FleetRepo, host: str, name: str) -> list[int]:
    """Return the numbers of the events in a sandbox's journal."""
    lines = fleet.sh(host, f"cat {fleet.folder(name)}/journal.jsonl").splitlines()
    return [json.loads(line)["number"] for line in lines]
