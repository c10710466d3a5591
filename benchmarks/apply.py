"""``python -m benchmarks.apply``: a fresh apply of 12 sandboxes on 4 hosts, as a ratio to the floor.

The floor is the same 12 ``docker compose up --wait``, run directly over the same number of connections, in parallel;
the files are already on the hosts. Interpreter start counts on both sides. Every round begins and ends on clean hosts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.fleet import COMPOSE, PROGRAM, SANDBOXES, fleet, git
from benchmarks.measure import compare, floor_program, median, take

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.measure import Taken
    from tests.lab import Lab

HOSTS, PAIRS = 4, 7
_HOME = "/tmp/by-hand"


def _put_by_hand(lab: Lab) -> list[list[str]]:
    for host in lab.hosts:
        lab.exec(host, ["mkdir", "-p", f"{_HOME}/www"])
        lab.exec(host, ["tee", f"{_HOME}/compose.yaml"], input=COMPOSE)
        lab.exec(host, ["tee", f"{_HOME}/www/index.html"], input="measured\n")
    numbers = range(SANDBOXES)
    up = "cd {} && docker compose -p by-hand-{} up -d --wait"
    return [[up.format(_HOME, n) for n in numbers if n % len(lab.hosts) == at] for at in range(len(lab.hosts))]


def clear(lab: Lab) -> None:
    """Clean the hosts directly, so that no round finds leftovers of another one."""
    for host in lab.hosts:
        ids = lab.docker(host, "ps", "-aq").stdout.split()
        if ids:
            lab.docker(host, "rm", "-f", "-v", *ids)
        lab.docker(host, "network", "prune", "-f")
        lab.exec(host, ["rm", "-rf", "/tmp/sandboxer"])


def _fresh(lab: Lab, words: list[str | Path]) -> Taken:
    taken = take(words)
    clear(lab)
    return taken


def main() -> None:
    """Measure, and print one line of figures."""
    with fleet(docker=HOSTS) as (lab, folder):
        git(folder, "gc", "-q")
        words, file = floor_program(lab, _put_by_hand(lab))
        apply: list[str | Path] = [PROGRAM, "-C", folder, "apply", "-y", "-o", "json"]
        try:
            floors, applies, ratio = compare(lambda: _fresh(lab, words), lambda: _fresh(lab, apply), pairs=PAIRS)
        finally:
            file.unlink()
    print(
        f"apply, {SANDBOXES} fresh sandboxes on {len(lab.hosts)} hosts: {ratio:.2f} x the floor "
        f"(median of {PAIRS} pairs; {median(applies):.2f} s to {median(floors):.2f} s)"
    )


if __name__ == "__main__":
    main()
