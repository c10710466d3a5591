"""What is read or changed of one sandbox's record alone, and what lies beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.wiring.work import work_on

if TYPE_CHECKING:
    from sandboxer.extensions.base import Work
    from sandboxer.model.asked import Asked
    from sandboxer.model.record import Record
    from sandboxer.wiring.found import There
    from sandboxer.wiring.run import ApplyOptions, Run


def asked_for(run: Run, home: There, how: ApplyOptions) -> Asked:
    """What an imperative sandbox was asked for with. Raises SandboxError where that is not known any more."""
    from sandboxer.lifecycle.asked import asked_for as read

    return read(_work(run, home, how))


def activate(run: Run, home: There, how: ApplyOptions) -> Record:
    """Marks a sandbox as in use; gives its record as written. Raises UsageError where it is not ready."""
    from sandboxer.lifecycle.rewrite import activate as mark

    run.reporter.begin(run.looks)
    record = mark(replace(_work(run, home, how), reason="it is in use"), run.now())
    run.reporter.renewed(home.sight.host, record)
    return record


def give_up(run: Run, home: There, why: str, how: ApplyOptions) -> Record:
    """Marks a sandbox that was never ready as failed, which is told with ``why``; gives its record."""
    from sandboxer.lifecycle.rewrite import give_up as mark

    run.reporter.begin(run.looks)
    return mark(replace(_work(run, home, how), reason=why))


def _work(run: Run, home: There, how: ApplyOptions) -> Work:
    host = home.sight.host
    return work_on(run, home.change, host, run.looks[host], lambda _step: None, how)
