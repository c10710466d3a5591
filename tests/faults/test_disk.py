"""Disks that are full, or can no longer be written: a clear error, the old record readable, and all is well after."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.harm import read_only, small_disk
from tests.faults.matrix import full_only, size
from tests.support.e2e import service, stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.harm import Disk
    from tests.faults.matrix import Row
    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

pytestmark = [
    pytest.mark.lab,
    pytest.mark.fault("disk full for the root; for the engine's data", "clear error, old record readable"),
]
HOST = "lab-1"
ROOT = "/tmp/sandboxer-disk"
NO_SPACE = re.compile("no space left on device", re.IGNORECASE)


@pytest.fixture
def disk(lab: Lab) -> Iterator[Disk]:
    with small_disk(lab, HOST, ROOT, "size=4m,nr_inodes=1000") as disk:
        yield disk


@pytest.fixture
def fleet(new_fleet: Callable[..., FleetRepo], disk: Disk) -> FleetRepo:
    return new_fleet(HOST, root=ROOT)


def _commit(fleet: FleetRepo, letter: str, command: str = "9999") -> None:
    """A sandbox that takes about 150 KiB, in 20 files."""
    files = {f"big/{number}": letter * 5000 for number in range(20)}
    fleet.sandbox("one", stack(a=service("sleep", command, volumes=["./big:/big:ro"])), files=files)
    fleet.commit()


def _fails(fleet: FleetRepo, *names: str) -> None:
    """An apply says that there is no space, in a few lines, and a plan afterwards knows all that there is."""
    applied = fleet.apply(code=1, drifts=True)
    for name in names:
        error = applied.of(name)["error"]
        assert NO_SPACE.search(error), error
        assert len(error.splitlines()) < 20, error
    planned = fleet.plan(drifts=True)
    assert planned.data["complete"], planned.data
    assert "blocked" not in planned.actions.values(), planned.data


# Just enough, in KiB or files, for one step less than is needed: the lock, the record, half of the files, ...
SPACES = size((4, 60), (4, 8, 12, 16, 24, 40, 60, 80, 90))
INODES = size((5, 20), (2, 3, 4, 6, 8, 9, 10, 12, 16, 20, 28, 30, 32, 36, 40))


def _creates(row: Row, fleet: FleetRepo, disk: Disk, limits: list[str], enough: str) -> None:
    _commit(fleet, "a")
    clean = row.clean(fleet)
    for number, limit in enumerate(limits):
        if number % 2 == 0:
            fleet.clean_up()
        disk.resize(limit)
        row.broke(f"a create with {limit}")
        _fails(fleet, "one")
        assert fleet.ids(HOST) == {}
    disk.resize(enough)
    row.recovered(fleet, clean)


def test_a_create_without_space(fleet: FleetRepo, disk: Disk, row: Row) -> None:
    _creates(row, fleet, disk, [f"size={kib}k" for kib in SPACES], "size=4m")


@full_only
@pytest.mark.fault("no inode left for the root", "clear error, old record readable")
def test_a_create_without_inodes(fleet: FleetRepo, disk: Disk, row: Row) -> None:
    _creates(row, fleet, disk, [f"nr_inodes={count}" for count in INODES], "nr_inodes=1000")


def test_an_update_and_a_delete_without_space(fleet: FleetRepo, disk: Disk, row: Row) -> None:
    _commit(fleet, "b")
    fleet.sandbox("other", stack(a=service()))
    fleet.commit()
    clean = row.clean(fleet)
    fleet.sandbox("gone", stack(a=service()))
    _commit(fleet, "a")
    fleet.apply()
    before = fleet.ids(HOST)
    fleet.remove("gone")
    _commit(fleet, "b")
    for leave in size((0, 60), (0, 4, 8, 12, 20, 40, 60, 100, 140)):
        record = fleet.sh(HOST, f"cat {fleet.folder('one')}/record.json")
        disk.fill(leave=leave)
        row.broke(f"an update and a delete with {leave} KiB left")
        _fails(fleet, "one", *(["gone"] if leave == 0 else []))
        assert fleet.ids(HOST)["one/a"] == before["one/a"]
        now = fleet.record(HOST, "one")
        assert now["desired_digest"] == json.loads(record)["desired_digest"]
        assert now["uid"] == json.loads(record)["uid"]
        assert "one" in fleet.run("list")
    disk.free()
    row.recovered(fleet, clean)
    assert fleet.ids(HOST)["other/a"] == before["other/a"]


def test_an_engine_without_space(new_fleet: Callable[..., FleetRepo], lab: Lab, row: Row) -> None:
    fleet = new_fleet(HOST)
    data = {"volumes": {"data": None}}
    for name in ("kept", "new"):
        fleet.sandbox(name, stack(a=service(volumes=["data:/data"])) | data)
    fleet.commit()
    lab.stop_engine(HOST, "stop")
    with small_disk(lab, HOST, "/var/lib/docker", "size=40m,mode=711") as disk:
        lab.start_engine(HOST)
        try:
            lab.load_image(HOST)
            clean = row.clean(fleet)
            fleet.apply("--target", "kept")
            running = fleet.ids(HOST)
            fleet.inside(HOST, "kept", "a", "sh", "-c", "echo kept >/data/file")
            disk.fill()
            row.broke("a create with no space for the engine's data")
            _fails(fleet, "new")
            assert fleet.ids(HOST)["kept/a"] == running["kept/a"]
            disk.free()
            row.recovered(fleet, clean)
            assert fleet.inside(HOST, "kept", "a", "cat", "/data/file") == "kept\n"
        finally:
            fleet.clean_up()
            lab.stop_engine(HOST, "stop")
    lab.start_engine(HOST)


@full_only
@pytest.mark.fault("the root read-only", "clear error, old record readable")
def test_a_root_that_cannot_be_written(fleet: FleetRepo, lab: Lab, row: Row) -> None:
    _commit(fleet, "b")
    clean = row.clean(fleet)
    _commit(fleet, "a")
    fleet.apply()
    before = fleet.ids(HOST)
    _commit(fleet, "b")
    fleet.sandbox("two", stack(a=service()))
    fleet.commit()
    with read_only(lab, HOST, ROOT):
        row.broke("an update and a create where the root cannot be written")
        applied = fleet.apply(code=1)
        assert all("Read-only file system" in applied.of(name)["error"] for name in ("one", "two")), applied.data
        assert fleet.plan().actions == {"one": "update", "two": "create"}
        assert fleet.ids(HOST) == before
    fleet.remove("two")
    fleet.commit()
    row.recovered(fleet, clean)


@full_only
@pytest.mark.fault("the engine's storage read-only", "clear error; converges once it can be written")
def test_an_engine_whose_storage_cannot_be_written(new_fleet: Callable[..., FleetRepo], lab: Lab, row: Row) -> None:
    fleet = new_fleet(HOST)
    data: dict[str, Any] = {"volumes": {"data": None}}
    for name in ("kept", "new"):
        fleet.sandbox(name, stack(a=service(volumes=["data:/data"])) | data)
    fleet.commit()
    clean = row.clean(fleet)
    fleet.sandbox("gone", stack(a=service(volumes=["data:/data"])) | data)
    fleet.commit()
    fleet.apply("--exclude", "new")
    fleet.remove("gone")
    fleet.commit()
    with read_only(lab, HOST, "/var/lib/docker"):
        row.broke("a create and a delete where the engine cannot write")
        applied = fleet.apply(code=1)
        for name in ("new", "gone"):
            error = applied.of(name)["error"]
            assert "read-only file system" in error.lower(), error
            assert len(error.splitlines()) < 20, error
        assert fleet.plan(drifts=True).actions == {"gone": "delete", "kept": "no-op", "new": "repair"}
    row.recovered(fleet, clean)
