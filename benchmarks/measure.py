"""Measurement of a program's time and memory, and paired comparison of two in one run."""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.lab import Lab


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds from start to end, and the peak of resident memory in MiB."""

    seconds: float
    mebibytes: float


def take(words: Sequence[str | Path]) -> Taken:
    """Run a program to its end and discard its output. Raise SystemExit if it does not exit with 0."""
    began = time.monotonic()
    null = os.open(os.devnull, os.O_WRONLY)
    actions = [(os.POSIX_SPAWN_DUP2, null, 1)]
    # An installed program has its bytecode: the first, uncounted run of each writes it.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    child = os.posix_spawn(str(words[0]), [str(word) for word in words], environment, file_actions=actions)
    _, status, usage = os.wait4(child, 0)
    os.close(null)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(map(str, words))} exited {os.waitstatus_to_exitcode(status)}")
    return Taken(time.monotonic() - began, usage.ru_maxrss / 1024)


def compare(
    floor: Callable[[], Taken], ours: Callable[[], Taken], *, pairs: int
) -> tuple[list[Taken], list[Taken], float]:
    """Measure both in turn, ``pairs`` times; return both series, and the median of the pairs' ratios."""
    floors, mine = [], []
    floor(), ours()
    for _ in range(pairs):
        floors.append(floor())
        mine.append(ours())
    ratios = [b.seconds / a.seconds for a, b in zip(floors, mine, strict=True)]
    return floors, mine, statistics.median(ratios)


def median(taken: Sequence[Taken]) -> float:
    """Return the median of the seconds."""
    return statistics.median(each.seconds for each in taken)


def floor_program(lab: Lab, commands: Sequence[Sequence[str]]) -> tuple[list[str | Path], Path]:
    """Return the command line of ``benchmarks.floor`` on the lab's hosts, and the file that it reads."""
    hosts = [
        {
            "address": host.address,
            "port": host.port,
            "user": host.user,
            "key": str(lab.identity_file),
            "known_hosts": str(lab.known_hosts),
        }
        for host in lab.hosts
    ]
    descriptor, name = tempfile.mkstemp(suffix=".json", prefix="sandboxer-floor-")
    with os.fdopen(descriptor, "w") as file:
        json.dump({"hosts": hosts, "commands": commands}, file)
    return [sys.executable, "-m", "benchmarks.floor", name], Path(name)
