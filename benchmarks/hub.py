"""``python -m benchmarks.hub``: an apply with a State Hub that hangs, as a ratio to one without a hub.

Both create the same 12 sandboxes on 4 hosts. The hub accepts each connection and each request, and never answers. Every
round begins and ends on clean hosts.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.apply import clear
from benchmarks.fleet import PROGRAM, SANDBOXES, fleet, git
from benchmarks.measure import compare, median, take
from tests.support.hubs import HANGS, TOKEN, LyingHub

if TYPE_CHECKING:
    from benchmarks.measure import Taken
    from tests.lab import Lab

HOSTS, PAIRS = 4, 9
_HUB = "spec: {{stateHub: {{url: '{url}', token: 'env:BENCHMARK_HUB_TOKEN'}}}}\n"


def _with_hub(folder: Path, clone: Path, url: str) -> Path:
    """Return a clone of the fleet that has a State Hub."""
    git(folder, "clone", "-q", ".", str(clone))
    manifest = clone / "sandboxer.yaml"
    manifest.write_text(manifest.read_text() + _HUB.format(url=url))
    git(clone, "commit", "-q", "-a", "-m", "The fleet has a State Hub")
    return clone


def _fresh(lab: Lab, folder: Path) -> Taken:
    taken = take([PROGRAM, "-C", folder, "apply", "-y", "-o", "json"])
    clear(lab)
    return taken


def main() -> None:
    """Measure, and print one line of figures."""
    os.environ["BENCHMARK_HUB_TOKEN"] = TOKEN
    with (
        fleet(docker=HOSTS) as (lab, folder),
        tempfile.TemporaryDirectory(prefix="sandboxer-bench-") as name,
        LyingHub(otherwise=HANGS) as hub,
    ):
        with_hub = _with_hub(folder, Path(name, "fleet"), hub.url)
        none, hung, ratio = compare(lambda: _fresh(lab, folder), lambda: _fresh(lab, with_hub), pairs=PAIRS)
        assert hub.requests, "the hub received nothing"
    print(
        f"apply, {SANDBOXES} fresh sandboxes on {len(lab.hosts)} hosts, with a State Hub that hangs: "
        f"{ratio:.2f} x one without (median of {PAIRS} pairs; {median(hung):.2f} s to {median(none):.2f} s)"
    )


if __name__ == "__main__":
    main()
