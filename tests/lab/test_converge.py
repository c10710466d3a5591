"""From git to hosts: what is committed comes up, is left alone while it is right, and goes when it is gone from git."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.e2e import FleetRepo, service, stack, until
from tests.support.fleet import ROOT as REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab import Lab

pytestmark = pytest.mark.lab

# Section 4 of the design: what a record holds at least.
RECORD_KEYS = {
    "format_version", "fleet", "id", "name", "origin", "uid", "phase", "generation", "attempt", "profile", "extension",
    "host", "engine", "labels", "sync_policy", "consumer", "desired_digest", "spec_digest", "fleet_root",
    "fleet_commit", "inputs", "spec", "created_at", "expires_at", "last_event", "services",
}  # fmt: skip
LABELS = {f"dev.sandboxer.{name}" for name in ("fleet", "id", "name", "uid", "root", "origin", "until")}


def ship(fleet: FleetRepo) -> list[str]:
    """Put the repository's own manifests, profiles and stacks into a fleet; return the names of its sandboxes."""
    for folder in ("manifests", "profiles", "extensions", "examples"):
        shutil.copytree(REPOSITORY / folder, fleet.repo.path / folder, dirs_exist_ok=True)
    fleet.commit()
    return [yaml.safe_load(path.read_text())["metadata"]["name"] for path in (REPOSITORY / "manifests").glob("*.yaml")]


@pytest.mark.parametrize("hosts", [("lab-1", "lab-2", "lab-3"), ("lab-4",)], ids=["docker", "podman"])
def test_what_is_shipped_converges_and_a_second_apply_changes_nothing(
    lab: Lab, new_fleet: Callable[..., FleetRepo], hosts: tuple[str, ...]
) -> None:
    fleet = new_fleet(*hosts)
    names = ship(fleet)
    before = {host: lab.snapshot(host) for host in hosts}

    planned = fleet.plan("--detailed-exitcode", code=2)
    assert planned.actions == dict.fromkeys(names, "create")
    assert all(fleet.containers(host) == {} for host in hosts)
    applied = fleet.apply()
    assert {change["outcome"] for change in applied.changes} == {"created"}
    running = {host: fleet.ids(host) for host in hosts}
    assert fleet.plan("--detailed-exitcode").actions == dict.fromkeys(names, "no-op")
    assert fleet.apply().changes == []
    assert {host: fleet.ids(host) for host in hosts} == running

    for name in names:
        fleet.remove(name)
    fleet.commit()
    assert set(fleet.plan("--allow-empty", "--detailed-exitcode", code=2).actions.values()) == {"delete"}
    fleet.apply("--allow-empty")
    assert not any(lab.leaked(host, before[host]) for host in hosts)


def test_a_pages_way_to_the_outside(lab: Lab, new_fleet: Callable[..., FleetRepo]) -> None:
    """Both ways in that a handle names answer from the host, with what the stack serves."""
    fleet = new_fleet("lab-2")
    ship(fleet)
    fleet.apply("--target", "shop-e2e", "--target", "preview")
    for name, via in (("shop-e2e", "tunnel"), ("preview", "published")):
        (way,) = fleet.get(name)["reachability"]
        assert way["via"] == via
        assert "<" in fleet.sh("lab-2", f"timeout 5 busybox wget -q -O - {way['url']}/")


def test_records_labels_and_files_are_as_the_contract_specifies(fleet: FleetRepo, lab: Lab) -> None:
    compose = stack(a=service(volumes=["data:/data"]), b=service()) | {"volumes": {"data": None}}
    fleet.sandbox("one", compose, files={"run.sh": "#!/bin/sh\n"}, consumer={"actor": "agt", "project": "p"})
    (fleet.repo.path / "stacks/one/run.sh").chmod(0o755)
    commit = fleet.commit()
    fleet.apply()

    record = fleet.record("lab-1", "one")
    assert record.keys() >= RECORD_KEYS
    assert (record["fleet"], record["id"], record["name"]) == (fleet.name, fleet.id("one"), "one")
    assert (record["phase"], record["origin"], record["engine"]) == ("ready", "git", "docker")
    assert (record["fleet_commit"], record["fleet_root"], record["inputs"]["commit"]) == (commit, commit, commit)
    assert record["services"].keys() == {"a", "b"}
    assert record["created_at"].endswith("Z")
    assert record["expires_at"].endswith("Z")

    containers = fleet.containers("lab-1", "one")
    assert {item["Config"]["Labels"]["com.docker.compose.project"] for item in containers.values()} == {
        fleet.project("one")
    }
    things = [item["Config"]["Labels"] for item in containers.values()]
    for kind, key in (("network", "Labels"), ("volume", "Labels")):
        ids = fleet.engine("lab-1", kind, "ls", "-q", "--filter", f"label=dev.sandboxer.id={fleet.id('one')}").split()
        assert len(ids) == 1
        things += [item[key] for item in json.loads(fleet.engine("lab-1", kind, "inspect", *ids))]
    for labels in things:
        assert labels.keys() >= LABELS
        assert labels["dev.sandboxer.uid"] == record["uid"]
        assert labels["dev.sandboxer.root"] == fleet.root
        assert labels["dev.sandboxer.until"] == record["until"]

    home = f"{fleet.root}/{fleet.name}"
    modes = fleet.sh("lab-1", f"stat -c '%a %n' {fleet.root} {home} {home}/.locks {home}/*/record.json").split("\n")
    assert [line.split()[0] for line in modes if line] == ["700", "700", "700", "600"]
    assert set(fleet.sh("lab-1", f"ls -A {home}").split()) == {fleet.id("one"), ".locks", ".head.json"}
    (tree,) = fleet.sh("lab-1", f"echo {fleet.folder('one')}/workspace/tree/*").split()
    assert fleet.sh("lab-1", f"stat -c %a {tree}/run.sh {tree}/compose.yaml").split() == ["755", "644"]
    assert json.loads(fleet.sh("lab-1", f"cat {home}/.head.json"))["commit"] == commit


def test_an_orphan_goes_without_a_trace_and_its_neighbour_stays(fleet: FleetRepo, lab: Lab) -> None:
    before = lab.snapshot("lab-1")
    fleet.sandbox("stays", stack(a=service()))
    fleet.commit()
    fleet.apply()
    with_neighbour = lab.snapshot("lab-1")
    compose = stack(a=service(volumes=["data:/data", "/anonymous"])) | {"volumes": {"data": None}}
    fleet.sandbox("goes", compose)
    fleet.commit()
    fleet.apply()
    running = fleet.ids("lab-1", "stays")

    fleet.remove("goes")
    fleet.commit()
    result = fleet.apply()
    assert result.reasons == {"goes": "delete_because_orphaned"}
    leaked = lab.leaked("lab-1", with_neighbour)
    assert leaked.pop("files", []) in ([], [f"{fleet.root}/{fleet.name}/.head.json"])
    assert leaked == {}
    assert fleet.ids("lab-1", "stays") == running
    fleet.remove("stays")
    fleet.commit()
    fleet.apply("--allow-empty")
    assert lab.leaked("lab-1", before) == {}


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_two_sandboxes_of_one_stack_with_fixed_ports_and_names_run_side_by_side(
    new_fleet: Callable[..., FleetRepo], host: str
) -> None:
    fleet = new_fleet(host)
    compose = stack(web=service(container_name="the-web", ports=["18080:8080"], hostname="web"))
    for name in ("left", "right"):
        fleet.sandbox(name, compose)
    fleet.commit()
    fleet.apply()
    containers = fleet.containers(host)
    assert set(containers) == {"left/web", "right/web"}
    assert all(item["State"]["Status"] == "running" for item in containers.values())
    assert not any(item["HostConfig"]["PortBindings"] for item in containers.values())
    fleet.assert_synced()


def test_a_sandbox_that_expired_goes_and_comes_back_only_with_a_change(fleet: FleetRepo) -> None:
    fleet.sandbox("brief", stack(a=service()), ttl="1s")
    fleet.sandbox("long", stack(a=service()))
    fleet.sandbox("orphan", stack(a=service()))
    fleet.commit()
    fleet.apply()
    fleet.remove("orphan")
    fleet.commit()
    assert fleet.prune("--expired-only").reasons == {"brief": "delete_because_expired"}
    assert {key.split("/")[0] for key in fleet.containers("lab-1")} == {"long", "orphan"}
    assert fleet.exists("lab-1", f"{fleet.root}/{fleet.name}/.tombstones/{fleet.id('brief')}.json")

    dry = fleet.run("prune", "--dry-run", "-o", "json")
    assert {c["sandbox"]: c["action"] for c in json.loads(dry)["changes"]} == {"orphan": "delete"}
    assert {key.split("/")[0] for key in fleet.containers("lab-1")} == {"long", "orphan"}
    again = fleet.apply()
    assert again.plan.of("brief")["reason"] == "no_op_because_expired"
    assert {key.split("/")[0] for key in fleet.containers("lab-1")} == {"long"}

    fleet.sandbox("brief", ttl="1h")
    fleet.commit()
    assert fleet.apply().reasons == {"brief": "create_because_absent"}
    assert not fleet.exists("lab-1", f"{fleet.root}/{fleet.name}/.tombstones")
    fleet.assert_synced()


def test_a_sandbox_moves_when_its_placement_does(new_fleet: Callable[..., FleetRepo], lab: Lab) -> None:
    fleet = new_fleet("lab-1", "lab-2")
    before = lab.snapshot("lab-1")
    fleet.sandbox("nomad", stack(a=service()), host="lab-1")
    fleet.commit()
    fleet.apply()
    fleet.sandbox("nomad", host="lab-2")
    fleet.commit()
    planned = fleet.plan().of("nomad")
    assert (planned["action"], planned["reason"]) == ("replace", "replace_because_moved")
    assert (planned["from_host"], planned["host"]) == ("lab-1", "lab-2")
    fleet.apply()
    assert set(fleet.ids("lab-2", "nomad")) == {"a"}
    leaked = lab.leaked("lab-1", before)
    leaked.pop("files", None)
    assert leaked == {}
    assert not fleet.exists("lab-1", fleet.folder("nomad"))
    fleet.assert_synced()
    assert fleet.get("nomad")["host"] == "lab-2"


def test_a_move_that_is_killed_ends_with_one_copy_where_git_wants_it(new_fleet: Callable[..., FleetRepo]) -> None:
    fleet = new_fleet("lab-1", "lab-2")
    fleet.sandbox("nomad", stack(a=service()), host="lab-1")
    fleet.commit()
    fleet.apply()
    fleet.sandbox("nomad", host="lab-2")
    fleet.commit()
    with fleet.start("apply", "-y") as process:
        until(lambda: fleet.ids("lab-2"), "the copy on lab-2")
        process.kill()
        process.communicate()
    fleet.apply()
    fleet.apply()
    assert (fleet.ids("lab-1"), set(fleet.ids("lab-2"))) == ({}, {"nomad/a"})
    fleet.assert_synced()


def test_cordon_keeps_newcomers_away_and_drain_moves_everybody(new_fleet: Callable[..., FleetRepo]) -> None:
    fleet = new_fleet("lab-1", "lab-2")
    fleet.sandbox("first", stack(a=service()), host="lab-1")
    fleet.commit()
    fleet.apply()
    fleet.sandbox("first", host=["lab-1", "lab-2"])
    fleet.sandbox("second", stack(a=service()))
    fleet.host("lab-1", cordon=True)
    fleet.commit()
    fleet.apply()
    assert (set(fleet.ids("lab-1")), set(fleet.ids("lab-2"))) == ({"first/a"}, {"second/a"})
    fleet.host("lab-1", drain=True)
    fleet.commit()
    assert fleet.apply().reasons == {"first": "replace_because_moved"}
    assert (fleet.ids("lab-1"), set(fleet.ids("lab-2"))) == ({}, {"first/a", "second/a"})
    fleet.assert_synced()


def test_two_thousand_files_links_and_modes_arrive_and_a_submodule_does_not(fleet: FleetRepo, lab: Lab) -> None:
    files = {f"data/{number % 40}/{number}.txt": f"{number}\n" for number in range(2000)}
    fleet.sandbox("many", stack(a=service(volumes=["./data:/data:ro"])), files=files)
    fleet.repo.write("stacks/many/run", "#!/bin/sh\n", executable=True)
    fleet.repo.link("stacks/many/data/link", "0/0.txt")
    fleet.commit()
    other = type(fleet.repo).create(fleet.repo.path.parent / "other")
    other.commit({"theirs.txt": "x\n"})
    fleet.repo.git("submodule", "add", "-q", str(other.path), "stacks/many/module")
    fleet.commit()
    fleet.apply()
    (tree,) = fleet.sh("lab-1", f"echo {fleet.folder('many')}/workspace/tree/*").split()
    assert int(fleet.sh("lab-1", f"find {tree}/data -type f | wc -l")) == 2000
    assert fleet.sh("lab-1", f"readlink {tree}/data/link; stat -c %a {tree}/run").split() == ["0/0.txt", "755"]
    assert not fleet.exists("lab-1", f"{tree}/module/theirs.txt")
    assert fleet.inside("lab-1", "many", "a", "cat", "/data/link") == "0\n"


def test_a_commit_that_changes_no_delivered_file_is_no_change(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.apply()
    running = fleet.ids("lab-1")
    fleet.repo.commit({"README.md": "more\n"})
    assert fleet.plan("--detailed-exitcode").actions == {"one": "no-op"}
    fleet.apply()
    assert fleet.ids("lab-1") == running


def test_a_dirty_work_tree_plans_and_is_not_applied(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.sandbox("one", ttl="2h")
    assert fleet.plan().data["dirty"] is True
    fleet.run("apply", "-y", code=1)
    assert "--allow-dirty" in fleet.output[-1]
    assert fleet.containers("lab-1") == {}
    fleet.apply("--allow-dirty")
    assert set(fleet.ids("lab-1", "one")) == {"a"}
