"""`apply F` on real hosts: what is still as it was approved is done, and nothing else."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sandboxer.model.saved_plan import checksum
from tests.support.e2e import FleetRepo, service, stack, until
from tests.support.gitrepo import GitRepo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.lab

HOSTS = ("lab-1", "lab-2", "lab-3")


def _on_each(fleet: FleetRepo, seconds: str) -> str:
    """Return a sandbox for each host, whose one service sleeps so long; return the commit."""
    for host in HOSTS:
        fleet.sandbox(f"on-{host}", stack(a=service("sleep", seconds)), host=host)
    return fleet.commit()


def test_a_sandbox_that_lost_a_container_is_stale_and_the_others_converge(
    new_fleet: Callable[..., FleetRepo], tmp_path: Path
) -> None:
    fleet = new_fleet(*HOSTS)
    saved = str(tmp_path / "plan.json")
    _on_each(fleet, "7777")
    fleet.apply()
    before = {host: fleet.ids(host, f"on-{host}") for host in HOSTS}
    _on_each(fleet, "8888")
    fleet.run("plan", "--out", saved)
    fleet.engine("lab-2", "rm", "-f", before["lab-2"]["a"])

    done = fleet.apply(saved, code=1)
    assert (
        done.plan.reasons
        == done.reasons
        == {
            "on-lab-1": "update_because_changed",
            "on-lab-2": "blocked_because_stale",
            "on-lab-3": "update_because_changed",
        }
    )
    assert "other drift (services.a)" in done.of("on-lab-2")["message"]
    for host in ("lab-1", "lab-3"):
        assert fleet.containers(host, f"on-{host}")["a"]["Config"]["Cmd"] == ["sleep", "8888"]
    assert fleet.containers("lab-2", "on-lab-2") == {}
    assert fleet.plan().actions == {"on-lab-1": "no-op", "on-lab-2": "update", "on-lab-3": "no-op"}

    # Used once, it approves nothing more; a new one approves what is left.
    after = {host: fleet.ids(host, f"on-{host}") for host in HOSTS}
    assert set(fleet.apply(saved, code=1).reasons.values()) == {"blocked_because_stale"}
    assert {host: fleet.ids(host, f"on-{host}") for host in HOSTS} == after
    fleet.run("plan", "--out", saved)
    assert fleet.apply(saved).reasons == {"on-lab-2": "update_because_changed"}
    fleet.assert_synced()


def test_it_is_applied_from_another_clone_after_a_squash(new_fleet: Callable[..., FleetRepo], tmp_path: Path) -> None:
    fleet = new_fleet("lab-1")
    saved = str(tmp_path / "plan.json")
    fleet.sandbox("kept", stack(a=service()), env={"API_TOKEN": "a-sensitive-value"})
    fleet.commit()
    fleet.apply()
    fleet.repo.git("checkout", "-q", "-b", "change")
    fleet.sandbox("new", stack(a=service()))
    fleet.commit()
    fleet.sandbox("kept", stack(a=service("sleep", "8888")))
    planned = fleet.commit()
    fleet.run("plan", "--target", "kept", "--target", "new", "--out", saved)
    fleet.repo.git("checkout", "-q", "main")
    fleet.repo.git("merge", "-q", "--squash", "change")
    assert fleet.commit() != planned
    fleet.repo.git("clone", "-q", str(fleet.repo.path), str(tmp_path / "clone"))
    clone = replace(fleet, repo=GitRepo(tmp_path / "clone"))
    assert clone.apply(saved).reasons == {"kept": "update_because_changed", "new": "create_because_absent"}
    assert "a-sensitive-value" not in (tmp_path / "plan.json").read_text()
    clone.assert_synced()


def test_a_secret_that_changed_since_is_given_to_what_was_approved_and_to_nothing_else(
    new_fleet: Callable[..., FleetRepo], tmp_path: Path
) -> None:
    """A plan reads no secret, so none is approved: it goes with the change that it is needed for."""
    fleet = new_fleet("lab-1", secrets={"allow": ["env:TOKEN"]})
    saved = str(tmp_path / "plan.json")
    secrets = [{"name": "TOKEN", "from": "env:TOKEN"}]
    compose = stack(a=service(secrets=["TOKEN"])) | {"secrets": {"TOKEN": {"environment": "TOKEN"}}}
    for name in ("changed", "same"):
        fleet.sandbox(name, compose, secretRefs=secrets)
    fleet.commit()
    fleet.apply(env={"TOKEN": "first-secret-value"})
    fleet.sandbox("changed", compose, secretRefs=secrets, ttl="2h", env={"A": "b"})
    fleet.commit()
    fleet.run("plan", "--out", saved, env={"TOKEN": "second-secret-value"})
    before = fleet.ids("lab-1", "same")
    done = fleet.apply(saved, env={"TOKEN": "second-secret-value"})
    assert done.reasons == {"changed": "update_because_changed"}
    assert fleet.inside("lab-1", "changed", "a", "cat", "/run/secrets/TOKEN") == "second-secret-value"
    assert fleet.ids("lab-1", "same") == before
    assert "secret-value" not in (tmp_path / "plan.json").read_text() + "".join(fleet.output)
    assert fleet.apply(env={"TOKEN": "second-secret-value"}).reasons == {"same": "update_because_changed"}


def test_a_forged_plan_deletes_nothing(fleet: FleetRepo, tmp_path: Path) -> None:
    saved = tmp_path / "plan.json"
    fleet.sandbox("one", stack(a=service()))
    fleet.sandbox("two", stack(a=service()), ttl="2h")
    fleet.commit()
    fleet.apply()
    fleet.sandbox("two", ttl="3h")
    fleet.commit()
    fleet.run("plan", "--out", str(saved))
    content = json.loads(saved.read_text())
    del content["checksum"]
    for change in content["changes"]:
        change |= {"action": "delete", "reason": "delete_because_orphaned"}
    content["approval"]["options"] |= {"allow_empty": True, "adopt_fleet": True, "max_deletes": 100}
    saved.write_text(json.dumps({**content, "checksum": checksum(content)}))
    before = fleet.ids("lab-1")
    assert fleet.apply(str(saved), code=1).reasons == dict.fromkeys(("one", "two"), "blocked_because_stale")
    assert fleet.ids("lab-1") == before
    assert fleet.plan().reasons == {"one": "no_op_because_synced", "two": "update_because_changed"}


def test_what_changes_under_the_lock_is_stale_and_not_planned_again(fleet: FleetRepo, tmp_path: Path) -> None:
    saved = str(tmp_path / "plan.json")
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.apply()
    fleet.sandbox("one", stack(a=service("sleep", "8888")))
    fleet.commit()
    fleet.run("plan", "--out", saved)
    lock = f"{fleet.root}/{fleet.name}/.locks/{fleet.id('one')}"
    other_generation = f'sed -i "s/.generation.:[0-9]*/\\"generation\\":99/" {fleet.folder("one")}/record.json'
    waits = f"touch {lock}.held; until [ -e {lock}.go ]; do sleep 0.05; done"
    with ThreadPoolExecutor(max_workers=1) as beside:
        writer = beside.submit(fleet.sh, "lab-1", f"flock {lock} sh -c '{waits}; {other_generation}'")
        until(lambda: fleet.exists("lab-1", f"{lock}.held"), "another writer's lock")
        with fleet.start("apply", saved, "-o", "json") as process:
            assert process.stderr is not None
            until(lambda: "one on lab-1: updating" in process.stderr.readline(), "the work's begin")
            fleet.sh("lab-1", f"touch {lock}.go")
            stdout, _ = process.communicate(timeout=60)
        writer.result()
    assert process.returncode == 1
    (outcome,) = json.loads(stdout)["outcomes"]
    assert (outcome["outcome"], outcome["reason"]) == ("blocked", "blocked_because_stale")
    assert fleet.containers("lab-1", "one")["a"]["Config"]["Cmd"] == ["sleep", "9999"]
