"""The example of an extension: its own tests pass as installed, and a fleet without the package gets an error."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
import yaml

from sandboxer import __version__
from sandboxer.extensions.conformance.runner import RULES
from tests.support.e2e import API, PROGRAM
from tests.support.example import EXAMPLE, install_example
from tests.support.fleet import ROOT
from tests.support.gitrepo import GitRepo

if TYPE_CHECKING:
    from pathlib import Path

HOST = {"apiVersion": API, "kind": "Host", "metadata": {"name": "here"}, "spec": {"connection": "local"}}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed package, what PYTHONPATH has to name."""
    return install_example(tmp_path_factory.mktemp("example"))


def test_its_own_tests_pass(installed: Path) -> None:
    source = installed.with_name("source")
    shutil.rmtree(source / "sandboxer_example_folder")  # what is tested is what was installed
    words = ["-q", "-p", "no:schemathesis", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=source,
        env={"PATH": os.environ["PATH"], "HOME": str(installed.parent), "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} passed" in done.stdout


def test_it_conforms_by_the_documented_commands(installed: Path) -> None:
    page = (ROOT / "docs/extensions.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\.venv/bin/python -m (sandboxer\.extensions\.conformance.*)$", page, re.MULTILINE)
    assert len(lines) == 3
    environment = {"PATH": os.environ["PATH"], "HOME": str(installed.parent), "PYTHONPATH": str(installed)}
    printed = []
    for line in lines:
        words = [sys.executable, "-m", *line.split(), "--crash-points", "2"]
        done = subprocess.run(
            words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        printed.append(done.stdout)
    assert "0 failed" not in printed[0]
    assert f"{len(RULES)} of {len(RULES)} rules: " in printed[0]
    assert [rule.name for rule in RULES] == [line.split()[0] for line in printed[1].splitlines() if line[0] != " "]
    assert json.loads(printed[2])["conforms"] is True


def test_its_version_bounds_are_as_the_page_on_publishing_specifies() -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    major, minor = __version__.split(".")[:2]
    bounds = f"sandboxer-fleet>={major}.{minor},<{major}.{int(minor) + 1}"
    assert project["dependencies"] == [bounds]
    assert f"`{bounds}`" in (ROOT / "docs/extensions.md").read_text(encoding="utf-8")
    assert project["name"].startswith("sandboxer-example-")


def test_a_fleet_without_the_package_gets_a_hint_what_to_install(tmp_path: Path) -> None:
    repo = GitRepo.create(tmp_path / "fleet")
    shutil.copytree(EXAMPLE / "fleet", repo.path, dirs_exist_ok=True)
    fleet = {"apiVersion": API, "kind": "Fleet", "metadata": {"name": "acme"}, "spec": {}}
    repo.write("sandboxer.yaml", yaml.safe_dump(fleet))
    repo.write("manifests/host.yaml", yaml.safe_dump(HOST))
    repo.commit()
    ran = {}
    for command in ("validate", "plan"):
        words = [PROGRAM, "-C", str(repo.path), command]
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "COLUMNS": "200"}
        ran[command] = subprocess.run(
            words, env=environment, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
        )
    assert ran["validate"].returncode == 0, ran["validate"].stderr  # the manifests are right; this machine is not
    assert ran["plan"].returncode == 1
    assert "extension `ext.folder` is implemented by `folder`, which is not installed" in ran["plan"].stderr
    assert "entry-point group sandboxer.extensions; installed are: compose-ssh, dir-ssh" in ran["plan"].stderr
