"""Lookup of sandboxes on the hosts, for the commands on them: all of them as handles, or one by name or id."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sandboxer.errors import HostNotObserved, SandboxNotFound
from sandboxer.model.identity import sandbox_id
from sandboxer.model.lifecycle import Action, Reason
from sandboxer.model.observed import ObservedDirectory, Reachable
from sandboxer.model.suggestion import did_you_mean
from sandboxer.model.text import named
from sandboxer.wiring import clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from sandboxer.model.desired import DesiredSandbox, Fleet
    from sandboxer.model.handle import Handle
    from sandboxer.model.lifecycle import Sync
    from sandboxer.model.plan import Change, HostSummary
    from sandboxer.model.record import Record
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox
    from sandboxer.wiring.observations import FleetObservations
    from sandboxer.wiring.planning import Planned

LIST_HINT = "list the sandboxes with `sandboxer list`"
_MOST_HOSTS = 5  # that a message names


@dataclass(frozen=True, slots=True)
class LocatedSandbox:
    """One sandbox on a host: its change in the plan, its observation, and the host's clock at that time.

    ``desired`` is its desired state in git, None if git does not have it.
    """

    change: Change
    observed: ObservedSandbox
    clock: datetime
    desired: DesiredSandbox | None

    @property
    def stray(self) -> bool:
        """Whether it is a copy to delete, its home being another host."""
        return self.change.stray

    def with_record(self, record: Record) -> LocatedSandbox:
        """Return the same sandbox with another record."""
        found = (
            replace(self.observed.found, record=record) if self.observed.found else ObservedDirectory(record.id, record)
        )
        return replace(self, observed=replace(self.observed, found=found))


def located_sandboxes(planned: Planned) -> Iterator[LocatedSandbox]:
    """Yield every observed sandbox, git's and imperative ones alike, in the plan's order."""
    observations = planned.observations
    desired = {sandbox.id: sandbox for sandbox in observations.fleet.sandboxes.values()}
    for change in (*planned.plan.changes, *planned.plan.imperative):
        host = change.from_host or change.host or ""
        observation, observed = observations.by_host.get(host), observations.sandbox(host, change.id)
        if observed is not None and isinstance(observation, Reachable):
            yield LocatedSandbox(change, observed, observation.clock, desired.get(change.id))


def handle_of(there: LocatedSandbox) -> Handle:
    """Return the handle of a sandbox."""
    from sandboxer.lifecycle.handles import handle

    return handle(there.change, there.observed, there.desired, there.clock, clock.now())


def handle_of_observed(observed: ObservedSandbox, fleet: Fleet, sync: Sync | None = None) -> Handle:
    """Return the handle of an observed sandbox, without a plan.

    Without ``sync``, it is derived from the observation as far as possible.
    """
    from sandboxer.lifecycle.handles import handle
    from sandboxer.reconcile.change import change_of

    change = change_of(observed, Action.NO_OP, Reason.NO_OP_SYNCED, "", sync=sync)
    desired = next((one for one in fleet.sandboxes.values() if one.id == observed.id), None)
    now = clock.now()
    return handle(change, observed, desired, now, now)


def find(planned: Planned, name: str) -> list[LocatedSandbox]:
    """Return the copies of the sandbox with a name or id, its home before those to delete.

    Raise SandboxNotFound if it certainly does not exist, HostNotObserved if it may be on a host that was not observed
    in full.
    """
    there, sandboxes = list(located_sandboxes(planned)), planned.observations.fleet.sandboxes
    found = [one for one in there if name in (one.change.sandbox, one.change.id)]
    if found:
        return sorted(found, key=lambda one: one.stray)
    require_observed(planned, name)
    if name in sandboxes:
        hint = "run `sandboxer plan`: the sandbox is in git, but on no host"
    else:
        hint = did_you_mean(name, {one.change.sandbox for one in there} | sandboxes.keys())
    raise SandboxNotFound(f"no {named('sandbox', name)} on the hosts", hint=hint or LIST_HINT)


def require_observed(planned: Planned, name: str) -> None:
    """Raise HostNotObserved, with the reason of each host, if a sandbox may be on a host without being found there."""
    if unseen := incomplete_hosts(planned):
        raise HostNotObserved(
            name,
            f"{named('sandbox', name)} may exist on {in_words(unseen)}, which could not be fully inspected",
            hint="check the hosts with `sandboxer doctor`, and try again",
        )


def incomplete_hosts(planned: Planned) -> list[HostSummary]:
    """Return the hosts that may have a sandbox which was not found there, each with the reason.

    They are the plan's, and those where an engine does not answer that a requested sandbox of some profile may be on:
    the plan counts only engines of sandboxes in git or on record.
    """
    by_host, extensions = planned.observations.by_host, planned.observations.fleet.extensions
    found = []
    for host in planned.plan.hosts:
        observation = by_host.get(host.name)
        errors = observation.absence_errors if isinstance(observation, Reachable) else {}
        error = next((errors[name] for name in sorted(extensions & errors.keys())), None)
        if host.status != "reachable":
            found.append(host)
        elif error is not None:
            found.append(replace(host, status="unknown", error=error))
    return found


def in_words(hosts: Sequence[HostSummary]) -> str:
    """Return hosts that were not observed in full, each with the reason: ``host "build-1" (timed out)``."""
    shown = [f"{named('host', host.name)} ({host.error})" for host in hosts[:_MOST_HOSTS]]
    more = len(hosts) - len(shown)
    return " or ".join([*shown, *([f"{more} more"] if more else [])])


def ids_of(observations: FleetObservations, name: str) -> set[str]:
    """Return the ids that a name or an id may stand for: git's, and those that were observed."""
    seen = {
        identifier
        for observation in observations.by_host.values()
        if isinstance(observation, Reachable)
        for identifier, found in observation.found.items()
        if name in (identifier, found.record.name if found.record else None)
    }
    own = {name} if re.fullmatch("[0-9a-f]{8}", name) else {sandbox_id(observations.fleet.name, name)}
    return seen | own
