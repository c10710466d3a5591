"""The lines that the imperative surface began with, the runbook word for word, and the script that follows it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import IMAGE
from tests.support.e2e import PROGRAM, service, stack, until
from tests.support.fleet import ROOT
from tests.support.gitrepo import GitRepo
from tests.support.markdown import blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab

SCRIPT = ROOT / "scripts/smoke-compose-e2e.sh"
RUNBOOK = ROOT / "docs/runbooks/profile-compose-e2e.md"
COMMANDS = [block.text for block in blocks(RUNBOOK) if (block.language, block.name) == ("sh", "")]
TITLES = re.findall(r"^## (\d+\. .+)$", RUNBOOK.read_text(), re.MULTILINE)


def test_the_seeds_lines_leave_nothing_on_the_host(
    new_fleet: Callable[..., FleetRepo], lab: Lab, tmp_path: Path
) -> None:
    fleet = new_fleet("lab-1")
    fleet.profile("profile.compose-e2e", compose={"files": ["e2e/compose.yaml"]})
    fleet.commit()
    repo = GitRepo.create(tmp_path / "repo")
    repo.write("e2e/compose.yaml", str(stack(web=service())))
    repo.commit()
    before = lab.snapshot("lab-1")

    def sandbox(line: str) -> str:
        program = str(Path(PROGRAM).with_name("sandbox"))
        done = subprocess.run(
            [program, *line.split()[1:]], cwd=fleet.repo.path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    made = sandbox(f"sandbox create --profile profile.compose-e2e --input repo={repo.path}")
    identifier = re.findall(r"^  id +([0-9a-f]{8})$", made, re.MULTILINE)[0]
    assert "phase         ready" in sandbox(f"sandbox get {identifier}")
    assert identifier in sandbox("sandbox list -o wide")
    container = fleet.ids("lab-1")
    again = sandbox(f"sandbox recreate {identifier}")
    assert identifier in again
    assert fleet.ids("lab-1").values() != container.values()
    assert sandbox(f"sandbox destroy {identifier}") == f"{identifier}: destroyed\n"
    assert sandbox(f"sandbox destroy {identifier}") == f"{identifier}: absent\n"
    assert lab.leaked("lab-1", before) == {}


def _start(lab: Lab, host: str, scratch: Path, **environment: str) -> subprocess.Popen[str]:
    """Start the script as somebody with an empty home would, in a group of its own, as a terminal does."""
    there = lab.host(host)
    scratch.mkdir()
    given = {
        "PATH": os.environ["PATH"],
        "HOME": str(scratch.parent),
        "TMPDIR": str(scratch),
        "SANDBOX": str(Path(PROGRAM).with_name("sandbox")),
        "SMOKE_IMAGE": IMAGE,
        "SMOKE_IDENTITY": str(lab.identity_file),
        "SMOKE_HOST_KEY": there.host_key,
        "SMOKE_RUNTIME": there.runtime,
    }
    return subprocess.Popen(
        ["env", "--default-signal=INT", "sh", SCRIPT, f"{there.user}@{there.address}:{there.port}"],
        env={**given, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _follow(lab: Lab, folder: Path) -> subprocess.CompletedProcess[str]:
    """Type what the runbook says into one shell, with values of the lab."""
    there = lab.host("lab-1")
    spec = f"address: {there.address}, user: {there.user}, identityFile: {lab.identity_file}"
    values = f"HOST_SPEC='{{{spec}, hostKey: \"{there.host_key}\"}}'\nFLEET={folder.name}\nNAME={folder.name}-web\n"
    (folder / "home").mkdir(parents=True)
    (folder / "home/.gitconfig").write_text("[user]\nname = somebody\nemail = somebody@localhost\n")
    path = f"{Path(PROGRAM).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-euc", f"{values}IMAGE={IMAGE}\n" + "".join(COMMANDS)],
        cwd=folder, env={"PATH": path, "HOME": str(folder / "home")},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_the_runbook_as_it_stands_there_ends_with_nothing_left(lab: Lab, tmp_path: Path) -> None:
    before = lab.snapshot("lab-1")
    done = _follow(lab, tmp_path / "by-hand")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in (tmp_path / "by-hand").iterdir()] == ["home"]
    assert lab.leaked("lab-1", before) == {}


def test_the_runbook_finds_what_is_left(lab: Lab, tmp_path: Path) -> None:
    folder = tmp_path / "left-over"
    labels = {"fleet": folder.name, "id": "0a1b2c3d", "name": f"{folder.name}-web", "uid": "0" * 32}
    words = [f"--label=dev.sandboxer.{key}={value}" for key, value in {**labels, "root": "/tmp/sandboxer"}.items()]
    left = lab.docker("lab-1", "run", "-d", *words, IMAGE, "sleep", "9999").stdout.strip()
    try:
        done = _follow(lab, folder)
    finally:
        lab.docker("lab-1", "rm", "-f", left)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{folder.name}-web (0a1b2c3d)" in done.stdout


@pytest.mark.parametrize("host", ["lab-1", "lab-3", "lab-4"], ids=["root", "no-root", "podman"])
def test_the_script_follows_the_runbook_step_by_step(lab: Lab, host: str, tmp_path: Path) -> None:
    before = lab.snapshot(host)
    with _start(lab, host, tmp_path / "scratch") as process:
        out, error = process.communicate(timeout=120)
    assert process.returncode == 0, out + error
    rest = out
    for title, commands in zip(TITLES[1:], COMMANDS, strict=True):
        shown = f"\n{title}\n{commands}"
        assert shown in rest, out
        rest = rest.partition(shown)[2]
    assert out.endswith(": all is well.\n")
    assert list((tmp_path / "scratch").iterdir()) == []
    assert lab.leaked(host, before) == {}


def test_the_script_removes_what_a_failure_left(lab: Lab, tmp_path: Path) -> None:
    before = lab.snapshot("lab-1")
    with _start(lab, "lab-1", tmp_path / "scratch", SMOKE_IMAGE="no-such-image:none") as process:
        out, error = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Removing what is left" in out
    assert "Traceback" not in error
    assert list((tmp_path / "scratch").iterdir()) == []
    assert lab.leaked("lab-1", before) == {}


def test_the_script_removes_what_ctrl_c_left(lab: Lab, tmp_path: Path) -> None:
    before = lab.snapshot("lab-1")
    had = lab.docker("lab-1", "ps", "-aq").stdout
    with _start(lab, "lab-1", tmp_path / "scratch") as process:
        until(lambda: lab.docker("lab-1", "ps", "-aq").stdout != had, "the container")
        os.killpg(process.pid, signal.SIGINT)
        out, error = process.communicate(timeout=120)
    assert process.returncode == 1, out + error
    assert "Traceback" not in error
    assert list((tmp_path / "scratch").iterdir()) == []
    assert lab.leaked("lab-1", before) == {}


def test_a_host_must_be_named() -> None:
    done = subprocess.run(["sh", SCRIPT, ""], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "usage: " in done.stderr
