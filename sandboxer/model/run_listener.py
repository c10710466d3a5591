"""The protocol of listeners to a run, such as a log or a trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from sandboxer.model.observed import Reachable
from sandboxer.model.outcome import ApplyView

if TYPE_CHECKING:
    from datetime import datetime

    from sandboxer.errors import SandboxerError
    from sandboxer.model.drift import DriftReport
    from sandboxer.model.observed import HostObservation
    from sandboxer.model.plan import HostStatus

Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class RunStart:
    """The start of a run: its ID, its command without options (``hub flush``, empty if none was read), and the time."""

    run_id: str
    command: str
    at: datetime


class RunListener(ApplyView, Protocol):
    """A listener to one run after another, from ``begun`` to ``over``. Called from several threads; raises nothing."""

    def begun(self, beginning: RunStart) -> None:
        """Report that a run begins."""

    def of_fleet(self, fleet: str) -> None:
        """Report the fleet's name, once the manifests were read."""

    def hosts_observed(self, observation: HostObservation, seconds: float) -> None:
        """Report that the observation of a host ended, successfully or not, and how long it took."""

    def compared(self, report: DriftReport) -> None:
        """Report the comparison of what runs with what was applied."""

    def said(self, level: Level, message: str, host: str) -> None:
        """Report a message for people; ``host`` is the one that it is about, or empty."""

    def failed(self, error: SandboxerError) -> None:
        """Report why the run ends, or cannot do what was requested."""

    def over(self, exit_code: int) -> None:
        """Report that the run ended."""


def status_of(observation: HostObservation) -> HostStatus:
    """Return the status of an observed host, as a plan names it."""
    if isinstance(observation, Reachable):
        return "unknown" if observation.error else "reachable"
    return "unknown" if observation.answered else "unreachable"
