"""Histories that can also be played on real hosts: steps as data, generated from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.histories.world import Interruption, World

if TYPE_CHECKING:
    from collections.abc import Callable


HOSTS = ("lab-1", "lab-2", "lab-3")
NAMES = ("web", "shop")
LENGTH = 10

_FIELDS: list[dict[str, Any]] = [
    {"env": {"LEVEL": "one"}},
    {"env": {"LEVEL": "two"}},
    {"profile": "large"},
    {"profile": "small"},
    {"ttl": "8h"},
    {"labels": {"team": "payments"}},
    {"suspend": True},
    {"suspend": None},
    {"syncPolicy": {"prune": False}},
    {"syncPolicy": {"selfHeal": False}},
    {"syncPolicy": None},
    {"placement": {"hosts": ["lab-1"]}},
    {"placement": {"hosts": ["lab-2", "lab-3"]}},
    {"placement": None},
    {"ttl": None, "expiresAt": "2020-01-01T00:00:00Z"},
    {"expiresAt": None},
]
_HOST_FIELDS: list[dict[str, Any]] = [
    {"cordon": True},
    {"drain": True},
    {"capacity": {"sandboxes": 1}},
    {"cordon": None, "drain": None, "capacity": None},
]
_DEATHS = {
    "create": ("begin.before", "begin.after", "deliver.after", "compose.before", "compose.after", "tidy.after"),
    "update": ("rewrite.before", "rewrite.after", "compose.before", "compose.after", "tidy.after"),
    "delete": ("rewrite.before", "rewrite.after", "teardown.after", "remove.before", "remove.after"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a method of a world, and its arguments."""

    what: str
    given: dict[str, Any] = field(default_factory=dict)

    def on(self, world: Any) -> Any:
        """Carry the step out in a world, and return its result."""
        return getattr(world, self.what)(**self.given)

    def __str__(self) -> str:
        return f"{self.what}({', '.join(f'{key}={value!r}' for key, value in self.given.items())})"


class SimulatedWorld(World):
    """The simulated hosts with the same steps and results as the real ones."""

    def applied(self, fleet: str, death: str = "", **request: Any) -> list[Any] | None:
        """Return the outcomes of an apply; None if it was killed at the step ``death``."""
        interruption = Interruption("kill", death) if death else None
        outcomes = self.apply(fleet, interruption=interruption, **request)
        return None if outcomes is None else outcomes_of([outcome.to_json() for outcome in outcomes])

    def planned(self, fleet: str) -> dict[str, Any]:
        """Return a plan."""
        return plan_of(self.plan(fleet).to_json())


def outcomes_of(outcomes: list[Any]) -> list[Any]:
    """Return the outcomes in an apply's JSON, without what differs between hosts and days."""
    return sorted([o["sandbox"], str(o["host"]), str(o["from_host"]), o["reason"], o["outcome"]] for o in outcomes)


def plan_of(document: Any) -> dict[str, Any]:
    """Return the content of a plan's JSON, without what differs between hosts and days."""
    words = ("sandbox", "id", "host", "from_host", "action", "reason", "sync", "health", "volumes")
    return {
        "hosts": [[host["name"], host["status"]] for host in document["hosts"]],
        "complete": document["complete"],
        "changes": [
            {word: change[word] for word in words}
            | {kind: [field["path"] for field in change[kind]] for kind in ("pending", "drift")}
            for change in document["changes"]
        ],
        "unmanaged": sorted([thing["host"], thing["kind"]] for thing in document["unmanaged"]),
    }


def history(seed: int) -> tuple[tuple[str, str], list[Step]]:
    """Return two fleets' names and a history of theirs: the same for the same seed.

    It is chosen while it is played on simulated hosts, so that most steps have an effect.
    """
    chance = random.Random(seed)
    fleets = (f"h{seed}-one", f"h{seed}-two")
    world = SimulatedWorld(fleets, HOSTS)
    steps: list[Step] = []

    def play(step: str, /, **given: Any) -> None:
        steps.append(Step(step, given))
        steps[-1].on(world)

    play("edit", fleet=fleets[0], name="web")
    play("edit", fleet=fleets[0], name="shop", **chance.choice(_FIELDS))
    play("applied", fleet=fleets[0])
    while len(steps) < LENGTH:
        _choose(chance, world, fleets, play, just_applied=steps[-1].what == "applied")
    play("heal")
    play("applied", fleet=fleets[0], max_deletes=100, allow_empty=True)
    return fleets, steps


def _choose(
    chance: random.Random, world: World, fleets: tuple[str, str], play: Callable[..., None], *, just_applied: bool
) -> None:
    up = [host for host in HOSTS if not world.hosts[host].stopped_engines]
    fleet, name, host = chance.choice((fleets[0], *fleets)), chance.choice(NAMES), chance.choice(up)
    # Mostly an existing sandbox whose engine answers.
    there = [copy for copy in world.copies() if copy[0] in up] or [(host, fleet, name)]
    home = dict(zip(("host", "fleet", "name"), chance.choice(there), strict=True))

    def die(operation: str) -> None:
        if operation == "delete":
            play("drop", fleet=home["fleet"], name=home["name"])
        else:
            play("edit", fleet=home["fleet"], name=home["name"], env={"LEVEL": chance.choice(["three", "four"])})
        play("applied", fleet=home["fleet"], targets=[home["name"]], death=chance.choice(_DEATHS[operation]))

    # (weight, what happens)
    choices: list[tuple[int, Callable[[], None]]] = [
        (6, lambda: play("edit", fleet=fleet, name=name, **chance.choice(_FIELDS))),
        (2, lambda: play("drop", fleet=fleet, name=name)),
        (3, lambda: play("edit_host", fleet=fleet, host=host, **chance.choice(_HOST_FIELDS))),
        (1 if just_applied else 12, lambda: play("applied", fleet=fleet)),
        (5, lambda: die(chance.choice(["create", "update", "delete"]))),
        (1, lambda: play("applied", fleet=fleet, back=1)),
        (1, lambda: play("applied", fleet=fleet, only_deletes=True)),
        (4, lambda: play("hurt", **home, damage=chance.choice(["removed", "stopped", "paused", "gone"]))),
        (3, lambda: play("lose", **home, what=chance.choice(["folder", "record", "workspace"]))),
        (1, lambda: play("tamper", **home, what=chance.choice(["torn", "life", "stranger"]))),
        (1, lambda: play("occupy", host=host, what=chance.choice(["container", "project", "directory"]))),
        (1, lambda: play("wipe", host=host)),
        (2, lambda: play("cut", host=host)),
        (3 * (not world.broken), lambda: play("stop_engine", host=host)),
        (6 * world.broken, lambda: play("heal")),
    ]
    chance.choices([do for _, do in choices], [weight for weight, _ in choices])[0]()
