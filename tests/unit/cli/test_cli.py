"""The command line as a user meets it: help, exit codes, where output goes, and errors with hints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sandboxer.cli.main import COMMANDS
from tests.support.gitrepo import GitRepo
from tests.support.program import run, start
from tests.support.unreachable import FLEET, UNREACHABLE_HOST

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
    done = start("--help")
    assert done.returncode == 0
    assert all(f"  {command}" in done.stdout for command in COMMANDS)


def test_version_is_printed_without_the_heavy_parts() -> None:
    code = (
        "import sys; from sandboxer.cli.main import run; assert run(['--version']) == 0; "
        "print([name for name in ('paramiko', 'git', 'httpx', 'pydantic', 'yaml', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["sandboxer 0.1.0", "[]"]


@pytest.mark.parametrize(
    "words",
    [
        ["frobnicate"],
        ["plan", "--frobnicate"],
        ["plan", "-o", "xml"],
        ["get"],
        ["-C", "/nowhere", "plan"],
        ["extend-ttl", "web", "often"],
        ["apply", "-y", "--lock-timeout", "soon"],
        ["unlock", "web", "--end"],
    ],
)
def test_a_wrong_command_line_exits_1_and_reports_what_is_wrong(words: list[str]) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_threads_at_work_in_a_library_do_not_change_the_end() -> None:
    """A library in Rust aborts the process where Python ends its thread, such as one of an unfinished operation."""
    code = (
        "import bcrypt, sys, threading\n"
        "def work():\n"
        "    while True: bcrypt.hashpw(b'x', bcrypt.gensalt(4))\n"
        "for _ in range(8): threading.Thread(target=work, daemon=True).start()\n"
        "from sandboxer.__main__ import main\n"
        "sys.argv = ['sandboxer', '--version']\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "sandboxer 0.1.0\n", "")


def test_outside_of_a_fleet_the_error_names_the_missing_file(tmp_path: Path) -> None:
    done = start("-C", tmp_path, "plan")
    assert (done.returncode, done.stdout) == (1, "")
    assert "sandboxer.yaml" in done.stderr


def test_every_folder_within_a_fleet_will_do(fleet: GitRepo) -> None:
    fleet.write("manifests/team/more.yaml", SANDBOX.replace("name: web", "name: more"))
    within = fleet.path / "manifests/team"
    assert run("-C", within, "validate").stdout == "4 documents in 4 files are valid\n"
    saved = run("-C", within, "plan", "--out", "plan.json")
    assert saved.returncode == 1  # its host does not answer
    assert (within / "plan.json").is_file()


def test_paths_are_relative_to_where_the_program_runs(fleet: GitRepo) -> None:
    fleet.write("manifests/team/bad.yaml", "kind: Sandbox\n")
    assert run("-C", fleet.path / "manifests", "validate", "web.yaml").returncode == 0
    assert run("-C", fleet.path / "manifests", "validate", "team").returncode == 1
    assert run("-C", fleet.path / "manifests/team", "validate", ".").returncode == 1
    assert run("-C", fleet.path / "manifests/team", "validate", "../web.yaml", "../../profiles").returncode == 0
    done = run("-C", fleet.path / "manifests", "validate", "manifests/web.yaml")
    assert "manifests/web.yaml: contains no manifest of this fleet" in done.stderr


def test_outside_of_a_fleet_the_error_names_where_it_was_searched_for(tmp_path: Path) -> None:
    repo = GitRepo.create(tmp_path / "repo")
    (repo.path / "deep/er").mkdir(parents=True)
    for command in (["plan"], ["list"], ["wait", "web"], ["create", "--profile", "p"]):
        done = run("-C", repo.path / "deep/er", *command)
        assert done.returncode == 1
        assert f"in {repo.path}/deep/er or in a folder above it, up to {repo.path}" in done.stderr, command


def test_a_finding_is_reported_with_its_position_and_nothing_is_planned(fleet: GitRepo) -> None:
    fleet.write("manifests/web.yaml", SANDBOX.replace("profile.web", "profile.wed"))
    for command in ("validate", "plan"):
        done = run("-C", fleet.path, command)
        assert done.returncode == 1
        assert "manifests/web.yaml:4:" in done.stdout + done.stderr
        assert "profile.web" in done.stdout + done.stderr


def test_validate_prints_json(fleet: GitRepo) -> None:
    done = run("-C", fleet.path, "validate", "-o", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["valid"] is True


def test_validate_of_a_path_reports_only_what_is_there(fleet: GitRepo) -> None:
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


def test_a_host_that_does_not_answer_is_reported_as_unreachable(fleet: GitRepo) -> None:
    fleet.write("manifests/host.yaml", UNREACHABLE_HOST)
    done = run("-C", fleet.path, "plan", "-o", "json")
    plan = json.loads(done.stdout)
    assert done.returncode == 1
    assert [(host["name"], host["status"]) for host in plan["hosts"]] == [("offline", "unreachable")]
    assert [change["reason"] for change in plan["changes"]] == ["blocked_because_unreachable"]


def test_plan_out_writes_the_same_plan(fleet: GitRepo, tmp_path: Path) -> None:
    out = tmp_path / "plan.json"
    done = run("-C", fleet.path, "plan", "-o", "json", "--out", out)
    content = json.loads(out.read_text())
    assert content.keys() - {"approval", "checksum"} == json.loads(done.stdout).keys()
    assert json.loads(done.stdout).items() <= content.items()


def test_plan_out_writes_whole_or_not_at_all(fleet: GitRepo, tmp_path: Path) -> None:
    target, link, folder = tmp_path / "target", tmp_path / "link", tmp_path / "folder"
    target.write_text("before")
    link.symlink_to(target)
    folder.mkdir()
    for wrong in (tmp_path / "no" / "folder", folder, Path(os.devnull)):
        done = run("-C", fleet.path, "plan", "--out", wrong)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"--out {wrong}" in done.stderr
    assert Path(os.devnull).is_char_device()
    error = run("-C", fleet.path, "plan", "--out", link).stderr
    assert f"sandboxer apply {link}" in error
    assert link.is_symlink()
    assert json.loads(target.read_text())["fleet"] == "acme"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fleet", "folder", "link", "target"]


@pytest.fixture
def saved(fleet: GitRepo, tmp_path: Path) -> Path:
    """The plan of a fleet whose only host is offline."""
    fleet.write("manifests/host.yaml", UNREACHABLE_HOST)
    fleet.commit()
    run("-C", fleet.path, "plan", "--out", tmp_path / "saved")
    return tmp_path / "saved"


def test_apply_of_a_saved_plan_needs_no_y_and_is_as_incomplete_as_the_plan(fleet: GitRepo, saved: Path) -> None:
    for more in ([], ["-y", "--parallelism", "2", "--lock-timeout", "5s", "--ref", "HEAD"]):
        done = run("-C", fleet.path, "apply", saved, "-o", "json", *more)
        assert done.returncode == 1
        assert [change["reason"] for change in json.loads(done.stdout)["outcomes"]] == ["blocked_because_unreachable"]


@pytest.mark.parametrize(
    "words", ["--target web --max-deletes 10", "--no-prune", "--host offline --replace web --allow-empty"]
)
def test_selectors_and_guards_beside_a_saved_plan_are_named(fleet: GitRepo, saved: Path, words: str) -> None:
    done = run("-C", fleet.path, "apply", saved, *words.split())
    assert (done.returncode, done.stdout) == (1, "")
    assert all(word in done.stderr for word in words.split() if word.startswith("--"))


def test_a_saved_plan_of_other_manifests_is_refused_with_the_way_back(fleet: GitRepo, saved: Path) -> None:
    commit = fleet.git("rev-parse", "HEAD")
    fleet.commit({"manifests/web.yaml": SANDBOX + "# a comment does not count\n"})
    assert "web" in run("-C", fleet.path, "apply", saved).stdout
    fleet.commit({"manifests/web.yaml": SANDBOX.replace("spec: {", "spec: {ttl: 1h, ")})
    done = run("-C", fleet.path, "apply", saved)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the manifests differ from those of the saved plan" in done.stderr
    assert f"--ref {commit[:12]}" in done.stderr
    assert "web" in run("-C", fleet.path, "apply", saved, "--ref", commit[:12]).stdout


def test_a_dirty_work_tree_is_refused_with_a_saved_plan_too(fleet: GitRepo, saved: Path) -> None:
    fleet.write("manifests/web.yaml", SANDBOX + "# changed\n")
    assert "--allow-dirty" in run("-C", fleet.path, "apply", saved).stderr
    assert "web" in run("-C", fleet.path, "apply", saved, "--allow-dirty").stdout


def test_an_invalid_saved_plan_is_reported_with_its_name_and_position(fleet: GitRepo, saved: Path) -> None:
    text = saved.read_text()
    for content, location in ((text.replace("acme", "ACME"), f"{saved}: "), (text[:50], f"{saved}:4:3: ")):
        saved.write_text(content)
        done = run("-C", fleet.path, "apply", saved, NO_COLOR="1")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"Error: {location}")
        assert "hint: " in done.stderr
    for missing in (saved.parent, saved.parent / "nothing", Path(os.devnull)):
        done = run("-C", fleet.path, "apply", missing)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"{missing}" in done.stderr
        assert "plan --out" in done.stderr


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
    assert f"{option}: no " in done.stderr
    assert '"wev" in git' in done.stderr


@pytest.mark.parametrize(
    "words", [["plan", "--target", "wev"], ["get", "wev"], ["resume", "wev"], ["recreate", "wev"], ["render", "wev"]]
)
def test_a_wrong_name_is_answered_with_the_one_that_was_meant(fleet: GitRepo, words: list[str]) -> None:
    done = run("-C", fleet.path, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert "did you mean `web`?" in done.stderr


def test_a_wrong_host_is_answered_with_the_one_that_was_meant(fleet: GitRepo) -> None:
    fleet.commit({"manifests/offline.yaml": UNREACHABLE_HOST})
    for words in (
        ["plan", "--host", "ofline"],
        ["list", "--host", "ofline"],
        ["drift", "--host", "ofline"],
        ["doctor", "ofline"],
    ):
        done = run("-C", fleet.path, *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert 'no host "ofline" in git' in done.stderr
        assert "did you mean `offline`?" in done.stderr
    warned = run("-C", fleet.path, "plan", "--forget-host", "ofline").stdout
    assert "host ofline is not forgotten: there is no such host; did you mean `offline`?" in warned


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["plan", "-o", "jsn"], "json"),
        (["completion", "bsh"], "bash"),
        (["list", "--phase", "redy"], "ready"),
        (["wait", "web", "--for", "destroy"], "destroyed"),
        (["--log-format", "jsom", "plan"], "json"),
    ],
)
def test_a_wrong_choice_is_answered_with_the_one_that_was_meant(words: list[str], near: str) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert "is not one of" in done.stderr
    assert f"Did you mean '{near}'?" in done.stderr


def test_a_choice_that_resembles_none_is_answered_with_those_that_there_are() -> None:
    error = run("plan", "-o", "zzz").stderr
    assert "'zzz' is not one of 'text', 'wide', 'json', 'yaml', 'name', 'markdown'." in error
    assert "Did you mean" not in error


def test_no_colour_where_there_is_no_terminal(fleet: GitRepo) -> None:
    done = run("-C", fleet.path, "plan", FORCE_COLOR="")
    assert "\x1b[" not in done.stdout + done.stderr


@pytest.mark.parametrize(("name", "hint"), [("web", "run `sandboxer plan`"), ("wev", "did you mean `web`?")])
def test_what_is_on_no_host_cannot_be_extended_and_has_a_hint(fleet: GitRepo, name: str, hint: str) -> None:
    done = run("-C", fleet.path, "extend-ttl", name, "1h")
    assert (done.returncode, done.stdout) == (1, "")
    assert hint in done.stderr


def test_a_lock_on_an_unreachable_host_is_unknown(fleet: GitRepo) -> None:
    fleet.commit({"manifests/offline.yaml": UNREACHABLE_HOST})
    done = run("-C", fleet.path, "unlock", "web", "-o", "json")
    assert done.returncode == 1
    (lock,) = json.loads(done.stdout)["locks"]
    assert (lock["host"], lock["status"], lock["holder"]) == ("offline", "unknown", None)
    assert lock["error"]


def test_get_of_an_absent_sandbox_reports_that(fleet: GitRepo) -> None:
    done = run("-C", fleet.path, "get", "nothing")
    assert (done.returncode, done.stdout) == (1, "")
    assert 'no sandbox "nothing"' in done.stderr
