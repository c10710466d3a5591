"""Events: the lines of a sandbox's journal, which are also reported to State Hub."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from sandboxer.model.failure import Failure
from sandboxer.model.jsontypes import canonical
from sandboxer.model.lifecycle import Phase, may_follow
from sandboxer.model.timestamp import Utc

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sandboxer.model.plan import FieldChange
    from sandboxer.model.record import Record

SANDBOX_EVENT = "dev.sandboxer.sandbox."
DESTROYED_EVENT = SANDBOX_EVENT + Phase.DESTROYED
FAILED_EVENT = SANDBOX_EVENT + Phase.FAILED
DRIFT_DETECTED = "dev.sandboxer.drift.detected"
DRIFT_RESOLVED = "dev.sandboxer.drift.resolved"
JOURNAL_GAP = "dev.sandboxer.journal.gap"
MOST_DRIFT, MOST_PATH, MOST_DRIFT_BYTES = 100, 1000, 64 * 1024


class Drifted(BaseModel):
    """One field that is not as it was applied, as a plan shows it; neither a secret nor an environment value."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    path: str = Field(description="The path of the field.")
    old: JsonValue = Field(None, description="The applied value.")
    new: JsonValue = Field(None, description="The observed value.")


class Event(BaseModel):
    """One line of a journal. ``number`` counts the events of one life (``uid``); ``at`` is the runner's clock, in UTC.

    ``from_phase`` is None at the beginning of a life, after a loss, and where no phase changed. ``reason`` is that of
    the planned change, or says why in a sentence where none was planned. ``commit`` is the applied commit of the fleet,
    ``input_commit`` that of the input. ``drift`` is of a ``drift.detected`` alone, at most 100 fields and 64 KiB;
    ``error`` is of a ``sandbox.failed`` alone, and says why.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    number: int = Field(ge=1)
    type: str
    uid: str
    at: Utc
    phase: Phase
    from_phase: Phase | None = None
    reason: str
    fleet: str
    sandbox_id: str
    name: str
    profile_id: str
    extension_id: str
    host: str
    consumer: str | None = None
    actor_type: Literal["adm", "agt", "atm"] | None = None
    commit: str | None = None
    input_commit: str | None = None
    expires_at: Utc | None = None
    drift: tuple[Drifted, ...] | None = None
    error: Failure | None = None

    @property
    def id(self) -> str:
        """The same whenever the event is sent: SHA-256 of the life's uid and the event's number."""
        return hashlib.sha256(f"{self.uid}/{self.number}".encode()).hexdigest()

    def to_line(self) -> str:
        """Return its line in ``journal.jsonl``, without the line break."""
        without = {key for key in ("drift", "error", "input_commit") if getattr(self, key) is None}
        return canonical(self.model_dump(mode="json", exclude=without)).decode()

    def halves(self) -> tuple[str, str]:
        """Return the parts of the line before and after its number, for a host that numbers it."""
        mark = 10**15 + secrets.randbelow(10**15)
        before, _, behind = self.model_copy(update={"number": mark}).to_line().partition(str(mark))
        return before, behind


def events_of(
    record: Record, through: Sequence[Phase], *, former: Phase | None, after: int, at: datetime, reason: str
) -> list[Event]:
    """Return the events of a life that passes ``through`` these phases, numbered from ``after`` + 1.

    ``former`` is the phase before them; None begins a life. Raise ValueError for a transition that no life makes.
    """
    events = []
    for number, phase in enumerate(through, after + 1):
        if not may_follow(former, phase):
            raise ValueError(f"{record.name}: a sandbox does not go from {former or 'nothing'} to {phase}")
        events.append(_event(record, number, SANDBOX_EVENT + phase, phase, former, at, reason))
        former = phase
    return events


def gap_then(record: Record, phase: Phase, *, at: datetime, reason: str) -> list[Event]:
    """Return the first events of a journal that begins in the middle of a life, because the former one is lost.

    The number of lost events is unknown: these are numbered from the time in seconds on, which no count reaches.
    """
    number = int(at.timestamp())
    return [
        _event(record, number, JOURNAL_GAP, phase, None, at, "its journal is lost"),
        _event(record, number + 1, SANDBOX_EVENT + phase, phase, None, at, reason),
    ]


def drift_event(record: Record, drift: Sequence[FieldChange], *, at: datetime, reason: str) -> Event:
    """Return the event of drift that changed: all that is there now, or that it is resolved.

    The host numbers it.
    """
    fields = tuple(_drifted(drift))
    kind = DRIFT_DETECTED if fields else DRIFT_RESOLVED
    event = _event(record, 1, kind, record.phase, None, at, reason)
    return event.model_copy(update={"drift": fields or None})


def _drifted(drift: Sequence[FieldChange]) -> Iterator[Drifted]:
    """Yield as much of the drift as a hub accepts at once: a name on a host may have any length."""
    room = MOST_DRIFT_BYTES
    for one in drift[:MOST_DRIFT]:
        entry = Drifted(path=one.path[:MOST_PATH], old=one.old, new=one.new)
        room -= len(entry.model_dump_json().encode())
        if room < 0:
            return
        yield entry


def last_number(tail: bytes) -> int:
    """Return the number of the last complete event at the end of a journal; 0 without one.

    A torn line is not an event.
    """
    for line in reversed(tail.splitlines()):
        try:
            return Event.model_validate_json(line).number
        except ValueError:
            continue
    return 0


def _event(
    record: Record, number: int, kind: str, phase: Phase, former: Phase | None, at: datetime, reason: str
) -> Event:
    return Event(
        number=number,
        type=kind,
        uid=record.uid,
        at=at,
        phase=phase,
        from_phase=former,
        reason=reason,
        fleet=record.fleet,
        sandbox_id=record.id,
        name=record.name,
        profile_id=record.profile,
        extension_id=record.extension,
        host=record.host,
        consumer=record.consumer.project if record.consumer else None,
        actor_type=record.consumer.actor if record.consumer else None,
        commit=record.fleet_commit,
        input_commit=record.inputs.commit if record.inputs else None,
        expires_at=record.expires_at,
        error=record.error if kind == FAILED_EVENT else None,
    )
