"""Who is told what a command does while it runs: a log, a trace."""

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
    """The begin of a run: its id, its command without options (``hub flush``, empty where none was read), and when."""

    run_id: str
    command: str
    at: datetime


class RunListener(ApplyView, Protocol):
    """Is told of one run after another, from ``begun`` to ``over``. Called from several threads; raises nothing."""

    def begun(self, beginning: RunStart) -> None:
        """A run begins."""

    def of_fleet(self, fleet: str) -> None:
        """The manifests were read, and this is the fleet's name."""

    def hosts_observed(self, observation: HostObservation, seconds: float) -> None:
        """The look at a host is over, well or not, after so many seconds."""

    def compared(self, report: DriftReport) -> None:
        """What runs was compared with what was applied."""

    def said(self, level: Level, message: str, host: str) -> None:
        """A sentence for whoever watches; ``host`` is the one that it is about, or empty."""

    def failed(self, error: SandboxerError) -> None:
        """The run ends, or cannot do what it was asked for, for this reason."""

    def over(self, exit_code: int) -> None:
        """The run is over."""


def status_of(observation: HostObservation) -> HostStatus:
    """Return what a look says of its host, in a plan's words."""
    if isinstance(observation, Reachable):
        return "unknown" if observation.error else "reachable"
    return "unknown" if observation.answered else "unreachable"
