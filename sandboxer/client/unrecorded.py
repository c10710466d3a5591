"""Resources with a sandbox's labels, but without record and manifest: listed, and removed on a person's request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.client.context import failure
from sandboxer.errors import HostNotObserved, StaleChange, UsageError
from sandboxer.model.lifecycle import Action, Reason
from sandboxer.model.observed import RECORD_MISSING
from sandboxer.model.text import named, printable
from sandboxer.reconcile.change import change_of, with_fingerprint
from sandboxer.reconcile.fleet_state import fleet_state_of
from sandboxer.reconcile.options import Options
from sandboxer.wiring import clock
from sandboxer.wiring.lookup import in_words, incomplete_hosts
from sandboxer.wiring.planning import plan_fleet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.client.context import ClientContext
    from sandboxer.model.desired import Fleet
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.plan import Change
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox
    from sandboxer.wiring.planning import Planned


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """The containers, networks and volumes on one host that carry the labels of a sandbox without a record.

    ``folder`` is the sandbox's directory there, empty if it is gone. ``identities`` are the IDs of all of them: another
    resource of the same name has another one.
    """

    id: str
    name: str
    host: str
    containers: Sequence[str]
    networks: Sequence[str]
    volumes: Sequence[str]
    folder: str
    identities: frozenset[str]

    def to_json(self) -> JsonObject:
        """Return it as in the JSON of ``destroy --without-record``."""
        return {
            "sandbox": self.name,
            "id": self.id,
            "host": self.host,
            "containers": list(self.containers),
            "networks": list(self.networks),
            "volumes": list(self.volumes),
            "directory": self.folder or None,
        }


def unrecorded(context: ClientContext, identifier: str) -> list[Unrecorded]:
    """Return what carries the labels of an ID that no record and no manifest claims, a value for each host.

    Raise UsageError for an invalid ID and for one that is claimed, HostNotObserved if none was found and a host did not
    answer in full.
    """
    with context.open(find_inputs=False) as (source, hosts):
        planned = plan_fleet(source, hosts, Options())
        return [_described(planned.observations.fleet, observed) for observed in _unclaimed(planned, identifier)]


def destroy_unrecorded(context: ClientContext, identifier: str, shown: Sequence[Unrecorded]) -> list[Unrecorded]:
    """Remove it, if that is part of what was ``shown``, and return what was removed.

    Raise what ``unrecorded`` raises, StaleChange if there is more than was shown, and SandboxError if something is
    left.
    """
    with context.open(find_inputs=False) as (source, hosts):
        planned = plan_fleet(source, hosts, Options())
        copies = _unclaimed(planned, identifier)
        removed = [_described(planned.observations.fleet, observed) for observed in copies]
        _refuse_more(shown, removed)
        removal = planned.with_changes(map(_removal, copies))
        applied = context.apply(removal, source, hosts, "destroy", of_git=False)
    for outcome in applied.outcomes:
        if not outcome.ok:
            raise failure(outcome)
    return removed


def _refuse_more(shown: Sequence[Unrecorded], found: Sequence[Unrecorded]) -> None:
    """Raise StaleChange if there is something that was not shown; that something is gone is no reason to stop."""
    known = {one.host: one.identities for one in shown}
    for one in found:
        if not one.identities <= known.get(one.host, frozenset()):
            what = f"{named('host', one.host)} has more with the labels of {named('sandbox', one.id)} than was shown"
            hint = f"run `sandboxer destroy --without-record {one.id}` again, and review the list"
            raise StaleChange(one.name, what, hint=hint)


def _unclaimed(planned: Planned, identifier: str) -> list[ObservedSandbox]:
    """Return the observations to remove, by host.

    Raise UsageError for an invalid or claimed ID, HostNotObserved if a host with its labels was not observed in full,
    or, if none was found, if any host was not.
    """
    if not re.fullmatch("[0-9a-f]{8}", identifier):
        hint = "use the 8 hex digits that `sandboxer plan` shows after the name"
        raise UsageError(f'"{printable(identifier)}" is not the ID of a sandbox', hint=hint)
    observations, fleet = planned.observations, planned.observations.fleet
    claimed = next((desired.name for desired in fleet.sandboxes.values() if desired.id == identifier), None)
    if claimed is not None:
        hint = "repair with `sandboxer apply`, or remove the manifest from git first"
        raise UsageError(f"{named('sandbox', claimed)} ({identifier}) has a manifest in git", hint=hint)
    fleet_state = fleet_state_of(fleet, observations.by_host, clock.now())
    found = [
        observed_host.copies[identifier]
        for _, observed_host in sorted(fleet_state.observed_hosts.items())
        if identifier in observed_host.copies
    ]
    for observed in found:
        _refuse_claimed(fleet, observed)
    labelled = [observed for observed in found if observed.running]
    unseen = incomplete_hosts(planned)
    blocked = [host for host in unseen if not labelled or host.name in {observed.host for observed in labelled}]
    if blocked:
        what = f"resources with the labels of {named('sandbox', identifier)}"
        message = f"{what} may exist on {in_words(blocked)}, which could not be fully inspected"
        raise HostNotObserved(
            identifier, message, hint="check with `sandboxer plan`, and try again when the host answers"
        )
    return labelled


def _refuse_claimed(fleet: Fleet, observed: ObservedSandbox) -> None:
    """Raise UsageError if something on the host claims what carries the labels.

    An observation reads no record of another fleet: it knows the name of that fleet's folder alone. The removal
    searches for such a record, under the lock and before it removes anything: one that is written meanwhile counts too.
    """
    root = fleet.hosts[observed.host].spec.root
    path = f"{root}/{fleet.name}/{observed.id}/record.json"
    sandbox, host = named("sandbox", observed.name), named("host", observed.host)
    if observed.record is not None:
        hint = f"use `sandboxer destroy {observed.id}` for a sandbox with a record"
        raise UsageError(f"{sandbox} ({observed.id}) has a record on {host}", hint=hint)
    if observed.found is not None and observed.found.error not in (None, RECORD_MISSING):
        hint = f"repair or remove {path} on {observed.host}, and try again"
        raise UsageError(
            f"{sandbox} ({observed.id}) has a record on {host} that may claim it: {observed.found.error}", hint=hint
        )
    roots = sorted({owner.root for owner in observed.owners()} - {root})
    if roots:
        hint = "set spec.root of the Host to that root, and check there first"
        raise UsageError(
            f"{sandbox} ({observed.id}) on {host} is labelled with another root: {', '.join(roots)}", hint=hint
        )


def _removal(observed: ObservedSandbox) -> Change:
    change = change_of(observed, Action.DELETE, Reason.DELETE_REQUESTED, "neither a record nor a manifest")
    return with_fingerprint(change, [observed])


def _described(fleet: Fleet, observed: ObservedSandbox) -> Unrecorded:
    named = {kind: [r.name for r in observed.resources if r.kind == kind] for kind in ("network", "volume")}
    anonymous = {name for container in observed.containers for name in container.volumes}
    folder = f"{fleet.hosts[observed.host].spec.root}/{fleet.name}/{observed.id}" if observed.found else ""
    known = {one.id for one in observed.containers} | {one.id for one in observed.resources}
    return Unrecorded(
        id=observed.id,
        name=observed.name,
        host=observed.host,
        containers=sorted(container.name for container in observed.containers),
        networks=sorted(named["network"]),
        volumes=sorted({*named["volume"], *anonymous}),
        folder=folder,
        identities=frozenset({*known, *anonymous, folder} - {""}),
    )
