"""The example of an extension, installed as a package, on real hosts: a sandbox's whole life through the program."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.e2e import service, stack, until
from tests.support.example import EXAMPLE, install_example

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

    Folders = Callable[[str], FleetRepo]

pytestmark = pytest.mark.lab

NOTE = "For whoever opens this folder.\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed package, what PYTHONPATH has to name."""
    return install_example(tmp_path_factory.mktemp("example"))


@pytest.fixture
def folders(new_fleet: Callable[..., FleetRepo], installed: Path) -> Folders:
    """Makes fleets of one host and one sandbox, `notes`, with the package, its Extension and its Profile."""

    def make(host: str) -> FleetRepo:
        fleet = new_fleet(host)
        fleet.env["PYTHONPATH"] = str(installed)
        shutil.copytree(EXAMPLE / "fleet", fleet.repo.path, dirs_exist_ok=True)
        fleet.repo.write("data/a.txt", "a\n")
        fleet.repo.write("data/deep/run.sh", "#!/bin/sh\n", executable=True)
        fleet.repo.link("data/link", "deep/run.sh")
        add(fleet, "notes")
        return fleet

    return make


def add(fleet: FleetRepo, name: str, **spec: Any) -> None:
    """Write a Sandbox of the example's profile, and commit it."""
    fleet.document(f"manifests/{name}.yaml", "Sandbox", name, {"profile": "profile.folder", **spec})
    fleet.commit()


def remove(fleet: FleetRepo, *names: str) -> dict[str, str]:
    """Take sandboxes out of git and apply; return the reasons."""
    for name in names:
        fleet.remove(name)
    fleet.commit()
    return fleet.apply("--allow-empty").reasons


def drift_of(fleet: FleetRepo, *arguments: str) -> list[str]:
    """Return the paths that `sandboxer drift` reports for `notes`."""
    report = json.loads(fleet.run("drift", "-o", "json", *arguments, code=2, drifts=True))
    (change,) = report["changes"]
    return [field["path"] for field in change["drift"]]


@pytest.mark.parametrize("host", ["lab-1", "lab-3"], ids=["root", "other-user"])
def test_a_folder_lives_as_declared_in_git(folders: Folders, lab: Lab, host: str) -> None:
    before = lab.snapshot(host)
    fleet = folders(host)
    fleet.run("validate")
    assert fleet.plan("--detailed-exitcode", code=2).actions == {"notes": "create"}
    assert lab.leaked(host, before) == {}

    assert fleet.apply().reasons == {"notes": "create_because_absent"}
    workspace = f"{fleet.folder('notes')}/workspace"
    (tree,) = fleet.sh(host, f"echo {workspace}/tree/*").split()
    assert fleet.sh(host, f"cd {tree}; find . ! -type d | sort").split() == ["./a.txt", "./deep/run.sh", "./link"]
    assert fleet.sh(host, f"cat {tree}/a.txt; readlink {tree}/link").split() == ["a", "deep/run.sh"]
    assert fleet.sh(host, f"stat -c '%a %U' {tree}/deep/run.sh").split() == ["755", lab.host(host).user]
    assert fleet.sh(host, f"cat {workspace}/note.txt") == NOTE
    handle = fleet.get("notes")
    assert (handle["phase"], handle["sync"], handle["health"]) == ("ready", "Synced", "Healthy")
    assert (handle["extension"], handle["profile"], handle["reachability"]) == ("ext.folder", "profile.folder", [])
    assert fleet.containers(host) == {}

    record = fleet.record(host, "notes")
    fleet.assert_synced()
    assert fleet.apply().changes == []
    assert fleet.record(host, "notes") == record

    fleet.repo.write("data/a.txt", "another\n")
    commit = fleet.commit()
    assert fleet.apply().reasons == {"notes": "update_because_changed"}
    assert fleet.sh(host, f"cat {workspace}/tree/*/a.txt") == "another\n"
    assert fleet.record(host, "notes")["inputs"]["commit"] == commit
    journal = fleet.sh(host, f"cat {fleet.folder('notes')}/journal.jsonl").splitlines()
    phases = ["requested", "provisioning", "ready", "provisioning", "ready"]
    assert [(event["number"], event["phase"]) for event in map(json.loads, journal)] == list(enumerate(phases, 1))
    fleet.assert_synced()

    assert remove(fleet, "notes") == {"notes": "delete_because_orphaned"}
    assert lab.leaked(host, before) == {}


@pytest.mark.parametrize("victim", ["tree/*/a.txt", "note.txt", ""], ids=["file", "note", "workspace"])
def test_what_somebody_removed_is_drift_and_comes_back(folders: Folders, victim: str) -> None:
    fleet = folders("lab-3")
    fleet.apply()
    workspace = f"{fleet.folder('notes')}/workspace"
    fleet.run("drift")
    fleet.sh("lab-3", f"rm -r {workspace}/{victim}")
    assert drift_of(fleet) == ["workspace.files" if victim else "workspace"]
    assert fleet.apply(drifts=True).reasons == {"notes": "repair_because_drift"}
    assert fleet.sh("lab-3", f"cat {workspace}/tree/*/a.txt {workspace}/note.txt") == "a\n" + NOTE
    fleet.run("drift")
    fleet.assert_synced()


def test_a_deep_drift_names_the_files(folders: Folders) -> None:
    fleet = folders("lab-1")
    fleet.apply()
    fleet.run("drift", "--deep")
    fleet.sh("lab-1", f"cd {fleet.folder('notes')}/workspace/tree/*; rm a.txt; echo more >>deep/run.sh")
    assert {"workspace.files.a.txt", "workspace.files.deep/run.sh"} <= set(drift_of(fleet, "--deep"))


def test_a_setup_reaches_the_folder_and_one_that_is_not_as_described_is_refused(folders: Folders) -> None:
    fleet = folders("lab-1")
    fleet.apply()
    profile = yaml.safe_load((fleet.repo.path / "profiles/profile.folder.yaml").read_text())["spec"]
    fleet.profile("profile.folder", **{**profile, "setup": {"note": "$(id) `id` ünï"}})
    fleet.commit()
    assert fleet.apply().reasons == {"notes": "update_because_changed"}
    assert fleet.sh("lab-1", f"cat {fleet.folder('notes')}/workspace/note.txt") == "$(id) `id` ünï\n"
    fleet.profile("profile.folder", **{**profile, "setup": {"size": 1}})
    assert "`spec.setup` does not match the schema of ext.folder" in fleet.run("validate", code=1) + fleet.output[-1]


def test_it_shares_a_host_with_the_shipped_backend(folders: Folders, lab: Lab) -> None:
    before = lab.snapshot("lab-1")
    fleet = folders("lab-1")
    fleet.sandbox("web", stack(a=service()))
    fleet.commit()
    assert fleet.apply().actions == {"notes": "create", "web": "create"}
    fleet.assert_synced()
    fleet.sh("lab-1", f"rm {fleet.folder('notes')}/workspace/note.txt")
    assert fleet.apply(drifts=True).reasons == {"notes": "repair_because_drift"}
    fleet.assert_synced()
    (
        fleet.repo.path / "profiles/profile.folder.yaml"
    ).unlink()  # its description stays, by which its last one is removed
    assert remove(fleet, "notes", "web") == dict.fromkeys(("notes", "web"), "delete_because_orphaned")
    assert lab.leaked("lab-1", before) == {}


def test_one_that_expired_stays_away(folders: Folders) -> None:
    fleet = folders("lab-1")
    add(fleet, "notes", ttl="1s")
    fleet.apply()
    pruned = until(lambda: fleet.prune("--expired-only").reasons, "its end, one second after it was made")
    assert pruned == {"notes": "delete_because_expired"}
    assert fleet.exists("lab-1", f"{fleet.root}/{fleet.name}/.tombstones/{fleet.id('notes')}.json")
    assert fleet.plan().of("notes")["reason"] == "no_op_because_expired"
    assert not fleet.exists("lab-1", fleet.folder("notes"))


def test_one_may_be_requested_without_git(folders: Folders, lab: Lab) -> None:
    before = lab.snapshot("lab-1")
    fleet = folders("lab-1")
    words = ("create", "--profile", "profile.folder", "-o", "json")
    made = json.loads(fleet.run(*words, "--name", "mine"))
    assert (made["phase"], made["origin"], made["extension"]) == ("ready", "api", "ext.folder")
    again = json.loads(fleet.run("recreate", "mine", "-o", "json"))
    assert (again["id"], again["phase"]) == (made["id"], "ready")
    fleet.run(*words, "--name", "later", "--no-wait")
    fleet.run("wait", "later")
    assert fleet.get("later")["phase"] == "ready"
    for name in ("mine", "later"):
        fleet.run("destroy", name, "-y")
    assert lab.leaked("lab-1", before) == {}


@pytest.mark.parametrize("point", ["begin.after", "deliver.sent", "remove.before"])
def test_an_interrupted_apply_is_finished_by_the_next(folders: Folders, lab: Lab, point: str) -> None:
    before = lab.snapshot("lab-1")
    fleet = folders("lab-1")
    if point == "remove.before":
        fleet.apply()
        fleet.remove("notes")
    fleet.commit()
    fleet.run("apply", "-y", "--allow-empty", code=-9, env={"SANDBOXER_CRASH_AT": point})
    fleet.apply("--allow-empty")
    fleet.assert_synced()
    if point != "remove.before":
        assert fleet.get("notes")["phase"] == "ready"
        remove(fleet, "notes")
    assert lab.leaked("lab-1", before) == {}


def test_a_change_of_extension_is_torn_down_by_the_one_that_made_it(folders: Folders, lab: Lab) -> None:
    before = lab.snapshot("lab-1")
    fleet = folders("lab-1")
    fleet.sandbox("notes", stack(a=service()))
    fleet.commit()
    fleet.apply()
    assert fleet.record("lab-1", "notes")["engine"] == "docker"
    add(fleet, "notes")
    assert fleet.apply().reasons == {"notes": "replace_because_changed"}
    assert fleet.containers("lab-1") == {}
    record = fleet.record("lab-1", "notes")
    assert (record["extension"], record["engine"], record["phase"]) == ("ext.folder", "", "ready")
    fleet.assert_synced()
    fleet.sandbox("notes", stack(a=service()))
    fleet.commit()
    assert fleet.apply().reasons == {"notes": "replace_because_changed"}
    assert len(fleet.containers("lab-1")) == 1
    assert fleet.record("lab-1", "notes")["extension"] == "ext.compose-ssh"
    fleet.assert_synced()
    remove(fleet, "notes")
    assert lab.leaked("lab-1", before) == {}


@pytest.mark.parametrize("point", ["teardown.before", "remove.before", "replace.between", "begin.after"])
def test_an_interrupted_change_of_extension_is_finished_by_the_next_apply(
    folders: Folders, lab: Lab, point: str
) -> None:
    before = lab.snapshot("lab-1")
    fleet = folders("lab-1")
    fleet.sandbox("notes", stack(a=service()))
    fleet.commit()
    fleet.apply()
    add(fleet, "notes")
    fleet.run("apply", "-y", code=-9, env={"SANDBOXER_CRASH_AT": point})
    fleet.apply()
    fleet.assert_synced()
    assert fleet.record("lab-1", "notes")["extension"] == "ext.folder"
    assert fleet.containers("lab-1") == {}
    remove(fleet, "notes")
    assert lab.leaked("lab-1", before) == {}


def test_an_unsupported_command_fails_with_a_message(folders: Folders) -> None:
    fleet = folders("lab-1")
    fleet.apply()
    for words, missing in {
        ("logs", "notes"): "logs",
        ("ssh", "notes", "--", "true"): "running commands",
        ("cp", "notes:/a", "."): "copying files",
        ("forward", "notes", "80"): "forwarding ports",
    }.items():
        fleet.run(*words, code=1)
        assert f'sandbox "notes": extension ext.folder does not support {missing}' in fleet.output[-1]
