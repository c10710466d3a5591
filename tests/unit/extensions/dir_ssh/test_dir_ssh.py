"""The shipped backend without an engine, by the program on this machine: real scripts, directories and processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandboxer.adapters.local import LocalTransport
from sandboxer.errors import StaleChange
from sandboxer.extensions.base import ObserveRequest, Operation, Provenance, Target
from sandboxer.extensions.dir_ssh.extension import DirSsh
from sandboxer.model.lifecycle import Phase
from sandboxer.model.observed import Reachable
from sandboxer.wiring.source import FleetSource
from tests.support.e2e import OWN_SESSION, FleetRepo, until
from tests.support.fleet import ROOT
from tests.support.gitrepo import GitRepo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.model.observed import ObservedDirectory

SECRET = "s3cr$t `id`\nsecond line\n"


class LocalFleet(FleetRepo):
    """A fleet of one host, this machine, and one sandbox, `work`."""

    @property
    def place(self) -> Path:
        """The sandbox's directory."""
        return Path(self.folder("work"))

    @property
    def tree(self) -> Path:
        """The delivered tree."""
        (tree,) = (self.place / "workspace/tree").iterdir()
        return tree

    @property
    def now(self) -> dict[str, Any]:
        """The sandbox's record."""
        record: dict[str, Any] = json.loads((self.place / "record.json").read_bytes())
        return record

    def declare(self, setup: dict[str, Any] | None = None, **spec: Any) -> None:
        """Write the profile and the Sandbox, and commit them."""
        profile = {"extension": "ext.dir-ssh", "workspace": {"path": "data"}, "setup": setup or {}}
        self.document("profiles/scratch.yaml", "Profile", "scratch", profile)
        self.document("manifests/work.yaml", "Sandbox", "work", {"profile": "scratch", **spec})
        self.commit()

    def ssh(self, *words: str, code: int | None = 0) -> str:
        """Return the output of a command in the sandbox."""
        return self.run("ssh", "work", "--", *words, code=code)

    def drifted(self, *arguments: str) -> dict[str, str]:
        """Return what `drift` shows, by path."""
        shown = json.loads(self.run("drift", "-o", "json", *arguments, code=None, drifts=True))
        return {field["path"]: field["new"] for change in shown["changes"] for field in change["drift"]}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LocalFleet]:
    """Yield a fleet on this machine, with the sandbox `work` in git and not applied yet."""
    lab: Any = None
    made = LocalFleet(lab, GitRepo.create(tmp_path / "fleet"), "acme", ("here",), str(tmp_path / "root"))
    made.document("sandboxer.yaml", "Fleet", "acme", {})
    made.document("manifests/here.yaml", "Host", "here", {"connection": "local", "root": made.root})
    made.repo.write("data/a.txt", "a\n")
    made.repo.write("data/deep/run.sh", "#!/bin/sh\necho ran\n", executable=True)
    made.repo.link("data/link", "deep/run.sh")
    made.declare()
    yield made
    for process in marked(made):
        os.kill(process, signal.SIGKILL)


def marked(fleet: LocalFleet) -> list[int]:
    """Return the processes below the fleet's root or with a mark of a sandbox, as nobody but this test has any."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            inside = (folder / "cwd").readlink().is_relative_to(fleet.root)
            mark = b"\0SANDBOXER_SANDBOX=" in b"\0" + (folder / "environ").read_bytes()
        except OSError:
            continue
        if inside and mark:
            found.append(int(folder.name))
    return found


def runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_directory_lives_as_git_says(fleet: LocalFleet) -> None:
    fleet.run("validate")
    assert fleet.apply().reasons == {"work": "create_because_absent"}
    assert (fleet.tree / "a.txt").read_text() == "a\n"
    assert (fleet.place / "work/link").readlink() == Path("deep/run.sh")
    assert {path.stat().st_mode & 0o777 for path in (fleet.place, fleet.place / "work")} == {0o700}
    assert fleet.ssh("deep/run.sh") == "ran\n"
    handle = fleet.get("work")
    assert (handle["phase"], handle["sync"], handle["health"]) == ("ready", "Synced", "Healthy")
    before = (fleet.place / "record.json").read_bytes()
    assert json.loads(before)["engine"] == ""
    fleet.assert_synced()
    assert fleet.apply().changes == []
    assert (fleet.place / "record.json").read_bytes() == before
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
    assert (fleet.place / "work/new.txt").read_text() == "new\n"
    shutil.rmtree(fleet.place / "workspace")
    assert set(fleet.drifted()) == {"workspace"}
    fleet.apply(drifts=True)
    assert fleet.ssh("cat", "a.txt") == "mine\n"
    fleet.assert_synced()


@pytest.mark.parametrize("how", ["replace", "keep"])
def test_another_commit_replaces_the_working_copy_or_keeps_it(fleet: LocalFleet, how: str) -> None:
    fleet.declare({"work": how})
    fleet.apply()
    fleet.ssh("sh", "-c", f"echo mine >mine.txt; setsid sleep 999 >/dev/null 2>&1 & {OWN_SESSION}")
    (sleeper,) = until(lambda: marked(fleet), "a process in the sandbox")
    fleet.repo.write("data/a.txt", "another\n")
    fleet.commit()
    assert fleet.apply().reasons == {"work": "update_because_changed"}
    kept = how == "keep"
    assert fleet.ssh("cat", "a.txt") == ("a\n" if kept else "another\n")
    assert ((fleet.place / "work/mine.txt").exists(), runs(sleeper)) == (kept, kept)
    assert (fleet.tree / "a.txt").read_text() == "another\n"
    assert sorted(path.name for path in fleet.place.iterdir() if path.name.startswith(("work.new", "former"))) == []
    fleet.assert_synced()
    record = (fleet.place / "record.json").read_bytes()
    fleet.apply()
    assert (fleet.place / "record.json").read_bytes() == record


def test_a_change_of_anything_else_leaves_the_working_copy_alone(fleet: LocalFleet) -> None:
    fleet.apply()
    fleet.ssh("sh", "-c", "echo mine >a.txt")
    fleet.declare(ttl="2h", env={"KEY": "value"})
    fleet.apply()
    assert fleet.ssh("sh", "-c", 'cat a.txt; echo "$KEY"') == "mine\nvalue\n"


def test_its_processes_end_with_it_and_no_others(fleet: LocalFleet) -> None:
    fleet.apply()
    stubborn = "setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' >/dev/null 2>&1 </dev/null &"
    fleet.ssh("sh", "-c", f"cd /; trap '' TERM HUP; {stubborn} {OWN_SESSION}")
    mark = f"SANDBOXER_SANDBOX={fleet.now['uid']}".encode()

    def ours() -> set[int]:
        found = set()
        for file in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in file.read_bytes().split(b"\0"):
                    found.add(int(file.parent.name))
            except OSError:
                continue
        return found

    until(lambda: len(ours()) >= 2, "the detached processes")
    with (
        subprocess.Popen(["sleep", "999"], cwd=fleet.place / "work") as visitor,
        subprocess.Popen(["sleep", "999"], env={"SANDBOXER_SANDBOX": "0" * 32, "PATH": os.environ["PATH"]}) as other,
    ):
        fleet.remove("work")
        fleet.commit()
        fleet.apply("--allow-empty")
        assert ours() == set()
        assert (visitor.poll(), other.poll()) == (None, None)
        visitor.kill()
        other.kill()
    assert not Path(fleet.root).exists()


def test_a_client_within_the_sandbox_can_destroy_it(fleet: LocalFleet) -> None:
    fleet.apply()
    fleet.remove("work")
    fleet.commit()
    record = fleet.now
    fleet.apply("--allow-empty", env={"SANDBOXER_SANDBOX": record["uid"]})
    assert not Path(fleet.root).exists()


def test_commands_have_limits_environment_and_secrets(fleet: LocalFleet) -> None:
    limits = {"seconds": 2, "cpuSeconds": 60, "memoryMiB": 512, "fileSizeMiB": 1, "openFiles": 64}
    (fleet.repo.path / "secret").write_text(SECRET)
    spec = {"secrets": {"allow": [{"ref": "file:secret"}]}}
    fleet.document("sandboxer.yaml", "Fleet", "acme", spec)
    env = {"PLAIN": "two\nlines\\n $(id) %s\n", "value": "v", "PPID": "1"}
    fleet.declare({"limits": limits}, env=env, secretRefs=[{"name": "TOKEN", "from": "file:secret"}])
    fleet.apply()
    said = fleet.ssh("sh", "-c", "ulimit -t; ulimit -v; ulimit -f; ulimit -n")
    assert said.split() == ["60", str(512 * 1024), "2048", "64"]
    shown = fleet.ssh("sh", "-c", 'printf "%s|%s|%s" "$PLAIN" "$TOKEN" "$SANDBOXER_SANDBOX"')
    assert shown == f"{env['PLAIN']}|{SECRET.removesuffix(chr(10))}|{fleet.now['uid']}"
    assert fleet.ssh("sleep", "30", code=None) == ""
    fleet.run("ssh", "work", "--", "sleep", "30", code=124)
    fleet.run("ssh", "work", "--", "dd", "if=/dev/zero", "of=big", "bs=1M", "count=3", code=None)
    assert (fleet.place / "work/big").stat().st_size == 1 << 20
    fleet.run("ssh", "work", "--", "sh", "-c", "exit 7", code=7)
    assert (fleet.place / "env").stat().st_mode & 0o777 == 0o600
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in (fleet.place / "secrets").iterdir())
    assert SECRET.split("\n")[0] not in (fleet.place / "record.json").read_text()
    (fleet.repo.path / "secret").unlink()
    fleet.declare({"limits": limits}, secretRefs=[{"name": "TOKEN", "from": "file:secret"}], ttl="3h")
    fleet.apply()
    assert fleet.ssh("sh", "-c", 'printf "%s" "$TOKEN$PLAIN"') == SECRET.removesuffix("\n")
    fleet.declare()
    fleet.apply()
    assert fleet.ssh("sh", "-c", 'echo "$TOKEN$PLAIN"') == "\n"
    assert list((fleet.place / "secrets").iterdir()) == []


def test_files_are_copied_out_of_the_working_copy_and_into_it(fleet: LocalFleet, tmp_path: Path) -> None:
    fleet.apply()
    fleet.ssh("sh", "-c", "mkdir -p 'out/it is'; echo 1 >'out/it is/-x'; ln -s out to-out")
    fleet.run("cp", "work:/to-out", str(tmp_path / "got"))
    assert (tmp_path / "got/it is/-x").read_text() == "1\n"
    fleet.run("cp", "work:/link", str(tmp_path / "script"))
    assert "echo ran" in (tmp_path / "script").read_text()
    fleet.run("cp", str(tmp_path / "got"), "work:/out")
    assert (fleet.place / "work/out/got/it is/-x").read_text() == "1\n"
    fleet.run("cp", str(tmp_path / "script"), "work:/new.sh")
    assert fleet.ssh("./new.sh") == "ran\n"
    fleet.run("cp", "work:/missing", str(tmp_path / "x"), code=1)
    assert "there is no /missing" in fleet.said[-1]
    fleet.run("cp", str(tmp_path / "script"), "work:/missing/x", code=1)
    assert "there is no folder /missing" in fleet.said[-1]


def test_what_it_lacks_is_said(fleet: LocalFleet) -> None:
    fleet.apply()
    for words, missing in {("logs", "work"): "logs", ("forward", "work", "80"): "forwarding ports"}.items():
        fleet.run(*words, code=1)
        assert f'sandbox "work": extension ext.dir-ssh does not support {missing}' in fleet.said[-1]
    fleet.run("ssh", "work", "--service", "web", "--", "true", code=None)
    shutil.rmtree(fleet.place / "work")
    fleet.ssh("true", code=1)
    assert "the working copy" in fleet.said[-1]
    fleet.declare(ttl="2h")
    fleet.apply()
    assert fleet.ssh("cat", "a.txt") == "a\n"


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
        assert f"error[unsupported]: `spec.{key}` is not supported by ext.dir-ssh" in fleet.said[-1] + fleet.said[-2], (
            number
        )
    assert "profiles/scratch.yaml:" in fleet.said[-1] + fleet.said[-2]


def test_what_expired_stays_away(fleet: LocalFleet) -> None:
    fleet.declare(ttl="1s")
    fleet.apply()
    assert until(lambda: fleet.prune("--expired-only").reasons, "its end") == {"work": "delete_because_expired"}
    assert not fleet.place.exists()
    assert fleet.plan().of("work")["reason"] == "no_op_because_expired"
    fleet.declare(ttl="1h")
    assert fleet.apply().reasons == {"work": "create_because_absent"}


def test_a_lost_record_is_left_alone(fleet: LocalFleet) -> None:
    fleet.apply()
    (fleet.place / "record.json").unlink()
    assert fleet.plan(code=None).of("work")["action"] == "blocked"
    assert (fleet.place / "work/a.txt").exists()


# --- a client that dies


@dataclass
class Client:
    """A client of the backend itself, which does what a plan of its observation would say."""

    fleet: LocalFleet
    source: FleetSource
    notes: Path

    def observe(self) -> ObservedDirectory | None:
        """Return the sandbox as the host has it."""
        request = ObserveRequest("here", self.fleet.root, "acme")
        with closing(LocalTransport("here")) as transport:
            observation = DirSsh().observe(transport, request)
        assert isinstance(observation, Reachable)
        assert observation.error is None
        return observation.found.get(self.fleet.id("work"))

    def apply(self, *, wanted: bool = True) -> None:
        """Bring the sandbox to what git says, or away; again while the host ends what a dead client began."""
        for _ in range(5):
            with suppress(StaleChange):
                return self._apply(wanted=wanted)
        raise AssertionError("it changes all the time")

    def _apply(self, *, wanted: bool) -> None:
        found = self.observe()
        record = found.record if found else None
        assert found is None or record is not None, "a directory without a record"
        desired = self.source.fleet().sandboxes["work"]
        with closing(LocalTransport("here")) as transport:
            operation = Operation(
                target=Target("here", self.fleet.root, transport, "", None, 1.0, 1, "a client"),
                fleet="acme",
                id=desired.id,
                name="work",
                reason="a_test",
                expected_generation=record.generation if record else 0,
                expected_uid=record.uid if record else "",
                inputs=self.source.inputs(),
                provenance=Provenance(),
                progress=lambda _step: None,
                clock=lambda: datetime.now(UTC).replace(microsecond=0),
            )
            if wanted:
                DirSsh().provision(operation, desired, fresh=bool(record and record.phase is Phase.DESTROYING))
            else:
                DirSsh().teardown(operation)

    def killed_at(self, point: str, *, wanted: bool = True) -> None:
        """Apply in another process, which dies at a point."""
        child = os.fork()
        if child == 0:
            os.environ["SANDBOXER_CRASH_AT"] = point
            with suppress(BaseException):
                self.apply(wanted=wanted)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert point.startswith("@") or os.WTERMSIG(status) == signal.SIGKILL, point

    def points(self, *, wanted: bool = True) -> list[str]:
        """Return the points that an apply passes; before one step is the same as after another."""
        self.killed_at(f"@{self.notes}", wanted=wanted)
        found = [point for point in self.notes.read_text().splitlines() if ".before" not in point]
        self.notes.unlink()
        assert len(found) > 10
        return found

    def must_be_complete(self, content: str, point: str) -> None:
        """Fail unless the sandbox is as git says, with nothing beside it."""
        found = self.observe()
        assert found is not None
        assert found.record is not None
        assert found.record.phase is Phase.READY, point
        assert found.record.attempt is None, point
        assert (self.fleet.place / "work/a.txt").read_text() == content, point
        assert (self.fleet.tree / "a.txt").read_text() == content, point
        there = {path.name for path in self.fleet.place.iterdir()}
        assert there == {"work", "work.of", "workspace", "env", "record.json", "journal.jsonl"}, point
        beside = {path.name for path in self.fleet.place.parent.iterdir()}
        assert beside == {self.fleet.id("work"), ".locks"}, point


@pytest.fixture
def client(fleet: LocalFleet, tmp_path: Path) -> Client:
    """Return a client of the backend, in this process."""
    return Client(fleet, FleetSource(fleet.repo.path), tmp_path / "points")


def test_a_creation_that_dies_at_any_point_is_finished(client: Client) -> None:
    for point in client.points():
        client.apply(wanted=False)
        assert not Path(client.fleet.root).exists()
        client.killed_at(point)
        client.apply()
        client.must_be_complete("a\n", point)


def test_an_update_that_dies_at_any_point_is_finished(client: Client) -> None:
    client.apply()
    damaged = client.fleet.tree / "a.txt"
    damaged.unlink()
    shutil.rmtree(client.fleet.place / "work")
    for point in client.points():
        damaged.unlink()
        shutil.rmtree(client.fleet.place / "work")
        client.killed_at(point)
        client.apply()
        client.must_be_complete("a\n", point)


def test_a_removal_that_dies_at_any_point_is_finished(client: Client) -> None:
    client.apply()
    for point in client.points(wanted=False):
        client.apply()
        environment = {"SANDBOXER_SANDBOX": client.fleet.now["uid"], "PATH": os.environ["PATH"]}
        with subprocess.Popen(["sleep", "999"], env=environment) as sleeper:
            client.killed_at(point, wanted=False)
            client.apply(wanted=False)
            assert sleeper.wait(timeout=10) < 0, point
        assert not Path(client.fleet.root).exists(), point


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
