"""The command line as a user meets it: help, exit codes, where output goes, and errors that say what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandboxer.cli.main import COMMANDS
from tests.support.gitrepo import GitRepo

PROGRAM = Path(sys.executable).with_name("sandboxer")
FLEET = "apiVersion: sandboxer.dev/v1\nkind: Fleet\nmetadata: {name: acme}\n"
PROFILE = """\
apiVersion: sandboxer.dev/v1
kind: Profile
metadata: {name: profile.web}
spec: {extension: ext.compose-ssh}
"""
SANDBOX = """\
apiVersion: sandboxer.dev/v1
kind: Sandbox
metadata: {name: web}
spec: {profile: profile.web}
"""
# Nothing listens on the port of a host that was never there: the connection is refused at once.
SILENT_HOST = """\
apiVersion: sandboxer.dev/v1
kind: Host
metadata: {name: silent}
spec: {address: 127.0.0.1, port: 1, user: nobody}
"""


def run(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the real program, with no terminal."""
    return subprocess.run(
        [PROGRAM, *words],
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def fleet(tmp_path: Path) -> GitRepo:
    repo = GitRepo.create(tmp_path / "fleet")
    repo.write("sandboxer.yaml", FLEET)
    repo.write("profiles/web.yaml", PROFILE)
    repo.write("manifests/web.yaml", SANDBOX)
    repo.write("compose.yaml", "services: {web: {image: busybox}}\n")
    repo.git("add", "-A")
    repo.git("commit", "-q", "-m", "first")
    return repo


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert f"sandboxer {command}" in done.stdout
    assert "Example" in done.stdout


def test_help_lists_every_command() -> None:
    done = run("--help")
    assert done.returncode == 0
    assert all(f"  {command}" in done.stdout for command in COMMANDS)


def test_version_is_told_without_the_heavy_parts() -> None:
    code = (
        "import sys; from sandboxer.cli.main import run; assert run(['--version']) == 0; "
        "print([name for name in ('paramiko', 'git', 'httpx', 'pydantic', 'yaml', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["sandboxer 0.1.0", "[]"]


@pytest.mark.parametrize(
    "words", [["frobnicate"], ["plan", "--frobnicate"], ["plan", "-o", "xml"], ["get"], ["-C", "/nowhere", "plan"]]
)
def test_a_wrong_command_line_exits_1_and_says_what_is_wrong(words: list[str]) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_outside_of_a_fleet_the_error_says_where_one_would_be(tmp_path: Path) -> None:
    done = run("-C", tmp_path, "plan")
    assert (done.returncode, done.stdout) == (1, "")
    assert "sandboxer.yaml" in done.stderr


def test_a_finding_is_told_with_its_place_and_nothing_is_planned(fleet: GitRepo) -> None:
    fleet.write("manifests/web.yaml", SANDBOX.replace("profile.web", "profile.wed"))
    for command in ("validate", "plan"):
        done = run("-C", fleet.path, command)
        assert done.returncode == 1
        assert "manifests/web.yaml:4:" in done.stdout + done.stderr
        assert "profile.web" in done.stdout + done.stderr


def test_validate_speaks_json(fleet: GitRepo) -> None:
    done = run("-C", fleet.path, "validate", "-o", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["valid"] is True


def test_validate_of_a_path_tells_only_what_is_there(fleet: GitRepo) -> None:
    fleet.write("manifests/bad.yaml", "kind: Sandbox\n")
    assert run("-C", fleet.path, "validate", "manifests/web.yaml").returncode == 0
    assert run("-C", fleet.path, "validate", "manifests").returncode == 1
    assert run("-C", fleet.path, "validate", "manifests/none.yaml").returncode == 1


def test_without_a_host_a_sandbox_is_blocked_and_the_plan_exits_1(fleet: GitRepo) -> None:
    done = run("-C", fleet.path, "plan", "-o", "json")
    plan = json.loads(done.stdout)
    assert done.returncode == 1
    assert [change["reason"] for change in plan["changes"]] == ["blocked_because_no_host"]
    assert plan["complete"] is False


def test_a_silent_host_is_told_as_unreachable(fleet: GitRepo) -> None:
    fleet.write("manifests/host.yaml", SILENT_HOST)
    done = run("-C", fleet.path, "plan", "-o", "json")
    plan = json.loads(done.stdout)
    assert done.returncode == 1
    assert [(host["name"], host["status"]) for host in plan["hosts"]] == [("silent", "unreachable")]
    assert [change["reason"] for change in plan["changes"]] == ["blocked_because_unreachable"]


def test_plan_out_writes_the_same_plan(fleet: GitRepo, tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    done = run("-C", fleet.path, "plan", "-o", "json", "--out", out)
    assert json.loads(out.read_text()) == json.loads(done.stdout)
    assert run("-C", fleet.path, "plan", "--out", tmp_path / "no" / "folder").returncode == 1


def test_ref_reads_the_commit_and_not_the_work_tree(fleet: GitRepo) -> None:
    fleet.write("manifests/web.yaml", "not a manifest\n")
    assert run("-C", fleet.path, "validate").returncode == 1
    assert run("-C", fleet.path, "validate", "--ref", "HEAD").returncode == 0
    done = run("-C", fleet.path, "validate", "--ref", "nowhere")
    assert done.returncode == 1
    assert "nowhere" in done.stderr


@pytest.mark.parametrize("command", ["apply", "prune"])
def test_without_a_terminal_apply_and_prune_need_y(fleet: GitRepo, command: str) -> None:
    done = run("-C", fleet.path, command)
    assert (done.returncode, done.stdout) == (1, "")
    assert "-y" in done.stderr


def test_apply_refuses_manifests_that_are_not_committed(fleet: GitRepo) -> None:
    fleet.write("manifests/web.yaml", SANDBOX + "# changed\n")
    done = run("-C", fleet.path, "apply", "-y")
    assert done.returncode == 1
    assert "--allow-dirty" in done.stderr


@pytest.mark.parametrize("option", ["--target", "--exclude", "--replace", "--host"])
def test_a_selector_that_names_nothing_is_an_error(fleet: GitRepo, option: str) -> None:
    done = run("-C", fleet.path, "plan", option, "wev")
    assert done.returncode == 1
    assert f"{option} wev" in done.stderr


def test_no_colour_where_there_is_no_terminal(fleet: GitRepo) -> None:
    done = run("-C", fleet.path, "plan", FORCE_COLOR="")
    assert "\x1b[" not in done.stdout + done.stderr


def test_get_of_what_is_not_there_says_so(fleet: GitRepo) -> None:
    done = run("-C", fleet.path, "get", "nothing")
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no sandbox nothing" in done.stderr
