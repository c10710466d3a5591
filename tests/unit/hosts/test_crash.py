"""Crash points kill the process that passes them, and nothing else, and only on request."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
from sandboxer.hosts.crash import crash_point
for step in ("begin", "put", "put"):
    crash_point(f"{step}.before"); print(step, flush=True); crash_point(f"{step}.after")
"""


def run(value: str | None) -> subprocess.CompletedProcess[str]:
    env = {} if value is None else {"SANDBOXER_CRASH_AT": value}
    return subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("value", [None, "", "no.such", "put.after#3"])
def test_inert_unless_the_point_is_passed(value: str | None) -> None:
    done = run(value)
    assert (done.returncode, done.stdout.split()) == (0, ["begin", "put", "put"])


@pytest.mark.parametrize(
    ("value", "did"),
    [("begin.before", []), ("put.after", ["begin", "put"]), ("put.before#2", ["begin", "put"])],
)
def test_killed_at_the_named_point(value: str, did: list[str]) -> None:
    done = run(value)
    assert (done.returncode, done.stdout.split()) == (-signal.SIGKILL, did)


def test_what_is_passed_can_be_written_down(tmp_path: Path) -> None:
    notes = tmp_path / "points"
    assert run(f"@{notes}").returncode == 0
    assert notes.read_text().split() == [
        "begin.before#1",
        "begin.after#1",
        "put.before#1",
        "put.after#1",
        "put.before#2",
        "put.after#2",
    ]
