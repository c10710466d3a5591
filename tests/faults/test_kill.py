"""``kill -9`` of the client wherever it can be, in each action: the next run converges, and nothing is left or doubled.

The crash points of an action are those that a clean run of it passes; see ``sandboxer/hosts/crash.py``.
"""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from sandboxer.hosts.crash import VARIABLE
from tests.faults import picture
from tests.faults.matrix import FULL, size
from tests.support.e2e import FleetRepo, service, stack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.matrix import Row
    from tests.faults.picture import Picture

pytestmark = [
    pytest.mark.lab,
    pytest.mark.fault(
        "`kill -9` of the client at every crash point, of each action", "next run converges, 0 leaked, 0 doubled"
    ),
]

# The two hosts with Docker share its points; the one with Podman meets its own. A move goes between the former.
DOCKER = ("lab-1", "lab-2")
PODMAN = ("lab-4",)


@dataclass
class Life:
    """A sandbox of which git wants one of two versions (None: it is not in git) on one of the fleet's hosts.

    ``cleans`` are the pictures that clean runs leave, by what git wants.
    """

    fleet: FleetRepo
    version: int | None = None
    host: str = ""
    cleans: dict[tuple[int | None, str], Picture] = field(default_factory=dict)

    @property
    def clean(self) -> Picture:
        """What a clean run of what git wants now leaves."""
        return self.cleans[self.version, self.host]

    def want(self, version: int | None, host: str = "") -> None:
        """Commit a version: another file, another command, and a service more or less; and maybe another host."""
        self.version, self.host = version, host or self.host or self.fleet.hosts[0]
        if version is None:
            self.fleet.remove("one")
            self.fleet.commit()
            return
        services = {
            "a": service(volumes=["./ro:/ro:ro", "data:/data"], secrets=["TOKEN"]),
            "b": service("sleep", f"{9000 + version}", volumes=["./rw:/rw", "/anonymous"]),
            **({"c": service()} if version else {}),
        }
        compose = stack(**services) | {"volumes": {"data": None}, "secrets": {"TOKEN": {"environment": "TOKEN"}}}
        files = {"ro/file": f"version {version}\n", "rw/file": "to write to\n"}
        refs = [{"name": "TOKEN", "from": "env:TOKEN"}]
        self.fleet.sandbox("one", compose, files=files, secretRefs=refs, host=self.host)
        self.fleet.commit()

    def set_up(self) -> None:
        """Note what clean runs leave; afterwards there is nothing."""
        for host in self.fleet.hosts:
            for version in (0, 1):
                self.want(version, host)
                self.fleet.apply()
                self.cleans[version, host] = picture.steady(self.fleet)
                self.fleet.clean_up()
        nothing = picture.steady(self.fleet)  # taken last: an engine's first use leaves things of its own
        self.cleans |= dict.fromkeys([(None, host) for host in self.fleet.hosts], nothing)
        self.want(None)

    def there(self) -> None:
        """See to it that there is a version."""
        if self.version is None:
            self.want(0)
            self.fleet.apply()


def _nothing_there(life: Life) -> None:
    life.fleet.clean_up()
    life.want(0)


def _another_desired(life: Life) -> None:
    life.there()
    life.want(0 if life.version else 1)


def _there(life: Life) -> None:
    """The action is requested by an option."""
    life.there()


def _broken(life: Life) -> None:
    life.there()
    host = life.fleet.hosts[0]
    life.fleet.engine(host, "rm", "-f", life.fleet.ids(host, "one")["a"])


def _elsewhere_desired(life: Life) -> None:
    life.there()
    (host,) = {*life.fleet.hosts} - {life.host}
    life.want(life.version, host)


def _not_desired(life: Life) -> None:
    life.there()
    life.want(None)


@dataclass(frozen=True)
class Action:
    """How to make it so that the next apply does the action; ``quick`` are points of the quick form, one a host.

    ``arguments`` are those of the apply that is killed. ``ways`` is how many runs in a row differ from each other.
    """

    name: str
    prepare: Callable[[Life], None]
    quick: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    ways: int = 1


ACTIONS = (
    Action("create", _nothing_there, ("begin.sent", "compose.sent")),
    Action("update", _another_desired, ("rewrite.sent", "compose.sent"), ways=2),
    Action("replace", _there, ("teardown.sent", "begin.sent"), ("--replace", "one")),
    Action("repair", _broken, ("compose.sent", "rewrite.sent#2")),
    Action("delete", _not_desired, ("teardown.sent", "remove.sent"), ("--allow-empty",)),
)
MOVE = Action("move", _elsewhere_desired, ("move.between",))
# In full each action and engine is a test of its own, so that several processes share them.
TOGETHER = size(
    [pytest.param(DOCKER, ACTIONS, id="docker")],
    [
        pytest.param(hosts, (action,), id=f"{action.name}-{engine}")
        for engine, hosts in (("podman", PODMAN), ("docker", DOCKER))
        for action in ACTIONS
    ],
)


@pytest.mark.parametrize(("hosts", "actions"), TOGETHER)
def test_killed(
    new_fleet: Callable[..., FleetRepo], row: Row, tmp_path: Path, hosts: tuple[str, ...], actions: tuple[Action, ...]
) -> None:
    lives = [Life(_fleet(new_fleet, host)) for host in hosts]

    def play(number: int) -> None:
        life = lives[number]
        life.set_up()
        for action in actions:
            points = _points(life, action, tmp_path / f"{action.name}-{number}")
            for point in points[number :: len(hosts)]:
                _kill_at(life, action, point, row)

    with ThreadPoolExecutor(max_workers=len(hosts)) as pool:
        for job in [pool.submit(play, number) for number in range(len(hosts))]:
            job.result()


def test_killed_during_a_move(new_fleet: Callable[..., FleetRepo], row: Row, tmp_path: Path) -> None:
    life = Life(_fleet(new_fleet, *DOCKER))
    life.set_up()
    for point in _points(life, MOVE, tmp_path / "move"):
        _kill_at(life, MOVE, point, row)


def test_killed_twice_and_then_deleted(new_fleet: Callable[..., FleetRepo], row: Row) -> None:
    """The second run recreates the containers and dies before it has noted their volumes."""
    life = Life(_fleet(new_fleet, DOCKER[0]))
    life.set_up()
    life.want(0)
    for point in ("state.sent#2", "tidy.sent"):
        with life.fleet.start("apply", "-y", env={VARIABLE: point}) as process:
            output = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, output
        row.broke(f"create: killed at {point}")
    life.want(None)
    row.recovered(life.fleet, life.clean, "--allow-empty")


def _fleet(new_fleet: Callable[..., FleetRepo], *hosts: str) -> FleetRepo:
    fleet = new_fleet(*hosts, secrets={"allow": ["env:TOKEN"]})
    fleet.env["TOKEN"] = "a secret"
    return fleet


def _points(life: Life, action: Action, notes: Path) -> tuple[str, ...]:
    """Return the crash points to die at: in full those that clean runs of the action pass, each once."""
    if not FULL:
        return action.quick
    for _ in range(action.ways):
        action.prepare(life)
        life.fleet.apply(*action.arguments, env={VARIABLE: f"@{notes}"}, drifts=True)
    points = dict.fromkeys(notes.read_text().split())
    # Podman takes its time; and before a step its host is as after the last one.
    return tuple(point for point in points if life.fleet.hosts != PODMAN or ".before" not in point)


def _kill_at(life: Life, action: Action, point: str, row: Row) -> None:
    # Where an action has several ways, one of them passes the point.
    assert any(_dies(life, action, point) for _ in range(action.ways)), f"{action.name} does not pass {point}"
    row.broke(f"{action.name} on {life.host}: killed at {point}")
    row.recovered(life.fleet, life.clean, *(() if life.version is not None else ("--allow-empty",)))


def _dies(life: Life, action: Action, point: str) -> bool:
    """Return whether a run of the action dies at the point; else it must have done its work."""
    action.prepare(life)
    with life.fleet.start("apply", "-y", *action.arguments, env={VARIABLE: point}) as process:
        output = process.communicate(timeout=120)
    assert process.returncode in (0, -signal.SIGKILL), output
    return process.returncode != 0
