"""Reads and changes of one sandbox's record alone, and of the files beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.wiring.operation import operation_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from sandboxer.extensions.base import Operation
    from sandboxer.model.record import Record
    from sandboxer.model.request import SandboxRequest
    from sandboxer.wiring.apply_options import ApplyOptions
    from sandboxer.wiring.lookup import LocatedSandbox
    from sandboxer.wiring.run import Run


def request_of(run: Run, home: LocatedSandbox, how: ApplyOptions) -> SandboxRequest:
    """Return the request of an imperative sandbox. Raise SandboxError if it is gone."""
    from sandboxer.lifecycle.requests import request_of as read

    return read(_operation(run, home, how))


def activate(run: Run, home: LocatedSandbox, how: ApplyOptions) -> Record:
    """Mark a sandbox as in use; return its record as written. Raise UsageError if it is not ready."""
    from sandboxer.lifecycle.record_changes import activate as mark

    run.reporter.begin(run.observations)
    record = mark(replace(_operation(run, home, how), reason="it is in use"), run.now())
    run.reporter.renewed(home.observed.host, record)
    return record


def extend(run: Run, home: LocatedSandbox, by: timedelta, how: ApplyOptions, progress: Callable[[str], None]) -> Record:
    """Extend the life of a sandbox; return its record as written. Raise UsageError beyond the allowed time."""
    from sandboxer.lifecycle.record_changes import extend as put_off

    run.reporter.begin(run.observations)
    record = put_off(_operation(run, home, how, progress), by, home.clock, run.now())
    run.reporter.renewed(home.observed.host, record)
    return record


def give_up(run: Run, home: LocatedSandbox, why: str, how: ApplyOptions) -> Record:
    """Mark a sandbox that was never ready as failed, with the reason ``why``; return its record."""
    from sandboxer.lifecycle.record_changes import give_up as mark

    run.reporter.begin(run.observations)
    return mark(replace(_operation(run, home, how), reason=why))


def _operation(
    run: Run, home: LocatedSandbox, how: ApplyOptions, progress: Callable[[str], None] = lambda _step: None
) -> Operation:
    host = home.observed.host
    return operation_for(run, home.change, host, run.observations[host], progress, how)
