"""The shipped backend without an engine, on real hosts: a directory's whole life through the program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.e2e import OWN_SESSION, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

    NewFleet = Callable[..., FleetRepo]

pytestmark = pytest.mark.lab

LIMITS = {"seconds": 2, "openFiles": 64}


def declare(fleet: FleetRepo, host: str, **spec: Any) -> None:
    """Write a profile and the Sandbox `work` on a host, and commit them."""
    profile = {"extension": "ext.dir-ssh", "workspace": {"path": "data"}, "setup": {"limits": LIMITS}}
    fleet.document("profiles/scratch.yaml", "Profile", "scratch", profile)
    spec = {"profile": "scratch", "placement": {"hosts": [host]}, **spec}
    fleet.document("manifests/work.yaml", "Sandbox", "work", spec)
    fleet.commit()


@pytest.fixture
def directories(new_fleet: NewFleet) -> Callable[..., FleetRepo]:
    """Makes fleets with the sandbox `work` on the first of some hosts, in git and not applied yet."""

    def make(*hosts: str, **options: Any) -> FleetRepo:
        fleet = new_fleet(*hosts, **options)
        fleet.repo.write("data/a.txt", "a\n")
        fleet.repo.write("data/deep/run.sh", "#!/bin/sh\necho ran\n", executable=True)
        declare(fleet, hosts[0])
        return fleet

    return make


def drifted(fleet: FleetRepo, *arguments: str) -> set[str]:
    """Return the paths that `drift` shows."""
    shown = json.loads(fleet.run("drift", "-o", "json", *arguments, code=2, drifts=True))
    return {field["path"] for change in shown["changes"] for field in change["drift"]}


def end(fleet: FleetRepo) -> None:
    """Take the sandbox out of git, and apply."""
    fleet.remove("work")
    fleet.commit()
    assert fleet.apply("--allow-empty").reasons == {"work": "delete_because_orphaned"}


@pytest.mark.parametrize("host", ["lab-1", "lab-3", "lab-4"], ids=["root", "other-user", "podman"])
def test_a_directory_lives_as_declared_in_git(
    directories: Callable[..., FleetRepo], lab: Lab, host: str, tmp_path: Path
) -> None:
    before = lab.snapshot(host)
    fleet = directories(host)
    assert fleet.plan("--detailed-exitcode", code=2).actions == {"work": "create"}
    assert lab.leaked(host, before) == {}
    fleet.apply()
    fleet.assert_synced()
    record = fleet.record(host, "work")
    assert fleet.apply().changes == []
    assert fleet.record(host, "work") == record
    assert (record["engine"], record["services"]) == ("", {})
    work = f"{fleet.folder('work')}/work"
    assert fleet.sh(host, f"stat -c '%a %U' {work}").split() == ["700", lab.host(host).user]

    assert fleet.run("ssh", "work", "--", "deep/run.sh") == "ran\n"
    assert fleet.run("ssh", "work", "--", "sh", "-c", "pwd; ulimit -n").split() == [work, "64"]
    fleet.run("ssh", "work", "--", "sleep", "60", code=124)
    fleet.run("ssh", "work", "--", "sh", "-c", "echo mine >a.txt; exit 3", code=3)
    fleet.run("cp", "work:/a.txt", str(tmp_path / "out.txt"))
    assert (tmp_path / "out.txt").read_text() == "mine\n"
    fleet.run("cp", str(tmp_path / "out.txt"), "work:/deep")
    assert fleet.run("ssh", "work", "--", "cat", "deep/out.txt") == "mine\n"
    fleet.run("logs", "work", code=1)
    assert "extension ext.dir-ssh does not support logs" in fleet.output[-1]

    fleet.run("drift", "--deep")
    fleet.sh(host, f"cd {fleet.folder('work')}/workspace/tree/*; echo more >>a.txt")
    assert drifted(fleet) == {"workspace.files"}
    assert "workspace.files.a.txt" in drifted(fleet, "--deep")
    assert fleet.apply(drifts=True).reasons == {"work": "repair_because_drift"}
    assert fleet.run("ssh", "work", "--", "cat", "a.txt") == "mine\n"
    fleet.repo.write("data/a.txt", "another\n")
    fleet.commit()
    assert fleet.apply().reasons == {"work": "update_because_changed"}
    assert fleet.run("ssh", "work", "--", "cat", "a.txt") == "another\n"
    fleet.assert_synced()
    end(fleet)
    assert lab.leaked(host, before) == {}


def test_what_was_started_in_it_ends_with_it(directories: Callable[..., FleetRepo], lab: Lab) -> None:
    before = lab.snapshot("lab-3")
    fleet = directories("lab-3")
    fleet.apply()
    stubborn = "trap '' TERM HUP; while :; do sleep 1; done"
    started = f'cd /; setsid sh -c "{stubborn}" >/dev/null 2>&1 </dev/null & {OWN_SESSION}'
    fleet.run("ssh", "work", "--", "sh", "-c", started)
    uid = fleet.record("lab-3", "work")["uid"]
    carriers = f"grep -l SANDBOXER_SANDBOX={uid} /proc/[0-9]*/environ 2>/dev/null || :"
    until(lambda: fleet.sh("lab-3", carriers), "a process without a terminal")
    end(fleet)
    assert fleet.sh("lab-3", carriers) == ""
    assert lab.leaked("lab-3", before) == {}


def test_it_moves_to_another_host(directories: Callable[..., FleetRepo], lab: Lab) -> None:
    before = {host: lab.snapshot(host) for host in ("lab-1", "lab-3")}
    fleet = directories("lab-1", "lab-3")
    fleet.apply()
    declare(fleet, "lab-3")
    assert fleet.apply().reasons == {"work": "replace_because_moved"}
    assert not fleet.exists("lab-1", fleet.folder("work"))
    assert fleet.run("ssh", "work", "--", "cat", "a.txt") == "a\n"
    assert fleet.get("work")["host"] == "lab-3"
    fleet.assert_synced()
    end(fleet)
    assert {host: lab.leaked(host, snapshot) for host, snapshot in before.items()} == {"lab-1": {}, "lab-3": {}}


def test_one_that_expired_is_pruned_and_stays_away(directories: Callable[..., FleetRepo]) -> None:
    fleet = directories("lab-1")
    declare(fleet, "lab-1", ttl="1s")
    fleet.apply()
    pruned = until(lambda: fleet.prune("--expired-only").reasons, "its end, one second after it was made")
    assert pruned == {"work": "delete_because_expired"}
    assert fleet.plan().of("work")["reason"] == "no_op_because_expired"
    assert not fleet.exists("lab-1", fleet.folder("work"))


@pytest.mark.parametrize("point", ["begin.after", "deliver.sent", "work.sent", "end.after", "remove.before"])
def test_an_interrupted_apply_is_finished_by_the_next(
    directories: Callable[..., FleetRepo], lab: Lab, point: str
) -> None:
    before = lab.snapshot("lab-3")
    fleet = directories("lab-3")
    if point in ("end.after", "remove.before"):
        fleet.apply()
        fleet.remove("work")
    fleet.commit()
    fleet.run("apply", "-y", "--allow-empty", code=-9, env={"SANDBOXER_CRASH_AT": point})
    fleet.apply("--allow-empty")
    fleet.assert_synced()
    if point not in ("end.after", "remove.before"):
        assert fleet.get("work")["phase"] == "ready"
        end(fleet)
    assert lab.leaked("lab-3", before) == {}


def test_one_may_be_requested_without_git(directories: Callable[..., FleetRepo], lab: Lab) -> None:
    before = lab.snapshot("lab-1")
    fleet = directories("lab-1")
    made = json.loads(fleet.run("create", "--profile", "scratch", "-o", "json", "--name", "mine"))
    assert (made["phase"], made["origin"], made["extension"]) == ("ready", "api", "ext.dir-ssh")
    fleet.run("ssh", "mine", "--", "touch", "new")
    assert json.loads(fleet.run("recreate", "mine", "-o", "json"))["id"] == made["id"]
    fleet.run("ssh", "mine", "--", "test", "-e", "new", code=1)
    fleet.run("destroy", "mine", "-y")
    assert lab.leaked("lab-1", before) == {}


def test_a_host_without_any_engine_is_enough(directories: Callable[..., FleetRepo], lab: Lab) -> None:
    clients = clients_of(lab, "lab-2")
    assert clients
    before = lab.snapshot("lab-2")
    fleet = directories("lab-2")
    hide = "; ".join(f"mount --bind /dev/null {client}" for client in clients)
    show = "; ".join(f"umount {client}" for client in clients)
    fleet.sh("lab-2", hide)
    try:
        plan = fleet.plan()
        assert (plan.actions, plan.data["complete"]) == ({"work": "create"}, True)
        fleet.apply()
        fleet.assert_synced()
        assert fleet.run("ssh", "work", "--", "deep/run.sh") == "ran\n"
        fleet.run("drift", "--deep")
        end(fleet)
    finally:
        fleet.sh("lab-2", show)
    assert lab.leaked("lab-2", before) == {}


def clients_of(lab: Lab, host: str) -> list[str]:
    """Return the paths of the engines' clients on a host."""
    return lab.exec(host, ["sh", "-c", "command -v docker podman; :"]).stdout.split()
