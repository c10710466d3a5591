"""Reads and changes of one sandbox's record alone, and of the files beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.model.run_events import RecordChanged
from sandboxer.wiring import clock

if TYPE_CHECKING:
    from datetime import timedelta

    from sandboxer.extensions.base import Operation
    from sandboxer.model.record import Record
    from sandboxer.model.request import SandboxRequest
    from sandboxer.wiring.lookup import LocatedSandbox
    from sandboxer.wiring.observations import FleetObservations
    from sandboxer.wiring.operation import Operations


def request_of(operations: Operations, observations: FleetObservations, home: LocatedSandbox) -> SandboxRequest:
    """Return the request of an imperative sandbox. Raise SandboxError if it is gone."""
    from sandboxer.lifecycle.requests import request_of as read

    return read(_operation(operations, observations, home))


def activate(operations: Operations, observations: FleetObservations, home: LocatedSandbox) -> Record:
    """Mark a sandbox as in use; return its record as written. Raise UsageError if it is not ready."""
    from sandboxer.lifecycle.record_changes import activate as mark

    record = mark(replace(_operation(operations, observations, home), reason="it is in use"), clock.now())
    operations.emit(RecordChanged(home.observed.host, record))
    return record


def extend(operations: Operations, observations: FleetObservations, home: LocatedSandbox, by: timedelta) -> Record:
    """Extend the life of a sandbox; return its record as written. Raise UsageError beyond the allowed time."""
    from sandboxer.lifecycle.record_changes import extend as put_off

    record = put_off(_operation(operations, observations, home, quiet=False), by, home.clock, clock.now())
    operations.emit(RecordChanged(home.observed.host, record))
    return record


def give_up(operations: Operations, observations: FleetObservations, home: LocatedSandbox, why: str) -> Record:
    """Mark a sandbox that was never ready as failed, with the reason ``why``; return its record."""
    from sandboxer.lifecycle.record_changes import give_up as mark

    return mark(replace(_operation(operations, observations, home), reason=why))


def _operation(
    operations: Operations, observations: FleetObservations, home: LocatedSandbox, *, quiet: bool = True
) -> Operation:
    host = home.observed.host
    return operations.of(replace(home.change, host=host), host, observations, quiet=quiet)
