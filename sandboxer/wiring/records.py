"""What is read or changed of one sandbox's record alone, and what lies beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.wiring.operation import operation_for

if TYPE_CHECKING:
    from sandboxer.extensions.base import Operation
    from sandboxer.model.record import Record
    from sandboxer.model.request import SandboxRequest
    from sandboxer.wiring.lookup import LocatedSandbox
    from sandboxer.wiring.run import ApplyOptions, Run


def request_of(run: Run, home: LocatedSandbox, how: ApplyOptions) -> SandboxRequest:
    """Return what an imperative sandbox was asked for with. Raises SandboxError where that is not known any more."""
    from sandboxer.lifecycle.requests import request_of as read

    return read(_work(run, home, how))


def activate(run: Run, home: LocatedSandbox, how: ApplyOptions) -> Record:
    """Mark a sandbox as in use; return its record as written. Raises UsageError where it is not ready."""
    from sandboxer.lifecycle.record_changes import activate as mark

    run.reporter.begin(run.observations)
    record = mark(replace(_work(run, home, how), reason="it is in use"), run.now())
    run.reporter.renewed(home.observed.host, record)
    return record


def give_up(run: Run, home: LocatedSandbox, why: str, how: ApplyOptions) -> Record:
    """Mark a sandbox that was never ready as failed, which is told with ``why``; return its record."""
    from sandboxer.lifecycle.record_changes import give_up as mark

    run.reporter.begin(run.observations)
    return mark(replace(_work(run, home, how), reason=why))


def _work(run: Run, home: LocatedSandbox, how: ApplyOptions) -> Operation:
    host = home.observed.host
    return operation_for(run, home.change, host, run.observations[host], lambda _step: None, how)
