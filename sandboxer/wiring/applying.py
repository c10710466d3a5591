"""Applying: a plan carried out on the hosts, and what is no longer as planned planned again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sandboxer.model.lifecycle import Action, Block
from sandboxer.model.observed import Reachable
from sandboxer.model.run_events import fan_out
from sandboxer.wiring import clock
from sandboxer.wiring.operation import operations_of
from sandboxer.wiring.planning import decide
from sandboxer.wiring.secrecy import Redaction

if TYPE_CHECKING:
    from sandboxer.adapters.git import FleetRepository
    from sandboxer.extensions.base import Extension, Operation
    from sandboxer.extensions.registry import Registry
    from sandboxer.model.outcome import Outcome
    from sandboxer.model.plan import Change
    from sandboxer.model.record import Record
    from sandboxer.reconcile.options import Options
    from sandboxer.wiring.apply_options import ApplyOptions
    from sandboxer.wiring.fleet_hosts import FleetHosts
    from sandboxer.wiring.observations import FleetObservations
    from sandboxer.wiring.operation import Operations
    from sandboxer.wiring.planning import Planned
    from sandboxer.wiring.reporting import Reporter
    from sandboxer.wiring.source import FleetSource

NOTE_SECONDS = 5.0  # for the lock of a sandbox whose record is to say why nothing was done


def apply_plan(
    planned: Planned,
    source: FleetSource,
    hosts: FleetHosts,
    reporter: Reporter,
    options: ApplyOptions,
    *,
    again: Options | None,
    of_git: bool = True,
) -> list[Outcome]:
    """Carry out a plan. One failure stops nothing else; each change has an outcome.

    Without ``of_git`` the plan is not git's, and the commit is not noted on the hosts as applied. A sandbox that is no
    longer as planned is planned again with the options ``again``; without them it is left as it is.
    """
    operations = operations_of(source, hosts, options, fan_out(hosts.emit, reporter))
    reporter.begin(planned.observations)
    applier = Applier(planned, hosts, operations, source.registry(), source.repository(), again)
    outcomes = applier.apply(of_git=of_git)
    reporter.count(outcome.word for outcome in outcomes)
    return outcomes


@dataclass(frozen=True, slots=True)
class Applier:
    """The apply of one plan. ``repository`` serves to plan again, with the options ``again``."""

    planned: Planned
    hosts: FleetHosts
    operations: Operations
    registry: Registry
    repository: FleetRepository
    again: Options | None
    # The plans of changes that were planned again, by the change's fingerprint, and the hosts found newer then.
    _replanned: dict[str, Planned] = field(default_factory=dict, init=False)
    _newer: set[str] = field(default_factory=set, init=False)

    def apply(self, *, of_git: bool = True) -> list[Outcome]:
        """Carry out the plan, as ``apply_plan`` does."""
        from sandboxer.lifecycle.execute import Executor
        from sandboxer.lifecycle.obstacles import note_obstacles

        fleet = self.planned.observations.fleet
        redact = Redaction(lambda: fleet)
        executor = Executor(
            desired={sandbox.id: sandbox for sandbox in fleet.sandboxes.values()},
            extension_of=lambda change: self.registry.get(self._extension_of(change)),
            former_of=self._former_of,
            operation_for=self._operation,
            might_live=self._might_live,
            plan_again=self._plan_again if self.again else None,
            emit=self.operations.emit,
            parallelism=self.operations.options.parallelism,
            stopping=self.operations.options.stopping,
            hide=lambda change, text: redact(change.id, text),
        )
        outcomes = executor.run(self.planned.plan.changes)
        if not executor.stopping.is_set():
            note_obstacles(self.planned.plan.changes, self._record_of, self._quiet_operation)
            self._clean_up(of_git=of_git)
        return outcomes

    def observations_of(self, change: Change) -> FleetObservations:
        """Return the observations that a change was planned on: newer ones could not show that it is stale."""
        return self._replanned.get(change.fingerprint, self.planned).observations

    def _clean_up(self, *, of_git: bool) -> None:
        """Remove leftovers, and note the commit on every host that has no newer one."""
        from sandboxer.hosts.cleanup import clean_up
        from sandboxer.lifecycle.cleanup import head_of, pending_cleanups

        observations, newer = self.planned.observations, self.planned.newer | self._newer
        by_host = {name: observation for name, observation in observations.by_host.items() if name not in newer}
        # What a guard keeps from being deleted in bulk must not be forgotten in bulk either.
        guarded = any(change.block is Block.GUARD for change in self.planned.plan.changes)
        fleet = observations.fleet if of_git else replace(observations.fleet, commit=None)
        pending = pending_cleanups(fleet, by_host, forget=of_git and not guarded)
        clean_up(pending, self.hosts.transport, fleet.name, head_of(fleet), self._removal_scripts())

    def _removal_scripts(self) -> list[str]:
        """Return the scripts by which the backends of the fleet remove what the login may not.

        Whether a description names this capability does not matter: one of an earlier release does not.
        """
        from sandboxer.extensions.capabilities import SupportsRemoval

        backends = self.hosts.source.extensions().values()
        able = [backend for backend in backends if isinstance(backend, SupportsRemoval)]
        return [script for backend in able for script in backend.removal_scripts()]

    def _extension_of(self, change: Change) -> str:
        """Return the extension that carries out a change."""
        recorded = self._recorded_extension(change)
        fleet = self.planned.observations.fleet
        desired = next((one for one in fleet.sandboxes.values() if one.id == change.id), None)
        if recorded and (desired is None or change.action is Action.DELETE):
            return recorded
        return desired.profile.spec.extension if desired else self.registry.first

    def _former_of(self, change: Change) -> Extension | None:
        """Return the extension that made what a change replaces; None where it is the one that carries it out."""
        recorded = self._recorded_extension(change)
        return self.registry.get(recorded) if recorded and recorded != self._extension_of(change) else None

    def _recorded_extension(self, change: Change) -> str | None:
        record = self._record_of(change)
        return record.extension if record else None

    def _record_of(self, change: Change) -> Record | None:
        observed = self.observations_of(change).sandbox(change.from_host or change.host or "", change.id)
        return observed.record if observed else None

    def _operation(self, change: Change, host: str) -> Operation:
        return self.operations.of(change, host, self.observations_of(change))

    def _quiet_operation(self, change: Change) -> Operation:
        """Return the operation on a sandbox where it lives, for a change of its record alone."""
        host = change.from_host or change.host or ""
        operation = self.operations.of(change, host, self.observations_of(change), quiet=True)
        return replace(operation, target=replace(operation.target, lock_timeout=NOTE_SECONDS))

    def _might_live(self, change: Change) -> list[str]:
        """Return the fully observed hosts where a sandbox of git's may exist, by name."""
        known = self.observations_of(change)
        desired = known.fleet.sandboxes.get(change.sandbox)
        if desired is None:
            return []
        extension = desired.profile.spec.extension
        observations = {host: known.by_host.get(host) for host in (*desired.eligible, *desired.formerly)}
        return sorted(
            host
            for host, observation in observations.items()
            if isinstance(observation, Reachable) and not (observation.error or extension in observation.backend_errors)
        )

    def _plan_again(self, change: Change) -> Change | None:
        """Return the planner's change for one sandbox after a fresh observation of its hosts."""
        if self.again is None:
            return None
        begins = change.action is Action.CREATE or change.from_host is not None
        names = {change.host, change.from_host, *(self._might_live(change) if begins else ())}
        known = self.observations_of(change)
        observations = self.hosts.observe_again([name for name in names if name is not None], known)
        options = replace(self.again, targets=frozenset({change.sandbox}))
        planned = decide(observations, self.repository, clock.now(), options)
        self._newer.update(planned.newer)
        found = [again for again in planned.plan.changes if again.id == change.id]
        self._replanned.update({again.fingerprint: planned for again in found})
        return next((again for again in found if again.host == change.host), found[0] if found else None)
