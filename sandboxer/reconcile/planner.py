"""The planner: desired against record against live, in; one change for each sandbox, with its reason, out.

A look that failed is never read as an absence: what cannot be told is blocked, with the host that keeps it so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.model.lifecycle import Action, Reason
from sandboxer.model.plan import Change, Plan
from sandboxer.reconcile.change import blocked, with_fingerprint
from sandboxer.reconcile.decide import Decider
from sandboxer.reconcile.guards import guard
from sandboxer.reconcile.options import Options
from sandboxer.reconcile.orphans import leftovers_of_git
from sandboxer.reconcile.placement import Room
from sandboxer.reconcile.scene import Scene, scene_of
from sandboxer.reconcile.unmanaged import unmanaged, warnings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from sandboxer.model.desired import Fleet
    from sandboxer.model.observed import Look
    from sandboxer.reconcile.sight import Sight

__all__ = ["Options", "plan"]


def plan(fleet: Fleet, looks: Mapping[str, Look], now: datetime, options: Options | None = None) -> Plan:
    """Decides what each sandbox needs.

    ``looks`` holds one look for each of the fleet's hosts, by name; a host without one counts as not reached. ``now``
    is the runner's clock, in UTC. The plan's stats are left for whoever looked.
    """
    options = options or Options()
    scene = scene_of(fleet, looks, now, options.forgotten)
    wanted, orphans, imperative = _decide(scene, options)
    if options.only_deletes:
        wanted = [change for change in wanted if change.action is Action.DELETE]
        orphans = [change for change in orphans if change.action is not Action.NO_OP]
    changes = [options.pruning(change) for change in (*wanted, *orphans) if options.wants(change)]
    changes = guard([_unless_stale(change, scene, options) for change in changes], scene, options)
    return Plan(
        fleet=fleet.name,
        commit=fleet.commit,
        dirty=fleet.dirty,
        hosts=tuple(scene.hosts()),
        changes=_finished(changes, scene),
        unmanaged=tuple(unmanaged(scene)),
        imperative=_finished([change for change in imperative if options.wants(change)], scene),
        warnings=tuple(warnings(scene, options.forgotten)),
    )


def _decide(scene: Scene, options: Options) -> tuple[list[Change], list[Change], list[Change]]:
    """The changes of what git wants, of what it does not, and what is none of its business."""
    taken = {
        host: sum(1 for sight in found.sights.values() if sight.record or sight.running)
        for host, found in scene.surveys.items()
    }
    decider = Decider(scene, Room(scene.fleet.hosts, taken), options.replaced)
    sandboxes = scene.fleet.sandboxes
    wanted = [change for name in sorted(sandboxes) for change in decider.decide(sandboxes[name])]
    return wanted, *leftovers_of_git(scene)


def _unless_stale(change: Change, scene: Scene, options: Options) -> Change:
    """The change, blocked where a newer commit was applied on a host that it is about.

    Those of a create are all where the newer commit may have said something of it.
    """
    if not change.acts or not options.stale:
        return change
    hosts = {host for host in (change.host, change.from_host) if host is not None}
    desired = scene.fleet.sandboxes.get(change.sandbox)
    if desired is not None and (change.action is Action.CREATE or change.from_host):
        hosts |= {*desired.eligible, *desired.formerly}
    newer = sorted(hosts & options.stale)
    if not newer:
        return change
    message = f"a newer commit was applied on {newer[0]}: plan that one, or give --allow-rollback"
    return blocked(change, Reason.BLOCKED_STALE, message)


def _finished(changes: list[Change], scene: Scene) -> tuple[Change, ...]:
    """The changes in a plan's order, each with its fingerprint."""
    ordered = sorted(changes, key=lambda change: (change.sandbox, change.id, change.host or "", change.action))
    return tuple(with_fingerprint(change, _seen(change, scene)) for change in ordered)


def _seen(change: Change, scene: Scene) -> Iterator[Sight]:
    for host in (change.host, change.from_host):
        sight = scene.sight(host, change.id)
        if sight is not None:
            yield sight
