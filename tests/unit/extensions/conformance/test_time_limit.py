"""A backend that hangs fails at its rule, and nothing of it is left: no thread, no process, no sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandboxer.extensions.conformance import __main__ as program
from sandboxer.extensions.conformance import limit
from sandboxer.extensions.conformance.runner import RULES, run
from sandboxer.extensions.conformance.subject import read_subject
from tests.support.example import EXAMPLE
from tests.support.fleet import ROOT
from tests.unit.extensions.conformance import hanging

if TYPE_CHECKING:
    from sandboxer.extensions.conformance.limit import TimeLimit
    from sandboxer.extensions.conformance.runner import Result

SECONDS = 2.0


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the numbers of what hung."""
    monkeypatch.setenv(hanging.NOTES, str(tmp_path / "notes"))
    return tmp_path / "notes"


def results(backend: hanging.FolderBackend, fleet: Path, *names: str, seconds: float = SECONDS) -> list[Result]:
    rules = [rule for rule in RULES if rule.name in names]
    return list(run(read_subject(fleet, backend=backend), rules, 2, seconds))


def ended(notes: Path) -> list[int]:
    """Return the numbers of what hung, once all of it is gone. Fail if it is not."""
    numbers = [int(line) for line in notes.read_text().split()]
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{number}").exists() for number in numbers):
        assert time.monotonic() < deadline, f"{numbers} are not gone"
        time.sleep(0.05)
    return numbers


def test_a_backend_that_hangs_fails_at_the_rule_and_where_it_hung_is_stated(fleet: Path, notes: Path) -> None:
    rule = "provision-returns-once-ready"
    (result,) = results(hanging.Hangs(), fleet, rule)
    assert result.outcome == "failed"
    assert result.detail.startswith(f"{rule} did not end within 2 s: it was in `hang`, {hanging.__file__}:")
    assert ended(notes)


def test_its_threads_end(fleet: Path, notes: Path) -> None:
    (result,) = results(hanging.Hangs(), fleet, "threads-do-not-disturb-each-other")
    assert result.outcome == "failed"
    assert result.detail.startswith("threads-do-not-disturb-each-other did not end within 2 s")
    assert ended(notes)


def test_its_command_on_the_host_ends(fleet: Path, notes: Path) -> None:
    (result,) = results(hanging.HangsOnTheHost(), fleet, "provision-returns-once-ready")
    assert result.outcome == "failed"
    assert result.detail.startswith("provision-returns-once-ready did not end within 2 s")
    assert ended(notes)


def test_a_run_that_was_to_be_killed_and_hangs_is_killed(fleet: Path, notes: Path) -> None:
    (result,) = results(hanging.Hangs(), fleet, "killed-provision-is-finished")
    assert result.detail.startswith("killed-provision-is-finished did not end within 2 s")
    assert ended(notes)


def test_what_takes_no_notice_of_the_limit_is_killed(fleet: Path, notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "GRACE_SECONDS", 0.5)
    rule = "provision-returns-once-ready"
    (result,) = results(hanging.HangsWhateverHappens(), fleet, rule)
    assert result.outcome == "failed"
    assert result.detail.startswith(f"{rule} could not be checked: it went on after its time limit of 2 s")
    assert ended(notes)


def test_a_backend_that_ends_its_process_fails_and_the_others_go_on(fleet: Path) -> None:
    names = ("provision-returns-once-ready", "teardown-of-nothing-succeeds")
    first, second = results(hanging.EndsItsProcess(), fleet, *names, seconds=60)
    assert (first.outcome, second.outcome) == ("failed", "passed")
    assert first.detail == f"{names[0]} could not be checked: its process ended with exit code 3"


def test_the_limit_is_of_each_part_of_a_rule() -> None:
    def work(limit: TimeLimit) -> tuple[str, str]:
        with limit:
            for _ in range(4):
                limit.renew()
                time.sleep(0.5)
        return "passed", ""

    began = time.monotonic()
    assert limit.in_process(work, 1.5) == ("passed", "")
    assert time.monotonic() - began > 1.5


def test_the_program_ends_by_its_option(fleet: Path, tmp_path: Path, notes: Path) -> None:
    installed = tmp_path / "installed"
    (installed / "hanging-1.0.dist-info").mkdir(parents=True)
    (installed / "hanging-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: hanging\nVersion: 1.0\n")
    point = "[sandboxer.extensions]\nfolder = tests.unit.extensions.conformance.hanging:HangsInAThread\n"
    (installed / "hanging-1.0.dist-info/entry_points.txt").write_text(point)
    paths = os.pathsep.join(map(str, (installed, EXAMPLE, ROOT)))
    words = [str(fleet), "-k", "provision-returns-once-ready", "--timeout", "2.5"]
    done = subprocess.run(
        [sys.executable, "-m", "sandboxer.extensions.conformance", *words],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": paths, hanging.NOTES: str(notes)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert "  observed: provision-returns-once-ready did not end within 2.5 s" in done.stdout
    assert ended(notes)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_a_limit_that_is_none_is_refused(text: str, fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        program.main([str(fleet), f"--timeout={text}"])
    assert refused.value.code == 2
    assert f"{text!r} is no number above 0, and at most 86400" in capsys.readouterr().err
