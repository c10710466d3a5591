"""Making a change of a sight: the parts that every change has, and the fingerprint that an approval is held to."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.model.jsontypes import canonical
from sandboxer.model.lifecycle import Action, Health, Reason, Sync
from sandboxer.model.plan import Change
from sandboxer.reconcile.drift import drift, health

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.jsontypes import JsonObject, JsonValue
    from sandboxer.model.plan import FieldChange
    from sandboxer.reconcile.scene import Gap
    from sandboxer.reconcile.sight import Sight


def change_of(
    sight: Sight,
    action: Action,
    reason: Reason,
    message: str,
    *,
    sync: Sync | None = None,
    pending: tuple[FieldChange, ...] = (),
    to_host: str | None = None,
    suspended: bool = False,
) -> Change:
    """The change of a sandbox that is on a host. ``to_host`` is where a move leads; its home is ``from_host`` then."""
    found = drift(sight)
    return Change(
        sandbox=sight.name,
        id=sight.id,
        host=to_host or sight.host,
        from_host=sight.host if to_host else None,
        action=action,
        reason=reason,
        sync=sync or (Sync.SYNCED if action is Action.NO_OP and not (found or pending) else Sync.OUT_OF_SYNC),
        health=health(sight, suspended=suspended),
        message=message,
        pending=pending,
        drift=found,
        volumes=_volumes(sight) if action in (Action.REPLACE, Action.DELETE) else (),
        generation=sight.generation,
        uid=sight.uid,
        origin=sight.origin or "git",
    )


def unknown(sight: Sight, reason: Reason, message: str) -> Change:
    """The change of a sandbox of which nothing can be told for sure: blocked, and nothing said of how it fares."""
    change = change_of(sight, Action.BLOCKED, reason, message, sync=Sync.UNKNOWN)
    return replace(change, health=Health.UNKNOWN, drift=())


def unseen(sight: Sight, gap: Gap) -> Change:
    """The change of a sandbox whose host, or whose engine there, is not known in full."""
    return unknown(sight, gap.reason, gap.error)


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
) -> Change:
    """The change of a sandbox that is on no host that answered."""
    return Change(
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


def blocked(change: Change, reason: Reason, message: str) -> Change:
    """The change, wanted still and not safe to do now. What it would have destroyed stays."""
    return replace(change, action=Action.BLOCKED, reason=reason, message=message, volumes=())


def with_fingerprint(change: Change, sights: Iterable[Sight]) -> Change:
    """The change with its fingerprint: of what was decided and of what ``sights`` it was decided on.

    No clock, disk or health is in it, for these change by themselves.
    """
    seen: list[JsonValue] = [[s.host, s.uid, s.generation, [f"{c.id} {c.state}" for c in s.containers]] for s in sights]
    decided: JsonObject = {
        "id": change.id,
        "host": change.host,
        "from_host": change.from_host,
        "action": change.action.value,
        "reason": change.reason.value,
        "pending": [pending.to_json() for pending in change.pending],
        "seen": seen,
    }
    return replace(change, fingerprint=hashlib.sha256(canonical(decided)).hexdigest()[:32])


def _volumes(sight: Sight) -> tuple[str, ...]:
    named = {resource.name for resource in sight.resources if resource.kind == "volume"}
    return tuple(sorted(named | set(sight.record.anonymous_volumes if sight.record else ())))
