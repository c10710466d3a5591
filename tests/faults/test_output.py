"""A host that prints without end, hangs, or prints binary data: reported within bounds of time and memory."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults.matrix import size
from tests.support.e2e import FleetRepo, service, stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.matrix import Row

pytestmark = [
    pytest.mark.lab,
    pytest.mark.fault("output without end, a command that hangs, bytes that are not UTF-8", "bounded time and memory"),
]

MEMORY = 300  # MiB of the client, whatever a host prints
SECONDS = 150.0  # for one apply, whatever a host does not do

WAYS = {
    "prints without end": "exec yes 'more of it'",
    "prints what is no text": r"printf '\377\376\300\200\n{\"\355\240\200'; exit 1",
    "prints one line without end": "exec cat /dev/zero",
    "hangs": "exec sleep 1000",
}
QUICK = 2  # of them
DOCKER = "/usr/local/bin/docker"
COMPOSE = "/usr/local/lib/docker/cli-plugins/docker-compose"


@dataclass(frozen=True)
class Step:
    """What a host does otherwise: the program at ``path``, where one of its words is ``word``."""

    path: str
    word: str
    real: str


STEPS = {
    "the observation": Step(DOCKER, "ps", "/usr/bin/docker"),
    "the reading of the compose file": Step(COMPOSE, "config", f"{COMPOSE}.aside"),
    "the start": Step(COMPOSE, "up", f"{COMPOSE}.aside"),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_host_that_answers_badly(fleet: FleetRepo, row: Row, step: str) -> None:
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    # Docker's client is used instead of its API where a context could lead elsewhere.
    fleet.sh("lab-1", 'mkdir -p ~/.docker; echo \'{"currentContext": "default"}\' >~/.docker/config.json')
    try:
        clean = row.clean(fleet)
        for way in list(WAYS)[: size(QUICK, None)]:
            if step == "the start" and way == "hangs":
                continue  # a start may take long: images are pulled and built
            with _otherwise(fleet, STEPS[step], WAYS[way]):
                row.broke(f"{step}: {way}")
                _assert_bounded(_apply(fleet), row)
            row.recovered(fleet, clean)
            fleet.clean_up()
    finally:
        fleet.sh("lab-1", "rm -rf ~/.docker")


def test_a_service_that_prints_one_long_line(fleet: FleetRepo, row: Row) -> None:
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    clean = row.clean(fleet)
    check = {"test": ["CMD", "false"], "interval": "1s", "retries": 1}
    shouting = service("sh", "-c", r"head -c 20000000 /dev/zero | tr '\0' '\377'; sleep 9999", healthcheck=check)
    fleet.sandbox("one", stack(a=shouting))
    fleet.commit()
    row.broke("a service that prints 20 MB in one line, of bytes that are not UTF-8")
    end = _apply(fleet)
    _assert_bounded(end, row)
    assert "unhealthy" in end.output
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    row.recovered(fleet, clean)


@dataclass(frozen=True)
class End:
    """How a run of the program ended: its exit code, what it wrote, how long it took and what memory it had at most."""

    code: int
    output: str
    seconds: float
    mebibytes: float


def _assert_bounded(end: End, row: Row) -> None:
    assert end.code == 1, end.output
    assert "Traceback" not in end.output
    assert "lab-1" in end.output
    assert len(end.output) < 64 * 1024
    assert end.seconds < SECONDS
    assert end.mebibytes < MEMORY
    row.most("{:.0f} s", end.seconds)
    row.most("{:.0f} MiB of memory", end.mebibytes)


def _apply(fleet: FleetRepo) -> End:
    began, peak = time.monotonic(), 0
    with fleet.start("apply", "-y", "--lock-timeout", "10s") as process, ThreadPoolExecutor() as pool:
        output = pool.submit(process.communicate, timeout=2 * SECONDS)
        status = Path(f"/proc/{process.pid}/status")
        while not output.done():
            with suppress(FileNotFoundError, ProcessLookupError):  # it may end, and be reaped, at any moment
                found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
                peak = max(peak, int(found[1]) if found else 0)
            time.sleep(0.02)
        printed = "".join(output.result())
    return End(process.returncode, printed, time.monotonic() - began, peak / 1024)


@contextmanager
def _otherwise(fleet: FleetRepo, step: Step, script: str) -> Iterator[None]:
    """On lab-1 a program does something else when it is called for this step."""
    text = f'#!/bin/sh\ncase " $* " in *" {step.word} "*) {script} ;; esac\nexec {step.real} "$@"\n'
    aside = f"{step.path}.aside"
    fleet.sh("lab-1", f"[ ! -e {step.path} ] || mv {step.path} {aside}")
    fleet.lab.exec("lab-1", ["sh", "-c", f"cat >{step.path} && chmod 755 {step.path}"], input=text)
    try:
        yield
    finally:
        fleet.sh("lab-1", f"rm -f {step.path}; [ ! -e {aside} ] || mv {aside} {step.path}")
