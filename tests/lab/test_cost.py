"""What a plan costs: one connection and one command for each host, however many sandboxes; by sshd's own log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.e2e import FleetRepo, service, stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab import Lab

pytestmark = pytest.mark.lab


def _connections(lab: Lab, host: str) -> int:
    log = Path(lab.host(host).folder, "var/log/sshd.log").read_text(errors="replace")
    return log.count("Accepted publickey")


@pytest.mark.parametrize("sandboxes", [0, 6])
def test_a_plan_connects_once_and_runs_one_command_on_each_host(
    new_fleet: Callable[..., FleetRepo], lab: Lab, sandboxes: int
) -> None:
    fleet = new_fleet()
    for number in range(sandboxes):
        fleet.sandbox(f"s{number}", stack(a=service()))
    fleet.commit()
    fleet.apply("--allow-empty")
    before = {host.name: _connections(lab, host.name) for host in lab.hosts}
    planned = fleet.plan("--allow-empty")
    count = len(lab.hosts)
    assert (planned.data["stats"]["connections"], planned.data["stats"]["commands"]) == (count, count)
    assert {host.name: _connections(lab, host.name) - before[host.name] for host in lab.hosts} == {
        host.name: 1 for host in lab.hosts
    }
    assert 0 < planned.data["stats"]["seconds"] < 60
