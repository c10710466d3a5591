"""The events of a run: whatever happens in one reaches its sinks as one of these values.

Sinks are the terminal, the JSON log, the trace, State Hub's reporter, and whatever a caller of the library passes.
"""

# Named tuples, for as many dataclasses would cost every command five milliseconds.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

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
ServiceState = Literal[
    "pulling",
    "building",
    "creating",
    "created",
    "starting",
    "started",
    "healthy",
    "unhealthy",
    "restarting",
    "paused",
    "stopping",
    "completed",
    "failed",
]
Redact: TypeAlias = Callable[[str, str], str]
"""Removes hidden values from a text: the first argument is the ID of the sandbox that it is about, or empty."""


class RunStarted(NamedTuple):
    """A run begins: its ID, its command without options (``hub flush``, empty if none was read), and the time."""

    run_id: str
    command: str
    at: datetime


class FleetRead(NamedTuple):
    """The manifests were read. ``redact`` hides the fleet's secrets and environment, as far as they are known."""

    fleet: str
    redact: Redact


class ObservationStarted(NamedTuple):
    """This many hosts are about to be observed."""

    hosts: int


class HostObserved(NamedTuple):
    """The observation of a host ended, successfully or not, after ``seconds``."""

    observation: HostObservation
    seconds: float


class ObservationEnded(NamedTuple):
    """The observation of the hosts is over, or was given up."""


class DriftCompared(NamedTuple):
    """What runs was compared with what was applied."""

    report: DriftReport


class ChangeStarted(NamedTuple):
    """A change begins."""

    change: Change


class ChangeProgressed(NamedTuple):
    """A change reached a step: ``recording``, ``delivering``, ``building``, ``starting``, ``destroying``.

    Or it waits for another client: the step then begins with ``WAITING``, and names that client.
    """

    change: Change
    step: str


class ServiceProgressed(NamedTuple):
    """A service of a sandbox reached a state while a change is in progress; it informs, and nothing depends on it.

    ``detail`` is more of the state in a few words, such as the step of a build.
    """

    change: Change
    service: str
    state: ServiceState
    detail: str = ""


class ChangeEnded(NamedTuple):
    """A change ended, successfully or not. One that was blocked in the plan has not ``begun``."""

    outcome: Outcome
    begun: bool = True


class EventWritten(NamedTuple):
    """A lifecycle event is in the journal on a host.

    ``record`` is the sandbox's record after it, with its containers once it is ready; None for an event of drift.
    """

    host: str
    event: Event
    record: Record | None = None
    containers: Sequence[Container] = ()


class RecordChanged(NamedTuple):
    """A record on a host was changed without a lifecycle event: a later expiry."""

    host: str
    record: Record


class Message(NamedTuple):
    """A message for people; ``host`` is the one that it is about, or empty."""

    level: Level
    text: str
    host: str = ""


class RunFailed(NamedTuple):
    """Why the run ends, or cannot do what was requested."""

    error: SandboxerError


class RunFinished(NamedTuple):
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
    | ServiceProgressed
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
        case ServiceProgressed(change, _, _, detail):
            return event._replace(detail=redact(change.id, detail))
        case ChangeEnded(outcome):
            change = replace(outcome.change, message=redact(outcome.change.id, outcome.change.message))
            error, hint = (redact(change.id, text) for text in (outcome.error, outcome.hint))
            return event._replace(outcome=replace(outcome, change=change, error=error, hint=hint))
        case Message(_, text):
            return event._replace(text=redact("", text))
        case RunFailed(error):
            return RunFailed(without_hidden(error, redact))
    return event


def without_hidden(error: SandboxerError, redact: Redact) -> SandboxerError:
    """Return the same error without hidden values in its message and hint."""
    same = type(error).__new__(type(error))
    same.__dict__.update(error.__dict__)
    same.message, same.hint = redact("", error.message), redact("", error.hint)
    return same


def status_of(observation: HostObservation) -> HostStatus:
    """Return the status of an observed host, as a plan names it."""
    from sandboxer.model.observed import Reachable

    if isinstance(observation, Reachable):
        return "unknown" if observation.error else "reachable"
    return "unknown" if observation.answered else "unreachable"
