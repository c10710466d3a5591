"""Fleets on the lab's hosts, each removed at the end of its test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.e2e import FleetRepo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.lab import Lab

    NewFleet = Callable[..., FleetRepo]


@pytest.fixture
def new_fleet(lab: Lab, tmp_path: Path) -> Iterator[NewFleet]:
    """Yield a factory of fleets; see FleetRepo.create."""
    made: list[FleetRepo] = []

    def make(*hosts: str, folder: str = "", **options: Any) -> FleetRepo:
        made.append(FleetRepo.create(lab, tmp_path / (folder or f"fleet-{len(made)}"), hosts=hosts, **options))
        return made[-1]

    yield make
    for fleet in made:
        fleet.clean_up()


@pytest.fixture
def fleet(new_fleet: NewFleet) -> FleetRepo:
    """Return a fleet of one Docker host, lab-1."""
    return new_fleet("lab-1")
