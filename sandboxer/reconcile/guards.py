"""Guards: limits on what one run may delete without explicit permission."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.errors.remedy import Notice, RemedyCode, remedy_of
from sandboxer.model.lifecycle import Action, Reason
from sandboxer.reconcile.change import blocked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandboxer.model.plan import Change
    from sandboxer.model.record import Record
    from sandboxer.reconcile.fleet_state import FleetState
    from sandboxer.reconcile.options import Options


def guard(changes: Sequence[Change], fleet_state: FleetState, options: Options) -> list[Change]:
    """Return the changes with those blocked that a guard stops: all of a kind or none, as a part would be as wrong."""
    foreign = _foreign(fleet_state, options)
    if foreign is not None:
        return [_guarded(c, foreign) if _destroys(c) else c for c in changes]
    renamed = _renamed(options)
    if renamed is not None:
        return [_guarded(c, renamed) if c.action is Action.CREATE else c for c in changes]
    excess = _excess([change for change in changes if _counts(change)], fleet_state, options)
    return [_guarded(c, excess) if excess and _counts(c) else c for c in changes]


def _guarded(change: Change, why: Notice) -> Change:
    return blocked(change, Reason.BLOCKED_GUARD, why.message, why.remedy)


def _destroys(change: Change) -> bool:
    return change.action in (Action.DELETE, Action.REPLACE)


def _counts(change: Change) -> bool:
    # Expiry was decided when the sandbox was created; the rest is decided now, perhaps by mistake.
    return _destroys(change) and not change.expired


def _foreign(fleet_state: FleetState, options: Options) -> Notice | None:
    """Return why to block, if this repository and another one share the fleet's name.

    Each would treat the other's sandboxes as orphans.
    """
    own = fleet_state.fleet.root_commit
    foreign = {record.fleet_root for record in _records(fleet_state) if record.fleet_root} - {own}
    if not foreign or own is None or options.adopt_fleet:
        return None
    name, first = fleet_state.fleet.name, min(foreign)[:12]
    message = f"sandboxes here were applied by another repository with the fleet name {name} (first commit {first})"
    return Notice(message, remedy_of(RemedyCode.ADOPT_FLEET))


def _renamed(options: Options) -> Notice | None:
    """Return why to block, if the fleet was renamed and all its sandboxes would be created a second time."""
    if not options.renamed:
        return None
    host, name = min(options.renamed)
    more = f" and {len(options.renamed) - 1} more" if len(options.renamed) > 1 else ""
    message = f"this fleet was called {name} before, and its sandboxes on {host}{more} would stay beside new ones"
    return Notice(message, remedy_of(RemedyCode.ALLOW_RENAME, fleet=name))


def _excess(counted: Sequence[Change], fleet_state: FleetState, options: Options) -> Notice | None:
    fleet = fleet_state.fleet
    if not counted:
        return None
    if not fleet.sandboxes and not (options.allow_empty or fleet.allow_empty):
        return Notice("there is no Sandbox document in git", remedy_of(RemedyCode.ALLOW_EMPTY))
    there = sum(1 for _ in _records(fleet_state))
    most, limit = options.max_deletes, f"this run allows {options.max_deletes}"
    if most is None:
        most, limit = _most(fleet.max_deletes, there), f"guards.maxDeletes is {fleet.max_deletes}"
        limit += f" of {there}" if isinstance(fleet.max_deletes, str) else ""
    count = len(counted)
    if count <= most:
        return None
    what = "this is one delete or replace" if count == 1 else f"this is one of {count} deletes and replaces"
    return Notice(f"{what}, and {limit}", remedy_of(RemedyCode.RAISE_MAX_DELETES, count=str(count)))


def _most(limit: int | str, sandboxes: int) -> int:
    return limit if isinstance(limit, int) else sandboxes * int(limit.removesuffix("%")) // 100


def _records(fleet_state: FleetState) -> Iterator[Record]:
    """Yield the records of git's sandboxes; imperative sandboxes are never orphans."""
    for found in fleet_state.observed_hosts.values():
        for observed in found.copies.values():
            if observed.record is not None and observed.record.origin == "git":
                yield observed.record
