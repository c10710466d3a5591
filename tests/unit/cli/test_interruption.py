"""Ctrl-C in commands that change sandboxes: real processes and signals, on this machine as a host.

A change is in progress for as long as the test holds the sandbox's lock, as another client would.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest
import yaml

from sandboxer.cli.interruption import finishing_words, left_behind
from sandboxer.model.identity import sandbox_id
from sandboxer.model.lifecycle import Action, Health, Reason, Sync
from sandboxer.model.plan import Change
from tests.support.gitrepo import GitRepo
from tests.support.program import PROGRAM, run
from tests.support.unreachable import FLEET

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

API = "sandboxer.dev/v1"
NAMES = [f"web-{number}" for number in range(6)]  # a host changes four of them at once


@pytest.fixture
def fleet(tmp_path: Path) -> GitRepo:
    repo = GitRepo.create(tmp_path / "fleet")
    root = tmp_path / "root"
    documents = [
        {"kind": "Host", "metadata": {"name": "here"}, "spec": {"connection": "local", "root": str(root)}},
        {"kind": "Profile", "metadata": {"name": "p"}, "spec": {"extension": "ext.dir-ssh", "isolation": "directory"}},
        *({"kind": "Sandbox", "metadata": {"name": name}, "spec": {"profile": "p"}} for name in NAMES),
    ]
    repo.write("sandboxer.yaml", FLEET)
    repo.write("manifests/all.yaml", yaml.safe_dump_all([{"apiVersion": API, **one} for one in documents]))
    repo.commit()
    for folder in (root, root / "acme", root / "acme/.locks"):
        folder.mkdir(mode=0o700)
    return repo


@contextmanager
def locked(fleet: GitRepo, *names: str) -> Iterator[ExitStack]:
    """Hold the locks of sandboxes until the stack is closed."""
    with ExitStack() as stack:
        for name in names:
            path = fleet.path.parent / "root/acme/.locks" / sandbox_id("acme", name)
            file = stack.enter_context(path.open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield stack


@contextmanager
def started(fleet: GitRepo, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start the program; nothing of it is left at the end."""
    process = subprocess.Popen(
        ["env", "--default-signal=INT", PROGRAM, "-C", fleet.path, *words],
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: subprocess.Popen[str], pattern: str, times: int = 1) -> list[str]:
    """Return the lines of standard error up to the last of so many that match."""
    assert process.stderr is not None
    seen: list[str] = []
    while sum(bool(re.search(pattern, line)) for line in seen) < times:
        line = process.stderr.readline()
        assert line, "".join(seen)
        seen.append(line)
    return seen


WAITING = "waiting for another client"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_finishes_what_has_begun(fleet: GitRepo, number: signal.Signals) -> None:
    with locked(fleet, *NAMES) as locks, started(fleet, "apply", "-y") as process:
        lines_until(process, WAITING, times=4)
        process.send_signal(number)
        lines_until(process, "^Interrupted: finishing 4 changes; Ctrl-C again stops now.$")
        locks.close()
        out, err = process.communicate()
    assert process.returncode == 130, err
    assert out.splitlines()[-1].startswith("Applied: 4 created; 2 not begun. It took ")
    assert "Traceback" not in err
    listed = json.loads(run("-C", fleet.path, "list", "-o", "json").stdout)
    assert [one["phase"] for one in listed] == ["ready"] * 4
    assert run("-C", fleet.path, "apply", "-y").stdout.count("created") == 1


def test_the_outcomes_for_programs_are_those_that_there_are(fleet: GitRepo) -> None:
    with locked(fleet, *NAMES) as locks, started(fleet, "apply", "-y", "-o", "json") as process:
        lines_until(process, WAITING, times=4)
        process.send_signal(signal.SIGINT)
        lines_until(process, "finishing 4 changes")
        locks.close()
        out, _ = process.communicate()
    result = json.loads(out)
    assert (process.returncode, result["complete"], len(result["outcomes"])) == (130, False, 4)


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGINT, signal.SIGTERM)])
def test_the_second_stops_at_once_and_says_what_is_left(fleet: GitRepo, numbers: tuple[signal.Signals, ...]) -> None:
    with locked(fleet, *NAMES), started(fleet, "apply", "-y", "--target", "web-0") as process:
        lines_until(process, WAITING)
        process.send_signal(numbers[0])
        lines_until(process, "finishing 1 change; Ctrl-C again stops now")
        process.send_signal(numbers[1])
        out, err = process.communicate()
    assert process.returncode == 130
    assert "Applied" not in out
    assert f'Warning: sandbox "web-0" on host "here" was not changed: it was {WAITING}' in err


def test_a_list_of_names_ends_with_the_one_in_progress(fleet: GitRepo) -> None:
    assert run("-C", fleet.path, "apply", "-y").returncode == 0
    with locked(fleet, "web-1") as locks, started(fleet, "destroy", "web-0", "web-1", "web-2") as process:
        lines_until(process, WAITING)
        process.send_signal(signal.SIGINT)
        lines_until(process, "finishing 1 change")
        locks.close()
        out, _ = process.communicate()
    assert process.returncode == 130
    assert out.splitlines() == ["web-0: destroyed", "web-1: destroyed", "web-2: interrupted"]
    assert run("-C", fleet.path, "get", "web-2").returncode == 0


def test_one_sandbox_is_finished_and_shown(fleet: GitRepo) -> None:
    assert run("-C", fleet.path, "apply", "-y").returncode == 0
    with locked(fleet, "web-0") as locks, started(fleet, "recreate", "web-0") as process:
        lines_until(process, WAITING)
        process.send_signal(signal.SIGINT)
        lines_until(process, "finishing 1 change")
        locks.close()
        out, _ = process.communicate()
    assert process.returncode == 130
    assert out.startswith("web-0\n")


def test_a_later_expiry_is_written_or_not(fleet: GitRepo) -> None:
    assert run("-C", fleet.path, "apply", "-y").returncode == 0
    with locked(fleet, "web-0") as locks, started(fleet, "extend-ttl", "web-0", "1h") as process:
        lines_until(process, WAITING)
        process.send_signal(signal.SIGINT)
        lines_until(process, "finishing 1 change")
        locks.close()
        out, _ = process.communicate()
    assert process.returncode == 130
    assert "ends at" in out


# --- words


def change(action: Action, origin: str = "git") -> Change:
    return Change("web", "1f2e3d4c", "lab-1", action, Reason.CREATE_ABSENT, Sync.SYNCED, Health.MISSING, origin=origin)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "Interrupted: finishing; Ctrl-C again stops now."),
        (1, "Interrupted: finishing 1 change; Ctrl-C again stops now."),
        (2, "Interrupted: finishing 2 changes; Ctrl-C again stops now."),
    ],
)
def test_the_number_of_changes(count: int, words: str) -> None:
    assert finishing_words(count) == words


@pytest.mark.parametrize(
    ("given", "step", "parts"),
    [
        (change(Action.CREATE), "starting", ["stopped at the step `starting`", "the next apply finishes that"]),
        (change(Action.UPDATE), "", ["was stopped, and is on record", "`sandboxer destroy web`"]),
        (change(Action.CREATE, "api"), "recording", ["`sandboxer resume web` finishes that"]),
        (change(Action.REPLACE, "api"), "starting", ["`sandboxer recreate web` finishes that"]),
        (change(Action.DELETE), "destroying", ["may be partly removed", "the next apply finishes that"]),
        (change(Action.DELETE, "api"), "", ["`sandboxer destroy web` finishes that"]),
    ],
)
def test_what_is_left_behind(given: Change, step: str, parts: list[str]) -> None:
    text = left_behind(given, step)
    assert text.startswith('sandbox "web" on host "lab-1" ')
    for part in parts:
        assert part in text
