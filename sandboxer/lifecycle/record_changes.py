"""Changes of a sandbox's record alone, under its lock: a later expiry, in use, given up."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sandboxer.errors import ObservationIncomplete, StaleChange, UsageError
from sandboxer.errors.cause import Cause
from sandboxer.extensions.failures import failure_of
from sandboxer.hosts.session import HostSession
from sandboxer.model.event import events_of, last_number
from sandboxer.model.lifecycle import Phase
from sandboxer.model.record import RecordRefused, parse_record
from sandboxer.model.text import named
from sandboxer.reconcile.expiry import extended, kept_alive

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from sandboxer.extensions.base import Operation
    from sandboxer.model.event import Event
    from sandboxer.model.failure import Failure
    from sandboxer.model.record import Record

Rewrite = tuple["Record", tuple[Phase, ...]]


def extend(operation: Operation, by: timedelta, host_clock: datetime, now: datetime) -> Record:
    """Move the expiry of the sandbox of ``operation`` by ``by``; return its record as written.

    Raise UsageError if the profile does not allow it, StaleChange if another life of the sandbox has begun, and what a
    HostSession raises.
    """

    def later(record: Record) -> Rewrite:
        return record.model_copy(update={"expires_at": extended(record, by, host_clock, now)}), ()

    return _rewritten(operation, later)


def activate(operation: Operation, now: datetime) -> Record:
    """Mark the sandbox as in use at ``now``: phase `active`, and a later expiry if its TTL counts from its last use.

    Return its record as written. Raise UsageError if it is not ready, and what ``extend`` raises.
    """

    def used(record: Record) -> Rewrite:
        if record.phase not in (Phase.READY, Phase.ACTIVE):
            raise UsageError(
                f"{named('sandbox', operation.name)} is {record.phase}, not ready", hint="wait with `sandboxer wait`"
            )
        through = (Phase.ACTIVE,) if record.phase is Phase.READY else ()
        return record.model_copy(update={"expires_at": kept_alive(record, now)}), through

    return _rewritten(operation, used)


def give_up(operation: Operation) -> Record:
    """Mark a sandbox that cannot be created as failed, unless it is ready now; return its record.

    The event has the reason of ``operation``. Raise what ``extend`` raises.
    """

    def failed(record: Record) -> Rewrite | None:
        unmade = record.phase in (Phase.REQUESTED, Phase.PROVISIONING)
        error = failure_of(Cause("failed", operation.hide(operation.reason)), "", at=operation.clock(), step="create")
        return (record.model_copy(update={"error": error}), (Phase.FAILED,)) if unmade else None

    return _rewritten(operation, failed)


def note_error(operation: Operation, error: Failure | None) -> Record:
    """Write why a change could not begin, or with None that nothing stands in its way now; return the record.

    The sandbox is as it was: so are its phase and its generation, and a plan that was made before stays valid. A record
    that another client has written since the plan is left alone. Raise what ``extend`` raises.
    """

    def noted(record: Record) -> Rewrite | None:
        same = record.generation == operation.expected_generation
        idle = same and record.attempt is None and record.phase in (Phase.READY, Phase.ACTIVE)
        return (record.model_copy(update={"error": error}), ()) if idle else None

    return _rewritten(operation, noted, generations=0)


def _rewritten(operation: Operation, change: Callable[[Record], Rewrite | None], *, generations: int = 1) -> Record:
    """Write the record that ``change`` makes of the present one, and the events of the phases in between."""
    with HostSession(operation) as session:
        data = session.call("record").output.rstrip(b"\n") + b"\n"
        record = _record_of(operation, data)
        if record.phase is Phase.DESTROYING:
            raise UsageError(
                f"{named('sandbox', operation.name)} is being removed",
                hint="finish the removal with `sandboxer destroy`",
            )
        changed = change(record)
        if changed is None:
            return record
        after, through = changed
        after = after.model_copy(update={"generation": record.generation + generations})
        events: list[Event] = []
        if through:
            last_event = max(last_number(session.call("journal_end").output), record.last_event)
            events = events_of(
                after, through, former=record.phase, after=last_event, at=operation.clock(), reason=operation.reason
            )
            after = after.model_copy(update={"phase": through[-1], "last_event": events[-1].number})
        former = hashlib.sha256(data).hexdigest()
        lines = (event.to_line() for event in events)
        session.must("the record cannot be written", "rewrite", former, *lines, payload=after.to_bytes())
        for event in events:
            operation.on_event(event, after, ())
        return after


def _record_of(operation: Operation, data: bytes) -> Record:
    """Return the record in these bytes, if it is of the life that the operation is about."""
    if not data.strip():
        raise StaleChange(
            operation.name, f"{named('sandbox', operation.name)} was removed from {operation.target.host} meanwhile"
        )
    try:
        record = parse_record(data, fleet=operation.fleet, identifier=operation.id)
    except RecordRefused as refused:
        message = f"the record of {operation.name} on {operation.target.host} cannot be read: {refused}"
        raise ObservationIncomplete(operation.target.host, message) from refused
    if record.uid != operation.expected_uid:
        raise StaleChange(
            operation.name,
            f"{named('sandbox', operation.name)} was recreated meanwhile",
            hint="check with `sandboxer get`, and try again",
        )
    return record
