"""``python -m benchmarks.plan``: a no-op plan of 12 sandboxes on 4 hosts, as a ratio to the floor.

The floor is a Python program that opens the same number of paramiko connections in parallel, each running ``docker ps
-a``. Interpreter start counts on both sides. It measures hosts with Docker alone, and hosts with both engines.
"""

from __future__ import annotations

from benchmarks.fleet import PROGRAM, SANDBOXES, fleet, sandboxer
from benchmarks.measure import compare, floor_program, median, take

HOSTS, PAIRS = 4, 15


def measure(what: str, **engines: int) -> None:
    """Start hosts and sandboxes, and print one line of figures."""
    with fleet(**engines) as (lab, folder):
        sandboxer(folder, "apply", "-y")
        words, file = floor_program(lab, [["docker ps -a"]] * len(lab.hosts))
        try:
            floors, plans, ratio = compare(
                lambda: take(words), lambda: take([PROGRAM, "-C", folder, "plan", "-o", "json"]), pairs=PAIRS
            )
        finally:
            file.unlink()
    print(
        f"plan, {SANDBOXES} sandboxes on {len(lab.hosts)} hosts with {what}: {ratio:.2f} x the floor "
        f"(median of {PAIRS} pairs; {median(plans):.2f} s to {median(floors):.2f} s), "
        f"peak {max(each.mebibytes for each in plans):.0f} MiB"
    )


if __name__ == "__main__":
    measure("Docker alone", docker=HOSTS)
    measure("both engines", both=HOSTS)
