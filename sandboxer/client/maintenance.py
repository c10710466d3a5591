"""Maintenance by a fleet's server: interrupted sandboxes, and expired ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sandboxer.client.query import copies_of
from sandboxer.errors import HostError, SandboxNotFound, UsageError
from sandboxer.hosts.locks import LockInspector
from sandboxer.model.lifecycle import Phase
from sandboxer.model.text import named, printable
from sandboxer.reconcile.options import Options
from sandboxer.wiring.lookup import LIST_HINT, handle_of, located_sandboxes
from sandboxer.wiring.planning import plan_fleet
from sandboxer.wiring.records import activate, give_up

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sandboxer.client.context import ClientContext
    from sandboxer.model.desired import Fleet
    from sandboxer.model.handle import Handle
    from sandboxer.model.outcome import Outcome
    from sandboxer.wiring.fleet_hosts import FleetHosts
    from sandboxer.wiring.lookup import LocatedSandbox
    from sandboxer.wiring.planning import Planned

_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Abandoned:
    """An interrupted sandbox that no client works on. It ``wants`` its creation, or its removal, to be finished."""

    id: str
    name: str
    wants: Literal["resume", "destroy"]


def abandoned(context: ClientContext, busy: Collection[str]) -> list[Abandoned]:
    """Return the imperative sandboxes that nobody waits for and whose lock is free, except the ``busy`` ids."""
    with context.open(find_inputs=False) as (source, hosts):
        found = list(_cut_off(plan_fleet(source, hosts, Options()), busy))
        return [one for one, home in found if _is_free(source.fleet(), hosts, home)]


def _cut_off(planned: Planned, busy: Collection[str]) -> Iterator[tuple[Abandoned, LocatedSandbox]]:
    for there in located_sandboxes(planned):
        record = there.observed.record
        if record is None or there.observed.conflict or there.change.origin == "git" or record.id in busy:
            continue
        request = record.requested
        if record.phase is Phase.DESTROYING:
            yield Abandoned(record.id, record.name, "resume" if request and request.again else "destroy"), there
        elif record.phase in (Phase.REQUESTED, Phase.PROVISIONING) and request and request.detached:
            yield Abandoned(record.id, record.name, "resume"), there


def _is_free(fleet: Fleet, hosts: FleetHosts, home: LocatedSandbox) -> bool:
    """Return whether nobody holds its lock; False if that is unknown."""
    host = home.observed.host
    desk = LockInspector(fleet.name, home.change.id, {host: fleet.hosts[host].spec.root}, hosts.transport)
    try:
        return desk.inspect(host).status == "free"
    except HostError:
        return False


def reap(context: ClientContext) -> Sequence[Outcome]:
    """Delete expired sandboxes, git's and others, within the guards; return the outcome of each."""
    with context.open() as (source, hosts):
        planned = plan_fleet(source, hosts, Options(only_deletes=True, only_expired=True))
        if not planned.plan.differences:
            return ()
        return context.apply(planned, source, hosts, "prune", of_git=True).outcomes


def mark_active(context: ClientContext, name: str) -> Handle:
    """Mark a sandbox as in use, and return its handle. Raise UsageError if it does not exist, or is not ready."""
    with context.open(find_inputs=False) as (source, hosts):
        planned = plan_fleet(source, hosts, Options())
        home = _sure(copies_of(planned, name), name)
        with context.changing(planned, source, hosts, "activity") as operations:
            record = activate(operations, planned.observations, home)
        return handle_of(home.with_record(record))


def mark_failed(context: ClientContext, name: str, why: str) -> None:
    """Mark a sandbox that cannot be created as failed, with the reason ``why``.

    One that is ready, or gone, stays as it is.
    """
    with context.open(find_inputs=False) as (source, hosts):
        planned = plan_fleet(source, hosts, Options())
        copies = copies_of(planned, name)
        if copies:
            home = _sure(copies, name)
            with context.changing(planned, source, hosts, "give up") as operations:
                give_up(operations, planned.observations, home, printable(why)[:_LONGEST_REASON])


def _sure(copies: Sequence[LocatedSandbox], name: str) -> LocatedSandbox:
    """Return the home of a sandbox that is certainly ours. Raise SandboxNotFound, UsageError."""
    if not copies:
        raise SandboxNotFound(f"no {named('sandbox', name)} on the hosts", hint=LIST_HINT)
    if copies[0].observed.conflict or copies[0].observed.record is None:
        reason = copies[0].observed.conflict or "the record is missing"
        raise UsageError(f"{named('sandbox', name)} cannot be marked: {reason}", hint="check with `sandboxer plan`")
    return copies[0]
