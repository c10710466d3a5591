"""What a blocked change waits for, and what is usually done about it: the one place that decides by a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.errors.remedy import RemedyCode, remedy_of
from sandboxer.model.lifecycle import Block, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.errors.remedy import Remedy

BLOCKS: Mapping[Reason, Block] = {
    Reason.BLOCKED_UNREACHABLE: Block.UNOBSERVED,
    Reason.BLOCKED_ENGINE: Block.UNOBSERVED,
    Reason.BLOCKED_AMBIGUOUS: Block.UNCERTAIN,
    Reason.BLOCKED_NO_HOST: Block.UNMET,
    Reason.BLOCKED_INPUT: Block.UNMET,
    Reason.BLOCKED_SECRET: Block.UNMET,
    Reason.BLOCKED_REFUSED: Block.REFUSED,
    Reason.BLOCKED_GUARD: Block.GUARD,
    Reason.BLOCKED_LOCKED: Block.LOCKED,
    Reason.BLOCKED_STALE: Block.STALE,
}

_REMEDIES = {
    Reason.BLOCKED_NO_HOST: RemedyCode.MAKE_ROOM,
    Reason.BLOCKED_INPUT: RemedyCode.CHECK_INPUT,
    Reason.BLOCKED_SECRET: RemedyCode.PROVIDE_SECRET,
    Reason.BLOCKED_REFUSED: RemedyCode.CHANGE_INPUT,
    Reason.BLOCKED_LOCKED: RemedyCode.AWAIT_LOCK,
}
_ON_HOST = {
    Reason.BLOCKED_UNREACHABLE: RemedyCode.CHECK_HOST,
    Reason.BLOCKED_ENGINE: RemedyCode.START_ENGINE,
    Reason.BLOCKED_AMBIGUOUS: RemedyCode.INSPECT_HOST,
}


def block_of(reason: Reason) -> Block:
    """Return what a change waits for that is blocked for this reason."""
    return BLOCKS[reason]


def usual_remedy(reason: Reason, host: str) -> Remedy | None:
    """Return what is usually done about a reason to block, on ``host``; None where each case has its own remedy."""
    if reason in _ON_HOST:
        return remedy_of(_ON_HOST[reason], host=host)
    return remedy_of(_REMEDIES[reason]) if reason in _REMEDIES else None


def approved_as(reason: str) -> str:
    """Return the reason that an approval is bound to: an earlier release saved a repair after a failure as another."""
    return Reason.REPAIR_INTERRUPTED.value if reason == Reason.REPAIR_FAILED else str(reason)
