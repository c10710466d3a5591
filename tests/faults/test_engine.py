"""An engine that is down, or goes down in the middle of the work, is not an empty one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.harm import engine_ended, in_place_of
from tests.faults.matrix import full_only, size
from tests.support.e2e import service, stack, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.matrix import Row
    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

pytestmark = [
    pytest.mark.lab,
    pytest.mark.fault("daemon down; killed during `up`; restarted", "Unknown or resumed; never read as empty"),
]
HOST = "lab-2"
READY = {"test": ["CMD", "test", "-e", "/tmp/go"], "interval": "1s", "retries": 60}


@pytest.fixture
def fleet(new_fleet: Callable[..., FleetRepo]) -> FleetRepo:
    return new_fleet(HOST)


def test_a_daemon_that_is_down(fleet: FleetRepo, lab: Lab, row: Row) -> None:
    for name in ("kept", "fresh"):
        fleet.sandbox(name, stack(a=service()))
    fleet.commit()
    clean = row.clean(fleet)
    fleet.remove("fresh")
    fleet.sandbox("orphan", stack(a=service()))
    fleet.commit()
    fleet.apply()
    running = fleet.ids(HOST)
    fleet.sandbox("fresh", stack(a=service()))
    fleet.remove("orphan")
    fleet.commit()
    ways: tuple[Any, ...] = size(("kill",), ("kill", "stop", "freeze"))
    for mode in ways:
        with engine_ended(lab, HOST, mode):
            row.broke(f"the daemon down: {mode}")
            planned = fleet.plan(code=1)
            assert planned.statuses == {HOST: "unknown"}
            assert set(planned.reasons.values()) == {"blocked_because_engine"}
            assert {change["sync"] for change in planned.changes} == {"Unknown"}
            fleet.apply(code=1)
            assert fleet.exists(HOST, fleet.folder("orphan"))
            assert not fleet.exists(HOST, fleet.folder("fresh"))
        assert fleet.ids(HOST) == running
    row.recovered(fleet, clean)
    assert fleet.ids(HOST)["kept/a"] == running["kept/a"]


def _slow(fleet: FleetRepo, number: int) -> None:
    """A stack that takes its time to get ready, other than the last one."""
    slow = service("sh", "-c", "sleep 1; touch /tmp/go; sleep 9999", healthcheck=READY)
    late = service("sleep", str(9000 + number), depends_on={"a": {"condition": "service_healthy"}})
    fleet.sandbox("one", stack(a=slow, b=late, c=service(volumes=["data:/data"])) | {"volumes": {"data": None}})
    fleet.commit()


# When the daemon is killed: once there is so much of what an `up` makes.
MOMENTS: dict[str, Callable[[FleetRepo], Any]] = {
    "a container": lambda fleet: fleet.ids(HOST),
    "a network": lambda fleet: fleet.engine(
        HOST, "network", "ls", "-q", "--filter", f"label=dev.sandboxer.fleet={fleet.name}"
    ),
    "a record": lambda fleet: fleet.exists(HOST, f"{fleet.folder('one')}/record.json"),
    "all containers": lambda fleet: len(fleet.ids(HOST)) == 3,
}


def test_a_daemon_that_is_killed_during_a_create(fleet: FleetRepo, lab: Lab, row: Row) -> None:
    _slow(fleet, 0)
    clean = row.clean(fleet)
    ways: tuple[Any, ...] = size(("kill",), ("kill", "stop"))
    for mode, moment in [(mode, moment) for moment in size(["a container"], list(MOMENTS)) for mode in ways]:
        fleet.clean_up()
        with fleet.start("apply", "-y") as process:
            until(lambda moment=moment: MOMENTS[moment](fleet), moment)
            with engine_ended(lab, HOST, mode):
                row.broke(f"the daemon ended ({mode}) with {moment} there")
                stdout, stderr = process.communicate(timeout=120)
                assert (process.returncode, "Traceback" in stderr) == (1, False), stderr
                assert HOST in stdout
                assert fleet.plan(code=1).reasons == {"one": "blocked_because_engine"}
                assert fleet.exists(HOST, f"{fleet.folder('one')}/record.json")
        row.recovered(fleet, clean)


@full_only
def test_a_daemon_that_is_restarted_during_an_update(fleet: FleetRepo, lab: Lab, row: Row) -> None:
    _slow(fleet, 1)
    clean = row.clean(fleet)
    _slow(fleet, 0)
    fleet.apply()
    for number in range(size(1, 6)):
        _slow(fleet, 2 + number)
        before = fleet.ids(HOST)
        fleet.inside(HOST, "one", "c", "sh", "-c", "echo kept >/data/file")
        with fleet.start("apply", "-y") as process:
            until(lambda before=before: fleet.ids(HOST) != before, "the first change", 30)
            with engine_ended(lab, HOST, "kill"):
                row.broke("the daemon killed during an update, and started again")
            process.communicate(timeout=120)
            assert process.returncode in (0, 1)
        _slow(fleet, 1)
        row.recovered(fleet, clean)
        assert fleet.inside(HOST, "one", "c", "cat", "/data/file") == "kept\n"


@full_only
def test_a_daemon_that_is_killed_during_a_delete(fleet: FleetRepo, lab: Lab, row: Row) -> None:
    fleet.sandbox("other", stack(a=service()))
    fleet.commit()
    clean = row.clean(fleet)
    for moment in size((1,), (4, 3, 2, 1)):
        _slow(fleet, 0)
        fleet.apply()
        fleet.remove("one")
        fleet.commit()
        with fleet.start("apply", "-y") as process:
            until(lambda moment=moment: len(fleet.ids(HOST)) <= moment, "the first containers' end")
            with engine_ended(lab, HOST, "kill"):
                row.broke("the daemon killed during a delete")
                process.communicate(timeout=120)
                assert "one" in fleet.plan(code=1).actions or process.returncode == 0
        row.recovered(fleet, clean)


@pytest.mark.fault(
    "the engine fails at the removal of what a container left as root", "reported, and swept by the next run"
)
def test_an_engine_that_fails_while_files_of_root_are_swept(
    new_fleet: Callable[..., FleetRepo], lab: Lab, row: Row
) -> None:
    host = "lab-3"  # its login is not root, so a container must remove what a container wrote
    fleet = new_fleet(host)
    fleet.sandbox("other", stack(a=service()))
    fleet.commit()
    clean = row.clean(fleet)
    fleet.sandbox("one", stack(a=service(volumes=["./rw:/rw"])), files={"rw/x": "x\n"})
    fleet.commit()
    fleet.apply()
    fleet.inside(host, "one", "a", "sh", "-c", "mkdir -m 700 /rw/deep && echo root >/rw/deep/file")
    fleet.remove("one")
    fleet.commit()
    no_more = 'case "$1 $2" in "image ls" | "run --rm") exit 1 ;; esac\nexec "$real" "$@"\n'
    with in_place_of(lab, host, "docker", no_more):
        row.broke("an engine that can no longer run a container")
        assert "cannot be removed" in fleet.apply(code=1).of("one")["error"]
        assert "could not remove" in " ".join(fleet.plan().data["warnings"])
    row.recovered(fleet, clean)
