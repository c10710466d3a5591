"""The planner: from desired, record and live state to one change, with its reason, for each sandbox.

A failed observation is never taken for an absence: what is not certain is blocked, with the host that is the cause.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.errors.remedy import RemedyCode, remedy_of
from sandboxer.model.lifecycle import Action, Reason
from sandboxer.model.plan import Change, Plan
from sandboxer.reconcile.change import blocked, with_fingerprint
from sandboxer.reconcile.decide import Decider
from sandboxer.reconcile.fleet_state import FleetState, fleet_state_of
from sandboxer.reconcile.guards import guard
from sandboxer.reconcile.options import Options
from sandboxer.reconcile.orphans import leftovers_of_git
from sandboxer.reconcile.placement import HostCapacity
from sandboxer.reconcile.unmanaged import unmanaged, warnings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from sandboxer.model.desired import DesiredSandbox, Fleet
    from sandboxer.model.observed import HostObservation
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox

__all__ = ["Options", "plan"]


def plan(
    fleet: Fleet, observations: Mapping[str, HostObservation], now: datetime, options: Options | None = None
) -> Plan:
    """Return the plan: what each sandbox needs.

    ``observations`` holds one observation for each of the fleet's hosts, by name; a host without one counts as
    unreachable. ``now`` is the runner's clock, in UTC. The caller fills in the plan's stats.
    """
    options = options or Options()
    fleet_state = fleet_state_of(fleet, observations, now, options.forgotten)
    declared, orphans, imperative = _decide(fleet_state, options)
    if options.only_deletes:
        declared = [change for change in declared if change.action is Action.DELETE]
        orphans = [change for change in orphans if change.action is not Action.NO_OP]
    changes = [options.pruning(change) for change in (*declared, *orphans) if options.wants(change)]
    changes = guard([_unless_stale(change, fleet_state, options) for change in changes], fleet_state, options)
    return Plan(
        fleet=fleet.name,
        commit=fleet.commit,
        dirty=fleet.dirty,
        hosts=tuple(fleet_state.hosts()),
        changes=_finished(changes, fleet_state),
        unmanaged=tuple(unmanaged(fleet_state)),
        imperative=_finished([change for change in imperative if options.wants(change)], fleet_state),
        warnings=tuple(warnings(fleet_state, options.forgotten)),
        only_deletes=options.only_deletes,
    )


def _decide(fleet_state: FleetState, options: Options) -> tuple[list[Change], list[Change], list[Change]]:
    """Return the changes of desired sandboxes, of orphans, and of imperative sandboxes."""
    taken = {
        host: sum(1 for observed in found.copies.values() if observed.record or observed.running)
        for host, found in fleet_state.observed_hosts.items()
    }
    decider = Decider(fleet_state, HostCapacity(fleet_state.fleet.hosts, taken), options.replaced)
    sandboxes = fleet_state.fleet.sandboxes
    decided = ((sandboxes[name], change) for name in sorted(sandboxes) for change in decider.decide(sandboxes[name]))
    declared = [replace(change, unread_secrets=_reads_later(desired, change)) for desired, change in decided]
    return declared, *leftovers_of_git(fleet_state)


def _reads_later(desired: DesiredSandbox, change: Change) -> bool:
    """Return whether a sandbox that stays has secrets that were applied, and that this run did not read."""
    stays = bool(change.uid) and change.id == desired.id and change.action is not Action.DELETE
    return stays and any(secret.present and secret.value is None for secret in desired.secrets)


def _unless_stale(change: Change, fleet_state: FleetState, options: Options) -> Change:
    """Return the change, blocked where a newer commit was applied on a host that it affects.

    A create affects all hosts where the newer commit may already have decided about the sandbox.
    """
    if not change.acts or not options.stale:
        return change
    hosts = {host for host in (change.host, change.from_host) if host is not None}
    desired = fleet_state.fleet.sandboxes.get(change.sandbox)
    if desired is not None and (change.action is Action.CREATE or change.from_host):
        hosts |= {*desired.eligible, *desired.formerly}
    newer = sorted(hosts & options.stale)
    if not newer:
        return change
    message, remedy = f"a newer commit was applied on {newer[0]}", remedy_of(RemedyCode.ALLOW_ROLLBACK, host=newer[0])
    return blocked(change, Reason.BLOCKED_STALE, message, remedy)


def _finished(changes: list[Change], fleet_state: FleetState) -> tuple[Change, ...]:
    """Return the changes in a plan's order, each with its fingerprint."""
    ordered = sorted(changes, key=lambda change: (change.sandbox, change.id, change.host or "", change.action))
    return tuple(with_fingerprint(change, _seen(change, fleet_state)) for change in ordered)


def _seen(change: Change, fleet_state: FleetState) -> Iterator[ObservedSandbox]:
    for host in (change.host, change.from_host):
        observed = fleet_state.observed(host, change.id)
        if observed is not None:
            yield observed
