"""A State Hub that is slow, dead or lying costs no run anything, and in the end it has every event once."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest

from tests.faults.matrix import size
from tests.support.e2e import service, stack
from tests.support.hub_faults import Between, compare
from tests.support.hubs import TOKEN, LyingHub, ServedHub

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.matrix import Row
    from tests.support.e2e import FleetRepo

pytestmark = [
    pytest.mark.lab,
    pytest.mark.fault(
        "a State Hub that is slow, dead, lying, or cuts connections, 1,000 random faults over applies and destroys",
        "0 events lost, 0 doubled after the hub's own deduplication, every run exits 0",
    ),
]

FAULTS = size(30, 1000)
MOST_RUNS = FAULTS * 3
SEED = 20261124
NAMES = ("one", "two", "three")
APP = stack(app=service(environment=["LEVEL=${LEVEL}"]))


def test_every_event_arrives_once(new_fleet: Callable[..., FleetRepo], row: Row, tmp_path: Path) -> None:
    with ServedHub(tmp_path / "hub") as hub:
        between = Between(hub.url, row.broke, SEED)
        with LyingHub(choose=between.choose) as lying:
            fleet = new_fleet("lab-1", stateHub={"url": "${STATE_HUB_URL}", "token": "env:STATE_HUB_TOKEN"})
            fleet.env.update(STATE_HUB_URL=lying.url, STATE_HUB_TOKEN=TOKEN)
            runs, lives = _live(fleet, row)
            between.honest = True
            fleet.run("hub", "flush", timeout=600)
            journals = _journals(fleet)
            assert not fleet.exists("lab-1", f"{fleet.root}/{fleet.name}/.journals")
        between.close()
        received = hub.events(type="dev.sandboxer.sandbox.*")
        again = hub.duplicates()
    lost, doubled = compare(received, journals, lives)
    row.doubled += doubled
    row.measured(
        f"{len(received)} events of {lives} lives in {runs} runs, {lost} lost, {doubled} doubled; {again} came again"
    )
    assert (lost, doubled) == (0, 0)


def _live(fleet: FleetRepo, row: Row) -> tuple[int, int]:
    """Apply and destroys until enough was broken; return how many runs that took, and how many lives began."""
    chance, runs, lives = random.Random(SEED), 0, 0
    there: set[str] = set()
    while len(row.broken) < FAULTS:
        assert runs < MOST_RUNS, "too little is broken"
        for name in NAMES:
            if name in there and chance.random() < 0.4:
                fleet.remove(name)
                there.discard(name)
            elif chance.random() < 0.7:
                fleet.sandbox(name, APP, env={"LEVEL": str(runs)})
                there.add(name)
        fleet.commit()
        env: dict[str, str] = {}
        if chance.random() < 0.1:
            env["STATE_HUB_URL"] = "http://127.0.0.1:9"
            row.broke("nobody listens")
        applied = fleet.apply("--allow-empty", "--max-deletes", "9", env=env)
        lives += sum(change["outcome"] == "created" for change in applied.changes)
        warnings = [line for line in fleet.output[-1].splitlines() if line.startswith("Warning: ")]
        assert len(warnings) <= 1, warnings
        runs += 1
    return runs, lives


def _journals(fleet: FleetRepo) -> dict[str, list[int]]:
    """Return the numbers in the journals of what lives, by uid."""
    found: dict[str, list[int]] = defaultdict(list)
    for line in fleet.sh("lab-1", f"cat {fleet.root}/{fleet.name}/*/journal.jsonl", check=False).splitlines():
        event = json.loads(line)
        found[event["uid"]].append(event["number"])
    return found
