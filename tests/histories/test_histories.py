"""Random histories: nothing unknown is deleted, nothing foreign is touched, and applies converge.

200 runs by default; ``make histories`` does 10,000. The same ``SANDBOXER_HISTORIES_SEED`` gives the same histories.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.histories.backend import simulated
from tests.histories.machine import Histories
from tests.histories.world import COUNTS, World

RUNS = int(os.environ.get("SANDBOXER_HISTORIES", "200"))
SEED = int(os.environ.get("SANDBOXER_HISTORIES_SEED", "0"))
EACH = 100 if RUNS <= 200 else 500


@pytest.mark.parametrize("part", range(-(-RUNS // EACH)))
def test_whatever_happens(part: int) -> None:
    machine = seed(SEED * 1_000_000 + part)(type("Histories", (Histories,), {}))
    COUNTS.clear()
    options = settings(
        max_examples=min(EACH, RUNS),
        stateful_step_count=30,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with simulated():
        run_state_machine_as_test(machine, settings=options)
    print(", ".join(f"{count} {what}" for what, count in sorted(COUNTS.items())))
    # A step that never happens proves nothing.
    assert COUNTS["steps"] > 10 * options.max_examples
    assert {"created", "updated", "repaired", "replaced", "deleted", "blocked", "killed"} <= COUNTS.keys()


def test_what_lost_its_directory_is_repaired_by_the_engine_that_has_it() -> None:
    """Found by a random history: the host now gives new sandboxes another engine."""
    world = World(["acme"], ["lab-1"])
    with simulated():
        world.edit("acme", "web")
        world.apply("acme")
        (before,) = world.hosts["lab-1"].containers.values()
        world.wipe("lab-1")
        world.edit_host("acme", "lab-1", runtime="podman")
        world.apply("acme")
        (after,) = world.hosts["lab-1"].containers.values()
        assert after.engine == before.engine == "docker"
        world.calm()
    (moved,) = world.hosts["lab-1"].containers.values()
    assert moved.engine == "podman"


def test_an_engine_that_is_not_chosen_any_more_must_answer_before_a_sandbox_counts_as_absent() -> None:
    """Found by a random history: a second copy, by the other engine, while the first one did not answer."""
    world = World(["acme"], ["lab-1"])
    with simulated():
        world.edit("acme", "web")
        world.apply("acme")
        world.stop_engine("lab-1")
        world.edit_host("acme", "lab-1", runtime="podman")
        world.wipe("lab-1")
        world.apply("acme")
        assert [container.engine for container in world.hosts["lab-1"].containers.values()] == ["docker"]
        world.calm()
    (moved,) = world.hosts["lab-1"].containers.values()
    assert moved.engine == "podman"


def test_a_change_is_checked_against_the_observation_that_it_was_planned_on() -> None:
    """Found by a random history: another change that was planned again had observed the same host again."""
    world = World(["acme"], ["lab-1"])
    with simulated():
        world.edit("acme", "web")
        world.apply("acme")
        world.edit("acme", "app")
        world.drop("acme", "web")
        world.plan_for_later("acme")
        world.apply("acme")
        outcomes = world.carry_out() or []
    assert {outcome.change.sandbox: outcome.word for outcome in outcomes} == {"app": "unchanged", "web": "unchanged"}
