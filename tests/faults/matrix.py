"""Shared parts of the fault matrix's rows: count the injected faults, and compare the result with a clean run.

A row is a test, or a file of tests, with the marker ``fault``: the fault and what must hold, in the words of the table
of ``docs/reliability.md``. It is quick unless ``SANDBOXER_FAULTS=full``; if ``SANDBOXER_FAULTS_FIGURES`` names a file,
it appends its results there.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from tests.faults import picture

if TYPE_CHECKING:
    from tests.faults.picture import Picture
    from tests.support.e2e import FleetRepo

FULL = os.environ.get("SANDBOXER_FAULTS") == "full"
FIGURES = "SANDBOXER_FAULTS_FIGURES"
CLEANUP_SECONDS = 15.0

# Left out of the quick form.
full_only = pytest.mark.skipif(not FULL, reason="only with SANDBOXER_FAULTS=full")

_T = TypeVar("_T")


def size(quick: _T, full: _T) -> _T:
    """Return how much of a row to run: ``full`` with ``SANDBOXER_FAULTS=full``, else ``quick``."""
    return full if FULL else quick


@dataclass
class Row:
    """One test of a row: its injected faults and its results. ``fault`` and ``must`` are the table's words."""

    fault: str
    must: str
    broken: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    most_found: dict[str, float] = field(default_factory=dict)
    leaked: int = 0
    doubled: int = 0
    _began: float = field(default_factory=time.monotonic)
    _now: threading.local = field(default_factory=threading.local)  # hosts may be broken in parallel

    def broke(self, what: str) -> None:
        """Count one injected fault; ``what`` identifies it for the reader of a failure."""
        self.broken.append(what)
        self._now.broken = what

    def measured(self, what: str) -> None:
        """Add a figure to the table's results, in words: ``lock free after 31.2 s``."""
        self.found.append(what)

    def most(self, what: str, figure: float) -> None:
        """Add the greatest of several figures; ``what`` has a place for it: ``{:.0f} s``."""
        self.most_found[what] = max(figure, self.most_found.get(what, 0.0))

    def clean(self, fleet: FleetRepo, *arguments: str) -> Picture:
        """Return the picture of a clean run of the committed fleet, from nothing; afterwards remove all of it.

        ``arguments`` go to ``apply``.
        """
        fleet.clean_up()
        fleet.apply(*arguments)
        clean = picture.steady(fleet)
        fleet.clean_up()
        return clean

    def recovered(self, fleet: FleetRepo, clean: Picture, *arguments: str) -> None:
        """Check that a rerun converges, that a plan then is empty, and that the hosts are as after a clean run.

        ``arguments`` go to ``apply`` and ``plan``. Things that are being removed have 15 s to go. Raise AssertionError
        if anything leaked, exists twice, is missing or differs.
        """
        fleet.apply("--lock-timeout", "60s", *arguments, drifts=True)
        self.is_ready(fleet, clean, *arguments)

    def is_ready(self, fleet: FleetRepo, clean: Picture, *arguments: str) -> None:
        """Check the same as ``recovered``, for hosts that have already converged."""
        planned = fleet.plan(*arguments, drifts=True)
        assert set(planned.actions.values()) <= {"no-op"}, f"{self._last}: {planned.data}"
        assert planned.data["complete"], f"{self._last}: {planned.data}"
        difference = picture.compare(clean, picture.take(fleet))
        deadline = time.monotonic() + CLEANUP_SECONDS
        while difference and time.monotonic() < deadline:
            time.sleep(0.2)
            difference = picture.compare(clean, picture.take(fleet))
        self.leaked += len(difference.leaked)
        self.doubled += len(difference.doubled)
        assert not difference, f"after {self._last}, this is not as after a clean run:\n{difference}"

    @property
    def _last(self) -> str:
        return getattr(self._now, "broken", "nothing was broken")

    def write(self, test: str, *, passed: bool) -> None:
        """Append the figures as a line of JSON to the file that ``SANDBOXER_FAULTS_FIGURES`` names, if it names one."""
        if not (path := os.environ.get(FIGURES)):
            return
        figures = {
            "fault": self.fault,
            "must": self.must,
            "test": test,
            "broken": len(self.broken),
            "leaked": self.leaked,
            "doubled": self.doubled,
            "found": self.found,
            "most": self.most_found,
            "seconds": round(time.monotonic() - self._began, 1),
            "passed": passed,
            "full": FULL,
        }
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")
