"""The events of a run, as values: whatever happens in one reaches its sinks as one of these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from sandboxer.model.observed import HostObservation


@dataclass(frozen=True, slots=True)
class FleetRead:
    """The manifests were read. ``redact`` removes hidden values from a text about the sandbox with an id, or any."""

    fleet: str
    redact: Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class ObservationStarted:
    """This many hosts are about to be observed."""

    hosts: int


@dataclass(frozen=True, slots=True)
class HostObserved:
    """The observation of a host ended, successfully or not, after ``seconds``."""

    observation: HostObservation
    seconds: float


@dataclass(frozen=True, slots=True)
class ObservationEnded:
    """The observation of the hosts is over, or was given up."""


RunEvent: TypeAlias = FleetRead | ObservationStarted | HostObserved | ObservationEnded

Sink: TypeAlias = Callable[[RunEvent], None]
"""A receiver of events, called from several threads; it raises nothing."""


def ignore(_event: RunEvent) -> None:
    """Ignore an event."""
