"""Which sandboxes a plan is of, the formats that it is printed in, and how a saved one is shown again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from sandboxer.model.saved_plan import checksum
from tests.support.gitrepo import GitRepo
from tests.support.program import run
from tests.support.unreachable import FLEET

if TYPE_CHECKING:
    from pathlib import Path

PROFILE = """\
apiVersion: sandboxer.dev/v1
kind: Profile
metadata: {name: profile.web}
spec: {extension: ext.dir-ssh, isolation: directory}
"""
SANDBOX = """\
apiVersion: sandboxer.dev/v1
kind: Sandbox
metadata: {name: web}
spec: {profile: profile.web}
"""


@pytest.fixture
def here(tmp_path: Path) -> GitRepo:
    """A fleet of two sandboxes, on a host that answers."""
    root = {"connection": "local", "root": f"{tmp_path}/root"}
    host = {"apiVersion": "sandboxer.dev/v1", "kind": "Host", "metadata": {"name": "here"}, "spec": root}
    repo = GitRepo.create(tmp_path / "fleet")
    repo.write("sandboxer.yaml", FLEET)
    repo.write("manifests/here.yaml", yaml.safe_dump(host))
    repo.write("profiles/web.yaml", PROFILE)
    repo.write("manifests/web.yaml", SANDBOX)
    repo.write("manifests/db.yaml", SANDBOX.replace("{name: web}", "{name: db, labels: {team: data}}"))
    repo.commit()
    return repo


def test_the_formats_of_a_plan(here: GitRepo) -> None:
    def plan(output: str) -> str:
        done = run("-C", here.path, "plan", "-o", output)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    document = json.loads(plan("json"))
    assert yaml.safe_load(plan("yaml")) | {"stats": None} == document | {"stats": None}
    assert plan("name") == "db\nweb\n"
    wide = plan("wide").splitlines()
    assert [line.split() for line in wide[:2]] == [
        ["HOST", "STATUS", "SANDBOXES", "UNMANAGED"],
        ["here", "reachable", "2", "0"],
    ]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--target", "w*"], "web\n"),
        (["--exclude", "w*"], "db\n"),
        (["-l", "team=data"], "db\n"),
        (["-l", "team", "-l", "team!=data"], ""),
        (["--selector", "!team"], "web\n"),
    ],
)
def test_globs_and_labels_select_what_is_planned(here: GitRepo, words: list[str], names: str) -> None:
    done = run("-C", here.path, "plan", "-o", "name", *words)
    assert (done.returncode, done.stdout) == (0, names)
    assert ("No sandbox in git or on the hosts has labels for 'team,team!=data'." in done.stderr) is (not names)


def test_what_selects_nothing_by_name_is_an_error(here: GitRepo) -> None:
    done = run("-C", here.path, "plan", "--target", "wbe*")
    assert done.returncode == 1
    assert "--target: no sandbox in git or on the hosts matches `wbe*`" in done.stderr


def test_an_approval_is_of_the_selected_names(here: GitRepo) -> None:
    assert run("-C", here.path, "plan", "-l", "team=data", "--exclude", "w*", "--out", "plan.json").returncode == 0
    options = json.loads((here.path / "plan.json").read_text())["approval"]["options"]
    assert (options["selected"], options["excluded"]) == (["db"], ["web"])


@pytest.mark.parametrize("words", [["list"], ["plan"], ["drift"], ["prune", "-y"], ["apply", "-y"], ["destroy", "-y"]])
def test_a_selector_that_is_none_is_a_usage_error(words: list[str]) -> None:
    done = run(*words, "-l", "team in a")
    assert (done.returncode, done.stdout) == (1, "")
    assert "'team in a' is not a requirement: use KEY=VALUE" in done.stderr


def test_a_saved_plan_is_shown_as_it_was_planned(here: GitRepo, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    for output in ("text", "markdown", "name"):
        planned = run("-C", here.path, "plan", "--out", file, "-o", output)
        shown = run("-C", tmp_path, "show", file, "-o", output)  # it needs no fleet
        assert (shown.returncode, shown.stdout, shown.stderr) == (0, planned.stdout, "")
    content = json.loads(file.read_text())
    del content["checksum"]
    assert json.loads(run("show", file, "-o", "json").stdout) == content
    assert yaml.safe_load(run("show", file, "-o", "yaml").stdout) == content


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b'{"changes": [', ":1:14: invalid or incomplete JSON"),
        (b"\x1b[2J", ":1:1: invalid or incomplete JSON"),
        (b"\xff", ":1:1: not UTF-8"),
        (b"[]", ": not a plan: no JSON object"),
        (b'{"format_version": "1.0"}', ": not a saved plan: an approval is missing"),
        (b'{"format_version": "1.0", "approval": {}}', ": checksum mismatch"),
        (b"[" * 100_000, ": nested too deeply"),
        (b" " * (16 * 1024 * 1024 + 1), ": larger than 16 MiB"),
    ],
)
def test_a_file_that_is_no_saved_plan_is_not_shown(tmp_path: Path, data: bytes, error: str) -> None:
    file = tmp_path / "plan.json"
    file.write_bytes(data)
    done = run("show", file)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{file}{error}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_forged_plan_that_is_shown_does_nothing_to_the_terminal(here: GitRepo, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    assert run("-C", here.path, "plan", "--out", file).returncode == 0
    content = json.loads(file.read_text())
    del content["checksum"]
    content["changes"][0]["message"] = "\x1b[2J\x9b\u202egone"
    content["approval"]["manifests"] = "\x9b31m\u202e"
    file.write_text(json.dumps({**content, "checksum": checksum(content)}))
    for output in ("text", "wide", "markdown", "json", "yaml"):
        done = run("show", file, "-o", output)
        assert done.returncode == 0
        assert not {"\x1b", "\x9b", "\u202e"} & set(done.stdout), output
    content["changes"][0]["action"] = "explode"
    file.write_text(json.dumps({**content, "checksum": checksum(content)}))
    assert f"{file}: changes.0.action: " in run("show", file).stderr
