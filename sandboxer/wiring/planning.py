"""Planning: from a fleet's source and the observations of its hosts to a plan."""

# What is needed only after the observation is imported where it is used, so that hosts are queried sooner.

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from sandboxer.reconcile.options import Options
from sandboxer.wiring import clock

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sandboxer.adapters.git import FleetRepository
    from sandboxer.model.desired import Fleet
    from sandboxer.model.plan import Change, Plan
    from sandboxer.model.saved_plan import Approval, SavedPlan
    from sandboxer.wiring.fleet_hosts import FleetHosts
    from sandboxer.wiring.observations import FleetObservations
    from sandboxer.wiring.source import FleetSource


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, the observations that it was made on, and the hosts that have a newer commit noted.

    If an older commit is allowed, no host counts as having a newer one. ``options`` are those of the plan, with names
    in place of globs and selectors.
    """

    plan: Plan
    observations: FleetObservations
    newer: frozenset[str] = frozenset()
    options: Options = field(default_factory=Options)

    def with_changes(self, changes: Iterable[Change]) -> Planned:
        """Return the same with other changes in place of the plan's."""
        return replace(self, plan=replace(self.plan, changes=tuple(changes)))

    def of_fleet(self, fleet: Fleet) -> Planned:
        """Return the same for the same fleet with its secrets."""
        return replace(self, observations=replace(self.observations, fleet=fleet))

    def only(self, identifier: str) -> Planned:
        """Return the same without other sandboxes of that name, such as an orphan of git's."""
        return self.with_changes(change for change in self.plan.changes if change.id == identifier)


def plan_fleet(source: FleetSource, hosts: FleetHosts, options: Options) -> Planned:
    """Observe the hosts and plan; reads only. Raise ManifestError, SourceError, ExtensionError, UsageError."""
    observations = hosts.observe()
    options = resolved(options, observations)
    planned = decide(observations, source.repository(), clock.now(), options)
    return replace(planned, plan=replace(planned.plan, stats=hosts.stats()), options=options)


def resolved(options: Options, observations: FleetObservations) -> Options:
    """Return the options with names in place of globs and selectors: git's labels count, for orphans the record's.

    Raise UsageError if one names a sandbox that is neither in git nor on a host, or an unknown host.
    """
    from sandboxer.lifecycle.observe import recorded_labels

    fleet = observations.fleet
    in_git = {name: desired.sandbox.metadata.labels for name, desired in fleet.sandboxes.items()}
    return options.resolved({**recorded_labels(observations.by_host.values()), **in_git}, fleet.hosts)


def decide(observations: FleetObservations, repository: FleetRepository, now: datetime, options: Options) -> Planned:
    """Return the planner's decision, with what ``repository`` knows of the commits and names noted on the hosts."""
    from sandboxer.lifecycle.revisions import newer_on_hosts, renamed_from
    from sandboxer.reconcile.planner import plan

    fleet, by_host = observations.fleet, observations.by_host
    newer = () if options.allow_rollback else newer_on_hosts(fleet, by_host, repository.is_ancestor)
    former = () if options.allow_rename else renamed_from(by_host, partial(repository.had_name, commit=fleet.commit))
    options = replace(options, stale=frozenset(newer), renamed=frozenset(former))
    return Planned(plan(fleet, by_host, now, options), observations, options.stale)


def plan_approved(source: FleetSource, hosts: FleetHosts, saved: SavedPlan) -> Planned:
    """Plan again as ``saved`` was planned, without secrets too, and block whatever was not approved.

    Raise PlanRefused, before any host is contacted, for another fleet or other manifests; else as ``plan_fleet``.
    """
    from sandboxer.profiles.resolve import digest_of_manifests
    from sandboxer.reconcile.approval import enforce, inputs_of, options_of

    saved.check(source.fleet_name(), source.files().root_commit, digest_of_manifests(source.sound()))
    observations = hosts.observe()
    planned = decide(observations, source.repository(), clock.now(), options_of(saved.approval.options))
    measured = replace(planned.plan, stats=hosts.stats())
    return replace(planned, plan=enforce(measured, saved, inputs_of(observations.fleet)))


def approval_of(source: FleetSource, options: Options) -> Approval:
    """Return what the approval of a plan with ``options`` is bound to."""
    from sandboxer.profiles.resolve import digest_of_manifests
    from sandboxer.reconcile import approval

    return approval.approval_of(source.fleet(), digest_of_manifests(source.sound()), options)
