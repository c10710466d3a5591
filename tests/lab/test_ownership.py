"""What is not ours is seen and never touched: other fleets, other people's containers, foreign directories."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.lab import IMAGE
from tests.support.e2e import FleetRepo, service, stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture(params=["lab-2", "lab-4"])
def strangers(lab: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """A host with a compose project and a container of somebody else's; gives its name."""
    host = str(request.param)
    label, kill = "com.docker.compose.project=theirs", ("--stop-signal", "KILL")
    lab.docker(host, "run", "-d", "--name", "theirs-web-1", "--label", label, *kill, IMAGE, "sleep", "9999")
    lab.docker(host, "run", "-d", "--name", "plain", *kill, IMAGE, "sleep", "9999")
    lab.docker(host, "network", "create", "theirs")
    lab.docker(host, "volume", "create", "theirs")
    yield host
    lab.docker(host, "rm", "-f", "-v", "theirs-web-1", "plain")
    lab.docker(host, "network", "rm", "theirs")
    lab.docker(host, "volume", "rm", "theirs")


def test_what_is_unmanaged_is_listed_and_survives(new_fleet: Callable[..., FleetRepo], strangers: str) -> None:
    fleet = new_fleet(strangers)
    fleet.sandbox("ours", stack(a=service()))
    fleet.commit()
    fleet.apply()
    folders = ("foreign", f"{fleet.name}/notes", f"{fleet.name}/0badcafe")
    for folder in folders:
        fleet.sh(strangers, f"mkdir -p '{fleet.root}/{folder}' && echo keep >'{fleet.root}/{folder}/file'")
    try:
        listed = {(thing["kind"], thing["name"]) for thing in fleet.plan(code=None).data["unmanaged"]}
        assert listed >= {("compose_project", "theirs"), ("container", "plain")}
        assert listed >= {("directory", folder) for folder in folders}

        fleet.remove("ours")
        fleet.sandbox("next", stack(a=service()))
        fleet.commit()
        fleet.apply(code=None)
        fleet.prune(code=None)
        assert set(fleet.ids(strangers)) == {"next/a"}
        fleet.remove("next")
        fleet.commit()
        fleet.prune("--allow-empty", code=None)
        assert fleet.ids(strangers) == {}
        for folder in folders:
            assert fleet.sh(strangers, f"cat '{fleet.root}/{folder}/file'") == "keep\n"
        running = fleet.engine(strangers, "ps", "--format", "{{.Names}}").split()
        assert {"theirs-web-1", "plain"} <= set(running)
        assert "theirs" in fleet.engine(strangers, "network", "ls", "--format", "{{.Name}}").split()
        assert "theirs" in fleet.engine(strangers, "volume", "ls", "-q").split()
    finally:
        fleet.sh(strangers, f"rm -rf {fleet.root}/foreign {fleet.root}/{fleet.name}")


def test_two_fleets_on_a_host_do_not_see_each_others_sandboxes_as_theirs(
    new_fleet: Callable[..., FleetRepo], lab: Lab
) -> None:
    host = "lab-1"
    before = lab.snapshot(host)
    first, second = new_fleet(host), new_fleet(host)
    for fleet in (first, second):
        fleet.sandbox("same", stack(a=service()))
        fleet.commit()
        fleet.apply()
    ids = first.ids(host), second.ids(host)
    assert set(ids[0]) == set(ids[1]) == {"same/a"}
    assert ids[0] != ids[1]
    for fleet, other in ((first, second), (second, first)):
        planned = fleet.plan()
        assert planned.actions == {"same": "no-op"}
        assert ("directory", other.name) in {(thing["kind"], thing["name"]) for thing in planned.data["unmanaged"]}
        fleet.prune()
    assert (first.ids(host), second.ids(host)) == ids

    first.remove("same")
    first.commit()
    first.apply("--allow-empty")
    assert (first.ids(host), second.ids(host)) == ({}, ids[1])
    second.assert_synced()
    second.remove("same")
    second.commit()
    second.apply("--allow-empty")
    assert lab.leaked(host, before) == {}


def test_another_repository_of_the_same_fleet_name_deletes_nothing(new_fleet: Callable[..., FleetRepo]) -> None:
    first = new_fleet("lab-1")
    first.sandbox("one", stack(a=service()))
    first.commit()
    first.apply()
    second = new_fleet("lab-1", name=first.name)
    second.repo.commit({"README.md": "another history\n"})
    second.sandbox("two", stack(a=service()))
    second.commit()
    result = second.apply(code=1)
    assert result.reasons["one"] == "blocked_because_guard"
    assert set(first.ids("lab-1")) >= {"one/a"}
    assert second.apply("--adopt-fleet", code=None).reasons["one"] == "delete_because_orphaned"
    assert set(first.ids("lab-1")) == {"two/a"}


def test_guards_keep_a_fleet_from_deleting_more_than_it_meant(new_fleet: Callable[..., FleetRepo]) -> None:
    fleet = new_fleet("lab-1", guards={"maxDeletes": 1})
    for name in ("a", "b", "c"):
        fleet.sandbox(name, stack(a=service()))
    fleet.commit()
    fleet.apply()
    fleet.remove("a")
    fleet.remove("b")
    fleet.commit()
    assert fleet.apply(code=1).reasons == dict.fromkeys("ab", "blocked_because_guard")
    assert set(fleet.ids("lab-1")) == {"a/a", "b/a", "c/a"}
    fleet.apply("--max-deletes", "2")
    fleet.remove("c")
    fleet.commit()
    assert set(fleet.apply(code=1).reasons.values()) == {"blocked_because_guard"}
    assert set(fleet.ids("lab-1")) == {"c/a"}


def test_an_older_commit_does_not_undo_a_newer_one(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(a=service(environment=["MODE=${MODE}"])), env={"MODE": "old"})
    old = fleet.commit()
    fleet.apply()
    fleet.sandbox("one", env={"MODE": "new"})
    fleet.commit()
    fleet.apply()
    running = fleet.ids("lab-1")
    assert fleet.apply("--ref", old, code=1).reasons == {"one": "blocked_because_stale"}
    assert fleet.ids("lab-1") == running
    assert fleet.apply("--ref", old, "--allow-rollback").reasons == {"one": "update_because_changed"}


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_what_no_record_and_no_manifest_claims_is_removed_on_request(
    new_fleet: Callable[..., FleetRepo], lab: Lab, host: str
) -> None:
    fleet = new_fleet(host)
    before = lab.snapshot(host)
    volumes = {"volumes": {"data": None}}
    fleet.sandbox("kept", stack(a=service()))
    fleet.sandbox("lost", stack(a=service(volumes=["data:/data", "/anonymous"])) | volumes)
    fleet.commit()
    fleet.apply()
    kept, lost, folder = fleet.id("kept"), fleet.id("lost"), fleet.folder("lost")
    record = fleet.sh(host, f"cat {folder}/record.json")
    without = ("destroy", "--without-record")

    # With a manifest, with a record, without a terminal, and as no ID.
    for words, why in (
        ((lost, "-y"), "has a manifest in git"),
        (("0badcafe",), "cannot ask for confirmation without a terminal"),
        (("lost", "-y"), "not the ID of a sandbox"),
        ((lost, "kept"), "exclude each other"),
    ):
        fleet.run(*without, *words, code=1)
        assert why in fleet.output[-1]
    fleet.remove("lost")
    fleet.commit()
    fleet.run(*without, lost, "-y", code=1)
    assert "has a record on" in fleet.output[-1]

    # Without either it is listed. A record of another fleet may claim it all the same.
    fleet.sh(host, f"rm {folder}/record.json && mkdir -p {fleet.root}/other/{lost}")
    planned = fleet.plan(code=None).data
    assert {"host": host, "kind": "ambiguous", "name": f"lost ({lost})"} in planned["unmanaged"]
    lab.exec(host, ["sh", "-c", f"cat >{fleet.root}/other/{lost}/record.json"], input=record)
    fleet.run(*without, lost, "-y", code=1)
    assert f"is claimed by a record: {fleet.root}/other/{lost}/record.json" in fleet.output[-1]
    assert set(fleet.ids(host)) == {"kept/a", "lost/a"}
    fleet.sh(host, f"rm -r {fleet.root}/other")

    removed = json.loads(fleet.run(*without, lost, "-y", "-o", "json"))
    (one,) = removed["removed"]
    assert (removed["outcome"], one["host"], one["directory"]) == ("destroyed", host, folder)
    assert (len(one["containers"]), len(one["networks"]), len(one["volumes"])) == (1, 1, 2)
    assert set(fleet.ids(host)) == {"kept/a"}
    assert not fleet.exists(host, folder)
    assert json.loads(fleet.run(*without, lost, "-y", "-o", "json"))["outcome"] == "absent"
    fleet.assert_synced()
    assert fleet.exists(host, f"{fleet.root}/{fleet.name}/{kept}/record.json")
    fleet.remove("kept")
    fleet.commit()
    fleet.apply("--allow-empty")
    assert lab.leaked(host, before) == {}


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_a_delete_takes_no_volume_of_the_fleets_other_sandboxes(new_fleet: Callable[..., FleetRepo], host: str) -> None:
    fleet = new_fleet(host)
    compose = stack(a=service(volumes=["data:/data"])) | {"volumes": {"data": None}}
    for name in ("gone", "kept"):
        fleet.sandbox(name, compose)
    fleet.sandbox("plain", stack(a=service()))
    fleet.commit()
    fleet.apply()
    fleet.inside(host, "kept", "a", "sh", "-c", "echo mine >/data/file")
    before = fleet.ids(host, "kept")
    for name in ("plain", "gone"):
        fleet.remove(name)
        fleet.commit()
        assert fleet.apply().reasons == {name: "delete_because_orphaned"}
    assert fleet.ids(host, "kept") == before
    assert fleet.inside(host, "kept", "a", "cat", "/data/file") == "mine\n"
    volumes = fleet.engine(host, "volume", "ls", "-q", "--filter", f"label=dev.sandboxer.fleet={fleet.name}")
    assert volumes.split() == [f"{fleet.project('kept')}_data"]
    fleet.assert_synced()
