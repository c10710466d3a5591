"""Changes made from observations: the parts that all changes have, and the fingerprint that binds an approval."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.model.jsontypes import canonical
from sandboxer.model.lifecycle import Action, Health, Reason, Sync
from sandboxer.model.plan import Change
from sandboxer.reconcile.blocks import approved_as, block_of, usual_remedy
from sandboxer.reconcile.drift import drift, health

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandboxer.errors.remedy import Remedy
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.jsontypes import JsonObject, JsonValue
    from sandboxer.model.plan import FieldChange
    from sandboxer.reconcile.fleet_state import UnknownHost
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox


def change_of(
    observed: ObservedSandbox,
    action: Action,
    reason: Reason,
    message: str,
    *,
    sync: Sync | None = None,
    pending: tuple[FieldChange, ...] = (),
    to_host: str | None = None,
    suspended: bool = False,
    remedy: Remedy | None = None,
) -> Change:
    """Return the change of a sandbox that is on a host.

    ``to_host`` is the target of a move; the sandbox's home is then ``from_host``. Without ``remedy``, a blocked change
    has that of its reason.
    """
    found = drift(observed)
    change = Change(
        sandbox=observed.name,
        id=observed.id,
        host=to_host or observed.host,
        from_host=observed.host if to_host else None,
        action=action,
        reason=reason,
        sync=sync or (Sync.SYNCED if action is Action.NO_OP and not (found or pending) else Sync.OUT_OF_SYNC),
        health=health(observed, suspended=suspended),
        message=message,
        pending=pending,
        drift=found,
        volumes=_volumes(observed) if action in (Action.REPLACE, Action.DELETE) else (),
        generation=observed.generation,
        uid=observed.uid,
        origin=observed.origin or "git",
        error=observed.record.error if observed.record else None,
    )
    return _with_block(change, remedy)


def expired_delete(observed: ObservedSandbox, message: str) -> Change:
    """Return the delete of an expired sandbox."""
    return replace(change_of(observed, Action.DELETE, Reason.DELETE_EXPIRED, message), expired=True)


def unknown(observed: ObservedSandbox, reason: Reason, message: str, remedy: Remedy | None = None) -> Change:
    """Return the change of a sandbox of which nothing is certain.

    It is blocked, and its health is Unknown.
    """
    change = change_of(observed, Action.BLOCKED, reason, message, sync=Sync.UNKNOWN, remedy=remedy)
    return replace(change, health=Health.UNKNOWN, drift=())


def unseen(observed: ObservedSandbox, unknown_host: UnknownHost) -> Change:
    """Return the change of a sandbox whose host, or whose engine there, was not observed in full."""
    return unknown(observed, unknown_host.reason, unknown_host.error, unknown_host.remedy)


def change_without(
    desired: DesiredSandbox,
    action: Action,
    reason: Reason,
    message: str,
    *,
    host: str | None = None,
    sync: Sync = Sync.OUT_OF_SYNC,
    health: Health = Health.MISSING,
    pending: tuple[FieldChange, ...] = (),
    remedy: Remedy | None = None,
) -> Change:
    """Return the change of a sandbox that is not on any host that answered."""
    change = Change(
        sandbox=desired.name,
        id=desired.id,
        host=host,
        action=action,
        reason=reason,
        sync=sync,
        health=health,
        message=message,
        pending=pending,
    )
    return _with_block(change, remedy)


def blocked(change: Change, reason: Reason, message: str, remedy: Remedy | None = None) -> Change:
    """Return the change as blocked: still desired, but not safe to do now. It no longer destroys anything."""
    return replace(_with_block(decided_as(change, Action.BLOCKED, reason, message), remedy), volumes=())


def decided_as(change: Change, action: Action, reason: Reason, message: str) -> Change:
    """Return the change with another decision: nothing that steers is left of the former one."""
    return replace(
        change,
        action=action,
        reason=reason,
        message=message,
        block=None,
        remedy=None,
        expired=False,
        stray=False,
    )


def _with_block(change: Change, remedy: Remedy | None) -> Change:
    """Return a blocked change with what it waits for, and with its remedy; another one with its remedy."""
    if change.action is not Action.BLOCKED:
        return replace(change, remedy=remedy)
    remedy = remedy or usual_remedy(change.reason, change.host or "")
    return replace(change, block=block_of(change.reason), remedy=remedy)


def with_fingerprint(change: Change, copies: Iterable[ObservedSandbox]) -> Change:
    """Return the change with its fingerprint: of the decision, and of the ``copies`` that it was based on.

    It does not cover clock, disk or health, because these change by themselves.
    """
    seen: list[JsonValue] = [[s.host, s.uid, s.generation, [f"{c.id} {c.state}" for c in s.containers]] for s in copies]
    decided: JsonObject = {
        "id": change.id,
        "host": change.host,
        "from_host": change.from_host,
        "action": change.action.value,
        "reason": approved_as(change.reason),
        "pending": [pending.decided() for pending in change.pending],
        "seen": seen,
    }
    return replace(change, fingerprint=hashlib.sha256(canonical(decided)).hexdigest()[:32])


def _volumes(observed: ObservedSandbox) -> tuple[str, ...]:
    named = {resource.name for resource in observed.resources if resource.kind == "volume"}
    return tuple(sorted(named | set(observed.record.anonymous_volumes if observed.record else ())))
