"""sshd's own limits on what comes at once are no reason to call a host unknown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.faults.matrix import full_only, size
from tests.support.e2e import FleetRepo, service, stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.matrix import Row
    from tests.lab import Lab

pytestmark = [
    pytest.mark.lab,
    pytest.mark.fault(
        "sshd's default MaxStartups and MaxSessions, 60 Host documents behind one jump host", "no false Unknown"
    ),
]

HOSTS = 60
ROUNDS = size(1, 20)
_BEHIND = ("lab-2", "lab-3", "lab-4")


def _ssh_config(fleet: FleetRepo) -> None:
    """``directory-N`` is one of three hosts, and the way there leads through lab-1."""
    lab = fleet.lab
    common = f"IdentityFile {lab.identity_file}\n  UserKnownHostsFile {lab.known_hosts}\n"
    blocks = [f"Host jump\n  HostName {lab.host('lab-1').address}\n  User root\n  {common}"]
    for number in range(HOSTS):
        host = lab.host(_BEHIND[number % 3])
        blocks.append(
            f"Host machine-{number}\n  HostName {host.address}\n  User {host.user}\n  ProxyJump jump\n  {common}"
        )
    home = fleet.repo.path.parent / "home/.ssh"
    home.mkdir(parents=True, exist_ok=True)
    (home / "config").write_text("\n".join(blocks))


def _documents(fleet: FleetRepo, count: int) -> None:
    """The fleet's hosts are now ``machine-0`` and so on."""
    names = [f"machine-{number}" for number in range(count)]
    documents = [
        {"apiVersion": "sandboxer.dev/v1", "kind": "Host", "metadata": {"name": name}, "spec": {"address": name}}
        for name in names
    ]
    fleet.repo.write("manifests/hosts.yaml", yaml.safe_dump_all(documents))


def _throttled(lab: Lab) -> int:
    """Return how often the servers turned a connection away because too many came at once."""
    logs = (Path(host.folder, "var/log/sshd.log").read_text(errors="replace") for host in lab.hosts)
    return sum(log.count("MaxStartups") for log in logs)


def test_sixty_hosts_behind_one_jump_host(new_fleet: Callable[..., FleetRepo], lab: Lab, row: Row) -> None:
    fleet = new_fleet(*_BEHIND)
    _ssh_config(fleet)
    _documents(fleet, 3)
    fleet.sandbox("one", stack(a=service()), host="machine-0")
    fleet.commit()
    clean = row.clean(fleet)
    turned_away = _throttled(lab)
    _documents(fleet, HOSTS)
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    slowest = 0.0
    for number in range(ROUNDS):
        row.broke(f"60 connections through one jump host at once, round {number + 1}")
        planned = fleet.plan()
        assert set(planned.statuses.values()) == {"reachable"}
        assert len(planned.statuses) == HOSTS
        assert planned.data["complete"]
        slowest = max(slowest, planned.data["stats"]["seconds"])
    again = _throttled(lab) - turned_away
    row.measured(f"0 of {HOSTS * ROUNDS} observations Unknown, {again} tried again, the slowest plan {slowest:.1f} s")
    _documents(fleet, 3)
    fleet.sandbox("one", stack(a=service()), host="machine-0")
    fleet.commit()
    fleet.commit()  # the hosts of the parent commit are observed too
    row.recovered(fleet, clean)


@full_only
def test_many_sandboxes_at_once_on_one_host(fleet: FleetRepo, row: Row) -> None:
    """More of them than sshd allows sessions on a connection."""
    names = [f"s{number}" for number in range(12)]
    for name in names:
        fleet.sandbox(name, stack(a=service()))
    fleet.commit()
    clean = row.clean(fleet)
    row.broke("12 sandboxes made at once over one connection")
    row.recovered(fleet, clean)
