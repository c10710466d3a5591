"""The simulated hosts behave like real ones: the same histories on both give the same plan after each step."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.histories.backend import simulated
from tests.histories.played import HOSTS, SimulatedWorld, history
from tests.histories.real import RealWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.lab import Lab

SEEDS = range(25) if os.environ.get("SANDBOXER_FAULTS") == "full" else range(3)


@pytest.fixture(autouse=True)
def on_values() -> Iterator[None]:
    """Let sandboxes of simulated hosts be created there; the real program runs as a separate process."""
    with simulated():
        yield


@pytest.mark.lab
@pytest.mark.parametrize("seed", SEEDS)
def test_a_history_goes_the_same_way_on_real_hosts(lab: Lab, tmp_path: Path, seed: int) -> None:
    fleets, steps = history(seed)
    simulation, real = SimulatedWorld(fleets, HOSTS), RealWorld(lab, tmp_path, fleets, HOSTS)
    try:
        for number, step in enumerate(steps):
            so_far = "\n".join(map(str, steps[: number + 1]))
            assert step.on(real) == step.on(simulation), so_far
            fleet = step.given.get("fleet", fleets[0])
            assert real.planned(fleet) == simulation.planned(fleet), f"the plan of {fleet} after\n{so_far}"
    finally:
        real.clean_up()
