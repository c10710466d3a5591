"""Clients of the backend that die at each point, and the next one, which finishes what they began."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandboxer.wiring.source import FleetSource
from tests.unit.extensions.dir_ssh.client import Client

if TYPE_CHECKING:
    from tests.unit.extensions.dir_ssh.local_fleet import LocalFleet


@pytest.fixture
def client(fleet: LocalFleet, tmp_path: Path) -> Client:
    """Return a client of the backend, in this process."""
    return Client(fleet, FleetSource(fleet.repo.path), tmp_path / "points")


def test_a_creation_that_dies_at_any_point_is_finished(client: Client) -> None:
    for point in client.points():
        client.apply(present=False)
        assert not Path(client.fleet.root).exists()
        client.killed_at(point)
        client.apply()
        client.must_be_complete("a\n", point)


def test_an_update_that_dies_at_any_point_is_finished(client: Client) -> None:
    client.apply()
    damaged = client.fleet.tree / "a.txt"
    damaged.unlink()
    shutil.rmtree(client.fleet.directory / "work")
    for point in client.points():
        damaged.unlink()
        shutil.rmtree(client.fleet.directory / "work")
        client.killed_at(point)
        client.apply()
        client.must_be_complete("a\n", point)


def test_a_removal_that_dies_at_any_point_is_finished(client: Client) -> None:
    client.apply()
    for point in client.points(present=False):
        client.apply()
        environment = {"SANDBOXER_SANDBOX": client.fleet.now["uid"], "PATH": os.environ["PATH"]}
        with subprocess.Popen(["sleep", "999"], env=environment) as sleeper:
            client.killed_at(point, present=False)
            client.apply(present=False)
            assert sleeper.wait(timeout=10) < 0, point
        assert not Path(client.fleet.root).exists(), point
