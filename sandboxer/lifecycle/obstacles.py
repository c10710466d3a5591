"""Causes of changes that could not begin, kept in the records of their sandboxes until nothing stands in the way.

The planner blocks such a change, and nothing of its sandbox is touched: only its record says why. What a plan finds in
git alone, such as files that are refused, is not among them: every plan says that with file and line.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from sandboxer.errors import SandboxerError
from sandboxer.errors.cause import Cause
from sandboxer.errors.remedy import RemedyCode
from sandboxer.extensions.failures import failure_of
from sandboxer.hosts.parallel import on_hosts
from sandboxer.lifecycle.record_changes import note_error
from sandboxer.model.lifecycle import Action, Block, Phase, Sync

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sandboxer.extensions.base import Operation
    from sandboxer.model.failure import Failure
    from sandboxer.model.plan import Change
    from sandboxer.model.record import Record

AT_ONCE = 16
# By the remedy of a blocked change: the code of its cause, and what to do. What else blocks is not the sandbox's own.
_CAUSES: Mapping[RemedyCode, tuple[str, str]] = {
    RemedyCode.PROVIDE_SECRET: ("secret-missing", "provide the secret to the machine that applies, and apply again"),
    RemedyCode.CHECK_INPUT: ("input-unavailable", "check the input repository, and apply again"),
}


def note_obstacles(
    changes: Iterable[Change],
    record_of: Callable[[Change], Record | None],
    operation_for: Callable[[Change], Operation],
) -> None:
    """Write the cause of each blocked change into its sandbox's record, and clear what is over.

    A record that says the same already is left alone, and so is one that cannot be written now.
    """
    differing = [change for change in changes if _may_differ(change, record_of(change))]

    def one(change: Change) -> None:
        with suppress(SandboxerError):  # the outcome of the change says it too
            operation, record = operation_for(change), record_of(change)
            error = _failure(change, operation)
            if record is not None and _words(error) != _words(record.error):
                note_error(operation, error)

    on_hosts(one, differing, name="obstacles", at_once=AT_ONCE)


def _may_differ(change: Change, record: Record | None) -> bool:
    """Return whether the record of an existing sandbox may have to say something else about its last change."""
    if record is None or record.attempt is not None or record.phase not in (Phase.READY, Phase.ACTIVE):
        return False
    if change.action is Action.NO_OP:
        return record.error is not None and change.sync is Sync.SYNCED
    return change.block is Block.UNMET and change.remedy is not None and change.remedy.code in _CAUSES


def _failure(change: Change, operation: Operation) -> Failure | None:
    if change.remedy is None or change.action is Action.NO_OP:
        return None
    code, hint = _CAUSES[change.remedy.code]
    return failure_of(Cause(code, operation.hide(change.message)), hint, at=operation.clock(), step="plan")


def _words(error: Failure | None) -> tuple[str, str] | None:
    return (error.code, error.message) if error else None
