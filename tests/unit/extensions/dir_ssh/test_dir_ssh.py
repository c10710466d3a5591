"""The backend without an engine, by the program on this machine: what git says, and what becomes of a directory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.support.e2e import OWN_SESSION, until
from tests.support.fleet import ROOT
from tests.unit.extensions.dir_ssh.local_fleet import marked, runs

if TYPE_CHECKING:
    from tests.unit.extensions.dir_ssh.local_fleet import LocalFleet


def test_a_directory_lives_as_declared_in_git(fleet: LocalFleet) -> None:
    fleet.starts = True
    fleet.run("validate")
    assert fleet.apply().reasons == {"work": "create_because_absent"}
    assert (fleet.tree / "a.txt").read_text() == "a\n"
    assert (fleet.directory / "work/link").readlink() == Path("deep/run.sh")
    assert {path.stat().st_mode & 0o777 for path in (fleet.directory, fleet.directory / "work")} == {0o700}
    assert fleet.ssh("deep/run.sh") == "ran\n"
    handle = fleet.get("work")
    assert (handle["phase"], handle["sync"], handle["health"]) == ("ready", "Synced", "Healthy")
    before = (fleet.directory / "record.json").read_bytes()
    assert json.loads(before)["engine"] == ""
    fleet.assert_synced()
    assert fleet.apply().changes == []
    assert (fleet.directory / "record.json").read_bytes() == before
    assert fleet.drifted("--deep") == {}
    fleet.remove("work")
    fleet.commit()
    assert fleet.apply("--allow-empty").reasons == {"work": "delete_because_orphaned"}
    assert not Path(fleet.root).exists()


def test_work_is_not_drift_and_a_delivered_file_is(fleet: LocalFleet) -> None:
    fleet.apply()
    fleet.ssh("sh", "-c", "echo mine >a.txt; rm link; echo new >new.txt")
    assert fleet.drifted("--deep") == {}
    (fleet.tree / "a.txt").unlink()
    (fleet.tree / "extra").write_text("x")
    assert set(fleet.drifted()) == {"workspace.files"}
    deep = fleet.drifted("--deep")
    assert (deep["workspace.files.a.txt"], deep["workspace.files.extra"]) == ("missing", "extra")
    assert fleet.apply(drifts=True).reasons == {"work": "repair_because_drift"}
    assert (fleet.tree / "a.txt").read_text() == "a\n"
    assert not (fleet.tree / "extra").exists()
    assert (fleet.directory / "work/new.txt").read_text() == "new\n"
    shutil.rmtree(fleet.directory / "workspace")
    assert set(fleet.drifted()) == {"workspace"}
    fleet.apply(drifts=True)
    assert fleet.ssh("cat", "a.txt") == "mine\n"
    fleet.assert_synced()


@pytest.mark.parametrize("policy", ["replace", "keep"])
def test_another_commit_replaces_the_working_copy_or_keeps_it(fleet: LocalFleet, policy: str) -> None:
    fleet.declare({"work": policy})
    fleet.apply()
    fleet.ssh("sh", "-c", f"echo mine >mine.txt; setsid sleep 999 >/dev/null 2>&1 & {OWN_SESSION}")
    (sleeper,) = until(lambda: marked(fleet), "a process in the sandbox")
    fleet.repo.write("data/a.txt", "another\n")
    fleet.commit()
    assert fleet.apply().reasons == {"work": "update_because_changed"}
    kept = policy == "keep"
    assert fleet.ssh("cat", "a.txt") == ("a\n" if kept else "another\n")
    assert ((fleet.directory / "work/mine.txt").exists(), runs(sleeper)) == (kept, kept)
    assert (fleet.tree / "a.txt").read_text() == "another\n"
    assert sorted(path.name for path in fleet.directory.iterdir() if path.name.startswith(("work.new", "former"))) == []
    fleet.assert_synced()
    record = (fleet.directory / "record.json").read_bytes()
    fleet.apply()
    assert (fleet.directory / "record.json").read_bytes() == record


def test_a_change_of_anything_else_leaves_the_working_copy_alone(fleet: LocalFleet) -> None:
    fleet.apply()
    fleet.ssh("sh", "-c", "echo mine >a.txt")
    fleet.declare(ttl="2h", env={"KEY": "value"})
    fleet.apply()
    assert fleet.ssh("sh", "-c", 'cat a.txt; echo "$KEY"') == "mine\nvalue\n"


def test_nothing_is_delivered_with_mode_none(fleet: LocalFleet) -> None:
    fleet.document(
        "profiles/empty.yaml", "Profile", "empty", {"extension": "ext.dir-ssh", "workspace": {"mode": "none"}}
    )
    fleet.document("manifests/work.yaml", "Sandbox", "work", {"profile": "empty"})
    fleet.commit()
    fleet.apply()
    assert fleet.ssh("ls", "-A") == ""
    assert fleet.drifted("--deep") == {}
    (fleet.tree / "extra").write_text("x")
    assert set(fleet.drifted("--deep")) >= {"workspace.files.extra"}
    fleet.apply(drifts=True)
    fleet.assert_synced()


def test_what_expired_stays_away(fleet: LocalFleet) -> None:
    fleet.declare(ttl="1s")
    fleet.apply()
    assert until(lambda: fleet.prune("--expired-only").reasons, "its end") == {"work": "delete_because_expired"}
    assert not fleet.directory.exists()
    assert fleet.plan().of("work")["reason"] == "no_op_because_expired"
    fleet.declare(ttl="1h")
    assert fleet.apply().reasons == {"work": "create_because_absent"}


def test_a_lost_record_is_left_alone(fleet: LocalFleet) -> None:
    fleet.apply()
    (fleet.directory / "record.json").unlink()
    assert fleet.plan(code=None).of("work")["action"] == "blocked"
    assert (fleet.directory / "work/a.txt").exists()


def test_the_sample_profile_is_one_of_a_fleet(fleet: LocalFleet) -> None:
    shutil.copy(ROOT / "profiles/profile.scratch.yaml", fleet.repo.path / "profiles")
    shutil.copytree(ROOT / "extensions", fleet.repo.path / "extensions")
    host = yaml.safe_load((fleet.repo.path / "manifests/here.yaml").read_text())
    assert host["spec"]["connection"] == "local"
    fleet.document("manifests/work.yaml", "Sandbox", "work", {"profile": "profile.scratch"})
    fleet.commit()
    fleet.run("validate")
    fleet.apply()
    assert fleet.ssh("cat", "data/a.txt") == "a\n"


def test_keys_that_it_cannot_carry_out_are_errors_of_validate(fleet: LocalFleet) -> None:
    wrong = {
        "network": {"egress": "deny"},
        "compose": {"files": ["compose.yaml"]},
        "resources": {"cpus": 1},
        "reachability": {"ports": []},
        "readiness": {"timeout": "1s"},
    }
    fleet.document("profiles/scratch.yaml", "Profile", "scratch", {"extension": "ext.dir-ssh", **wrong})
    fleet.run("validate", code=1)
    for number, key in enumerate(wrong):
        assert (
            f"error[unsupported]: `spec.{key}` is not supported by ext.dir-ssh" in fleet.output[-1] + fleet.output[-2]
        ), number
    assert "profiles/scratch.yaml:" in fleet.output[-1] + fleet.output[-2]
