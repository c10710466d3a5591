"""How many hosts have answered, on a terminal and while they are observed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sandboxer.model.run_events import HostObserved, ObservationEnded, ObservationStarted

if TYPE_CHECKING:
    from rich.status import Status

    from sandboxer.model.run_events import RunEvent


class ObservationStatus:
    """A sink of events that shows a line on standard error, which disappears at the end."""

    def __init__(self) -> None:
        self._status: Status | None = None
        self._answered = self._hosts = 0

    def __call__(self, event: RunEvent) -> None:
        """Show the line, update it, or remove it."""
        match event:
            case ObservationStarted(hosts) if sys.stderr.isatty():
                from sandboxer.cli.console import stderr

                self._answered, self._hosts = 0, hosts
                self._status = stderr().status("Observing the hosts …")
                self._status.start()
            case HostObserved() if self._status is not None:
                self._answered += 1
                self._status.update(f"Observing the hosts: {self._answered} of {self._hosts} …")
            case ObservationEnded() if self._status is not None:
                self._status.stop()
                self._status = None
