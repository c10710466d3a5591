"""Queries, with a fresh observation each time: all sandboxes, or the one with a name or id."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from sandboxer.errors import HostError, HostNotObserved, SandboxError, UsageError
from sandboxer.hosts.last_error import read_last_error
from sandboxer.model.lifecycle import Phase
from sandboxer.model.selector import parse_selector
from sandboxer.model.text import named
from sandboxer.reconcile.options import Options, unknown_name
from sandboxer.render.remedies import in_json
from sandboxer.wiring.lookup import find, handle_of, located_sandboxes, require_observed
from sandboxer.wiring.planning import plan_fleet
from sandboxer.wiring.review import for_review

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandboxer.client.context import ClientContext
    from sandboxer.model.handle import Handle
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.wiring.lookup import LocatedSandbox
    from sandboxer.wiring.planning import Planned

POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class SandboxFilter:
    """A filter of sandboxes; an empty field selects all of them.

    Args:
        hosts: Only on one of these hosts.
        phases: Only in one of these phases.
        labels: Only with all of these labels.
        selector: Only with labels that match, in the form of kubectl: ``team=payments,tier in (gold,silver),!legacy``.
        imperative: Only imperative sandboxes, none from git.
        by: Only sandboxes that this requester created.
    """

    hosts: Sequence[str] = ()
    phases: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    imperative: bool = False
    by: str | None = None
    selector: str = ""

    def takes(self, handle: Handle) -> bool:
        """Return whether the filter includes the sandbox of a handle."""
        of_git = handle.origin == "git"
        return (
            (not self.hosts or handle.host in self.hosts)
            and (not self.phases or handle.phase in self.phases)
            and self.labels.items() <= handle.labels.items()
            and (not self.selector or parse_selector(self.selector).selects(handle.labels))
            and not (self.imperative and of_git)
            and (self.by is None or (not of_git and handle.requested_by == self.by))
        )


def plan(context: ClientContext, *, diff: bool = False) -> JsonObject:
    """Return the plan of the fleet as JSON; with ``diff`` it has the text of the files that changed."""
    with context.open() as (source, hosts):
        planned = plan_fleet(source, hosts, Options())
        return for_review(planned, source, diff=diff).plan.to_json(in_json)


def handles(context: ClientContext, chosen: SandboxFilter | None = None) -> list[Handle]:
    """Return every observed sandbox that ``chosen`` includes.

    ``warn`` receives each host that was not observed in full. Raise UnknownName for a host in ``chosen`` that is not
    in the fleet, UsageError for an invalid selector.
    """
    chosen = chosen or SandboxFilter()
    try:
        parse_selector(chosen.selector or "any")
    except ValueError as error:
        raise UsageError(f"selector: {error}") from None
    with context.open() as (source, hosts):
        planned = plan_fleet(source, hosts, Options())
        for name in chosen.hosts:
            if name not in planned.observations.fleet.hosts:
                raise unknown_name("hosts", name, planned.observations.fleet.hosts)
        for host in planned.plan.hosts:
            if host.status != "reachable":
                fault = "did not answer" if host.status == "unreachable" else "did not answer in full"
                context.warn(f"{named('host', host.name)} {fault}: {host.error}")
        return [handle for handle in map(handle_of, located_sandboxes(planned)) if chosen.takes(handle)]


def handle_named(context: ClientContext, name: str) -> Handle:
    """Return the sandbox with a name or id.

    Raise SandboxNotFound if it certainly does not exist, else HostNotObserved.
    """
    with context.open(restarts=True) as (source, hosts):
        home, *_ = find(plan_fleet(source, hosts, Options()), name)
        return handle_of(home)


def handle_with_error(context: ClientContext, name: str) -> tuple[Handle, str]:
    """Return the sandbox as ``handle_named`` does, and the whole text of its last failure.

    The text is empty without a failure, and where the host cannot return it.
    """
    with context.open(restarts=True) as (source, hosts):
        home, *_ = find(plan_fleet(source, hosts, Options()), name)
        record, host, text = home.observed.record, home.observed.host, ""
        if record is not None and record.error is not None:
            root = source.fleet().hosts[host].spec.root
            with suppress(HostError):
                text = read_last_error(
                    hosts.transport(host), root=root, fleet=record.fleet, identifier=record.id, failure=record.error
                )
        return handle_of(home), text


def handle_if_there(
    context: ClientContext, name: str, *, find_inputs: bool = False, sees: Callable[[Handle], bool] | None = None
) -> Handle | None:
    """Return the sandbox as ``handle_named`` does; None if it certainly does not exist, or ``sees`` refuses it.

    Without ``find_inputs``, one of git's is not compared with git. Raise HostNotObserved too.
    """
    with context.open(find_inputs=find_inputs, restarts=True) as (source, hosts):
        found = copies_of(plan_fleet(source, hosts, Options()), name, sees)
        return handle_of(found[0]) if found else None


def wait(context: ClientContext, name: str, phase: Literal["ready", "destroyed"], timeout: float) -> Handle | None:
    """Wait until a sandbox is ready, or gone; return its handle, None if it is gone."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            found = handle_if_there(context, name)
        except HostNotObserved:  # a possible sandbox does not count as removed
            found, now, state = None, "", "a host that may have the sandbox could not be fully inspected"
        else:
            now = str(found.phase) if found else Phase.DESTROYED.value
            state = f"its phase is {now}"
        if now == phase or (phase == "ready" and now == Phase.ACTIVE):
            of_git = found is not None and found.origin == "git"
            return handle_if_there(context, name, find_inputs=True) or found if of_git else found
        if phase == "ready" and now == Phase.FAILED:
            why = f": {found.error.message}" if found is not None and found.error else ""
            raise SandboxError(name, f"{named('sandbox', name)} failed{why}", hint=f"check `sandboxer get {name}`")
        if time.monotonic() >= deadline:
            raise SandboxError(name, f"{named('sandbox', name)} is not {phase} after {timeout:g} s: {state}")
        time.sleep(POLL_SECONDS)


def copies_of(planned: Planned, name: str, sees: Callable[[Handle], bool] | None = None) -> Sequence[LocatedSandbox]:
    """Return a sandbox's home, and its copies that are to be deleted.

    The result is empty if it certainly does not exist, or ``sees`` refuses it. Raise UsageError if several sandboxes
    have that name, HostNotObserved if it may be on a host that was not observed in full.
    """
    there = [one for one in located_sandboxes(planned) if name in (one.change.sandbox, one.change.id)]
    hidden = {one.change.id for one in there if sees is not None and not sees(handle_of(one))}
    if all(one.change.id in hidden for one in there):
        require_observed(planned, name)
        return ()
    found = [one for one in find(planned, name) if one.change.id not in hidden]
    ids = sorted({copy.change.id for copy in found})
    if len(ids) > 1:
        raise UsageError(f"{named('sandbox', name)} is ambiguous: IDs {' and '.join(ids)}", hint="use an ID")
    return found
