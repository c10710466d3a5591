from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import yaml

from sandboxer.cli.main import run
from tests.support.gitrepo import GitRepo, isolate

if TYPE_CHECKING:
    from pathlib import Path

FLEET = """\
apiVersion: sandboxer.dev/v1
kind: Fleet
metadata: {name: acme}
spec: {secrets: {allow: ["env:DB_PASSWORD"]}}
---
apiVersion: sandboxer.dev/v1
kind: Host
metadata: {name: build-1, labels: {tier: self-hosted}}
spec: {connection: local}
---
apiVersion: sandboxer.dev/v1
kind: Host
metadata: {name: build-2, labels: {tier: self-hosted}}
spec: {address: build-2.example.org}
"""
PROFILE = """\
apiVersion: sandboxer.dev/v1
kind: Profile
metadata: {name: profile.e2e}
spec:
  extension: ext.compose-ssh
  compose: {files: [compose.yaml, more.yaml]}
  ttl: {default: 2h}
  resources:
    memory: 512MiB
  placement:
    prefer: [{tier: self-hosted}]
  reachability:
    ports:
      - {name: http, service: web, port: 8080}
"""
WEB = """\
apiVersion: sandboxer.dev/v1
kind: Sandbox
metadata:
  name: web
  labels: {team: payments}
spec:
  profile: profile.e2e
  inputs: {repo: stacks/web}
  ttl: 8h
  placement: {hosts: [build-1]}
  env: {LOG_LEVEL: noisy-and-hidden}
  secretRefs:
    - {name: DB_PASSWORD, from: "env:DB_PASSWORD"}
"""
PLAIN = """\
# a second document, and a Sandbox that says as little as it can
apiVersion: sandboxer.dev/v1
kind: Sandbox
metadata: {name: plain}
spec: {profile: profile.e2e, inputs: {repo: stacks/gone}, ttl: null}
"""


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The commit of a fleet that is the current folder."""
    isolate(monkeypatch, tmp_path)
    repo = GitRepo.create(tmp_path / "fleet")
    monkeypatch.chdir(repo.path)
    monkeypatch.setenv("DB_PASSWORD", "hunter2")
    compose = "services: {web: {image: web}}\n"
    return repo.commit(
        {
            "sandboxer.yaml": FLEET,
            "profiles/e2e.yaml": PROFILE,
            "manifests/all.yaml": f"{WEB}---\n{PLAIN}",
            "stacks/web/compose.yaml": compose,
            "stacks/web/more.yaml": compose,
        }
    )


def rows(capsys: pytest.CaptureFixture[str], name: str) -> dict[str, tuple[object, str]]:
    assert run(["render", name, "--explain", "-o", "json"]) == 0
    return {row["path"]: (row["value"], row["source"]) for row in json.loads(capsys.readouterr().out)}


def test_each_value_names_the_manifest_and_line_that_set_it(commit: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys, "web")
    assert found == found | {
        "spec.profile": ("profile.e2e", "manifests/all.yaml:7:3"),
        "spec.inputs.repo": ("stacks/web", "manifests/all.yaml:8:12"),
        "spec.inputs.ref": ("HEAD", "default"),
        "spec.inputs.commit": (commit, "stacks/web at HEAD"),
        "spec.ttl": ("8h", "manifests/all.yaml:9:3"),
        "spec.placement.hosts": (["build-1"], "manifests/all.yaml:10:15"),
        "spec.labels.team": ("payments", "manifests/all.yaml:5:12"),
        "spec.env.LOG_LEVEL": ("(hidden)", "manifests/all.yaml:11:9"),
        "spec.secretRefs[0].name": ("DB_PASSWORD", "manifests/all.yaml:13:8"),
        "spec.secretRefs[0].from": ("env:DB_PASSWORD", "manifests/all.yaml:13:27"),
        "spec.compose.files": (["compose.yaml", "more.yaml"], "profiles/e2e.yaml:6:13"),
        "spec.resources.memory": ("512MiB", "profiles/e2e.yaml:9:5"),
        "spec.resources.pids": (512, "default"),
        "spec.reachability.ports[0].port": (8080, "profiles/e2e.yaml:14:36"),
        "spec.network.egress": ("deny", "default"),
        "spec.setup": ({}, "default"),
    }
    assert "spec.expiresAt" not in found


def test_what_the_sandbox_leaves_open_is_its_profiles(commit: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys, "plain")
    assert found["spec.ttl"] == ("2h", "profiles/e2e.yaml:7:9")
    assert found["spec.placement.hosts"] == (["build-1", "build-2"], "profiles/e2e.yaml:10:3")
    assert found["spec.profile"] == ("profile.e2e", "manifests/all.yaml:19:8")


def test_an_unavailable_input_shows_the_reason_instead_of_the_digest(
    commit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    value, source = rows(capsys, "plain")["spec.workspace.digest"]
    assert str(value).startswith("unavailable: ")
    assert "stacks/gone" in str(value)
    assert source == "stacks/gone at HEAD"


def test_every_value_of_the_effective_specification_is_explained(
    commit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["render", "web", "-o", "json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert (content["fleet"], content["name"]) == ("acme", "web")
    assert run(["render", content["id"]]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == content
    for path, (value, _) in rows(capsys, "web").items():
        found = content
        for part in path.replace("[", ".").replace("]", "").split("."):
            found = found[int(part)] if isinstance(found, list) else found[part]
        assert found == value


@pytest.mark.parametrize("more", [[], ["--explain"], ["-o", "json"], ["--explain", "-o", "yaml"]])
def test_no_value_that_is_hidden_is_printed(commit: str, capsys: pytest.CaptureFixture[str], more: list[str]) -> None:
    assert run(["render", "web", *more]) == 0
    out = capsys.readouterr().out
    assert "(hidden)" in out
    assert "noisy-and-hidden" not in out
    assert "hunter2" not in out


def test_text_is_aligned_and_piped_lines_are_whole(commit: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "web", "--explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("spec.") for line in lines)
    assert len({line.index(line.split()[1], len(line.split()[0])) for line in lines}) == 1
    assert any(line.split() == ["spec.ttl", "8h", "manifests/all.yaml:9:3"] for line in lines)


def test_a_revision(commit: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "fleet" / "manifests" / "all.yaml").write_text(WEB.replace("8h", "3h"))
    assert rows(capsys, "web")["spec.ttl"][0] == "3h"
    assert run(["render", "web", "--ref", commit, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["spec"]["ttl"] == "8h"


def test_a_name_that_git_does_not_have(commit: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["render", "wab"]) == 1
    captured = capsys.readouterr()
    assert not captured.out
    assert 'no sandbox "wab" in git' in captured.err
    assert "did you mean `web`?" in captured.err
