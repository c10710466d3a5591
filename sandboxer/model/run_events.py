"""The events of a run: whatever happens in one reaches its sinks as one of these values.

Sinks are the terminal, the JSON log, the trace, State Hub's reporter, and whatever a caller of the library passes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from sandboxer.model.observed import Reachable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sandboxer.errors import SandboxerError
    from sandboxer.model.drift import DriftReport
    from sandboxer.model.event import Event
    from sandboxer.model.observed import Container, HostObservation
    from sandboxer.model.outcome import Outcome
    from sandboxer.model.plan import Change, HostStatus
    from sandboxer.model.record import Record

Level = Literal["info", "warning", "error"]
Redact: TypeAlias = Callable[[str, str], str]
"""Removes hidden values from a text: the first argument is the ID of the sandbox that it is about, or empty."""


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins: its ID, its command without options (``hub flush``, empty if none was read), and the time."""

    run_id: str
    command: str
    at: datetime


@dataclass(frozen=True, slots=True)
class FleetRead:
    """The manifests were read. ``redact`` hides the fleet's secrets and environment, as far as they are known."""

    fleet: str
    redact: Redact


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


@dataclass(frozen=True, slots=True)
class DriftCompared:
    """What runs was compared with what was applied."""

    report: DriftReport


@dataclass(frozen=True, slots=True)
class ChangeStarted:
    """A change begins."""

    change: Change


@dataclass(frozen=True, slots=True)
class ChangeProgressed:
    """A change reached a step: ``recording``, ``delivering``, ``starting``, ``destroying``.

    Or it waits for another client: the step then begins with ``WAITING``, and names that client.
    """

    change: Change
    step: str


@dataclass(frozen=True, slots=True)
class ChangeEnded:
    """A change ended, successfully or not. One that was blocked in the plan has not ``begun``."""

    outcome: Outcome
    begun: bool = True


@dataclass(frozen=True, slots=True)
class EventWritten:
    """A lifecycle event is in the journal on a host.

    ``record`` is the sandbox's record after it, with its containers once it is ready; None for an event of drift.
    """

    host: str
    event: Event
    record: Record | None = None
    containers: Sequence[Container] = ()


@dataclass(frozen=True, slots=True)
class RecordChanged:
    """A record on a host was changed without a lifecycle event: a later expiry."""

    host: str
    record: Record


@dataclass(frozen=True, slots=True)
class Message:
    """A message for people; ``host`` is the one that it is about, or empty."""

    level: Level
    text: str
    host: str = ""


@dataclass(frozen=True, slots=True)
class RunFailed:
    """Why the run ends, or cannot do what was requested."""

    error: SandboxerError


@dataclass(frozen=True, slots=True)
class RunFinished:
    """The run ended."""

    exit_code: int


RunEvent: TypeAlias = (
    RunStarted
    | FleetRead
    | ObservationStarted
    | HostObserved
    | ObservationEnded
    | DriftCompared
    | ChangeStarted
    | ChangeProgressed
    | ChangeEnded
    | EventWritten
    | RecordChanged
    | Message
    | RunFailed
    | RunFinished
)

Sink: TypeAlias = Callable[[RunEvent], None]
"""A receiver of events. It is called from several threads, one call at a time for each change, and raises nothing."""


def ignore(_event: RunEvent) -> None:
    """Ignore an event."""


def fan_out(*sinks: Sink) -> Sink:
    """Return a sink that passes each event to all of ``sinks``, in their order."""

    def emit(event: RunEvent) -> None:
        for sink in sinks:
            sink(event)

    return emit


def redacted(event: RunEvent, redact: Redact) -> RunEvent:
    """Return the event without hidden values in its texts, for sinks that write for programs."""
    match event:
        case ChangeProgressed(change, step):
            return ChangeProgressed(change, redact(change.id, step))
        case ChangeEnded(outcome):
            change = replace(outcome.change, message=redact(outcome.change.id, outcome.change.message))
            error, hint = (redact(change.id, text) for text in (outcome.error, outcome.hint))
            return replace(event, outcome=replace(outcome, change=change, error=error, hint=hint))
        case Message(_, text):
            return replace(event, text=redact("", text))
        case RunFailed(error):
            same = type(error).__new__(type(error))
            same.__dict__.update(error.__dict__)
            same.message, same.hint = redact("", error.message), redact("", error.hint)
            return RunFailed(same)
    return event


def status_of(observation: HostObservation) -> HostStatus:
    """Return the status of an observed host, as a plan names it."""
    if isinstance(observation, Reachable):
        return "unknown" if observation.error else "reachable"
    return "unknown" if observation.answered else "unreachable"
