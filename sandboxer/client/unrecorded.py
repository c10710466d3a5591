"""What carries the labels of a sandbox without record and manifest: shown, and removed where a person says so."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sandboxer.errors import HostNotSeen, SandboxError, UsageError
from sandboxer.model.lifecycle import Action, Reason
from sandboxer.model.observed import RECORD_MISSING
from sandboxer.reconcile.change import change_of, with_fingerprint
from sandboxer.reconcile.scene import scene_of
from sandboxer.wiring.found import partial, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.client.access import Access
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.plan import Change
    from sandboxer.reconcile.sight import Sight
    from sandboxer.wiring import Run


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """The containers, networks and volumes on one host that carry the labels of a sandbox without a record.

    ``folder`` is the sandbox's directory there, empty where it is gone.
    """

    id: str
    name: str
    host: str
    containers: Sequence[str]
    networks: Sequence[str]
    volumes: Sequence[str]
    folder: str

    def to_json(self) -> JsonObject:
        """Return it as it stands in the JSON of ``destroy --without-record``."""
        return {
            "sandbox": self.name,
            "id": self.id,
            "host": self.host,
            "containers": list(self.containers),
            "networks": list(self.networks),
            "volumes": list(self.volumes),
            "directory": self.folder or None,
        }


def unrecorded(access: Access, identifier: str) -> list[Unrecorded]:
    """Return what carries the labels of an ID that no record and no manifest claims, a value for each host.

    Raises UsageError for what is no ID and for one that is claimed, HostNotSeen where none was found and a host did not
    answer in full.
    """
    with access.run(find_inputs=False) as run:
        access.plan(run)
        return [_described(run, sight) for sight in _unclaimed(run, identifier)]


def destroy_unrecorded(access: Access, identifier: str) -> list[Unrecorded]:
    """Remove it and return what was removed. Raises as ``unrecorded``, and SandboxError where something is left."""
    with access.run(find_inputs=False) as run:
        decided = access.plan(run)
        sights = _unclaimed(run, identifier)
        changes = tuple(_removal(sight) for sight in sights)
        outcomes = access.apply(run, replace(decided, changes=changes), "destroy", of_git=False)
        removed = [_described(run, sight) for sight in sights]
    for outcome in outcomes:
        if not outcome.ok:
            raise SandboxError(identifier, outcome.error or outcome.change.message, hint=outcome.hint)
    return removed


def _unclaimed(run: Run, identifier: str) -> list[Sight]:
    """The sights to remove, by host. A host that was not observed in full deletes nothing."""
    if not re.fullmatch("[0-9a-f]{8}", identifier):
        hint = "an ID has 8 hex digits; `sandboxer plan` shows it behind the name"
        raise UsageError(f"--without-record {identifier!r}: not the ID of a sandbox", hint=hint)
    claimed = next((desired.name for desired in run.fleet.sandboxes.values() if desired.id == identifier), None)
    if claimed is not None:
        hint = "`sandboxer apply` repairs it; to remove it, take its manifest out of git first"
        raise UsageError(f"sandbox {claimed!r} ({identifier}) has a manifest in git", hint=hint)
    scene = scene_of(run.fleet, run.looks, run.now())
    found = [survey.sights[identifier] for _, survey in sorted(scene.surveys.items()) if identifier in survey.sights]
    for sight in found:
        _refuse_claimed(run, sight)
    labelled = [sight for sight in found if sight.running]
    unseen = sorted({*silent(run), *partial(run), *scene.gaps})
    blocked = [host for host in unseen if not labelled or host in {sight.host for sight in labelled}]
    if blocked:
        message = f"what carries the labels of {identifier} on {', '.join(blocked)} could not be fully inspected"
        raise HostNotSeen(identifier, message, hint="see `sandboxer plan`, and try again when the host answers")
    return labelled


def _refuse_claimed(run: Run, sight: Sight) -> None:
    root = run.fleet.hosts[sight.host].spec.root
    place = f"{root}/{run.fleet.name}/{sight.id}/record.json"
    if sight.record is not None:
        hint = f"`sandboxer destroy {sight.id}` removes a sandbox that has a record"
        raise UsageError(f"sandbox {sight.name!r} ({sight.id}) has a record on {sight.host}", hint=hint)
    if sight.found is not None and sight.found.error not in (None, RECORD_MISSING):
        hint = f"repair {place} on {sight.host}, or remove it where it is worthless, and try again"
        raise UsageError(f"{sight.id} has a record on {sight.host} that may claim it: {sight.found.error}", hint=hint)
    roots = sorted({owner.root for owner in sight.owners()} - {root})
    if roots:
        hint = "name that root in the Host's spec.root, and look there first"
        raise UsageError(f"{sight.id} on {sight.host} is labelled with another root: {', '.join(roots)}", hint=hint)


def _removal(sight: Sight) -> Change:
    change = change_of(sight, Action.DELETE, Reason.DELETE_REQUESTED, "it has neither a record nor a manifest")
    return with_fingerprint(change, [sight])


def _described(run: Run, sight: Sight) -> Unrecorded:
    named = {kind: [r.name for r in sight.resources if r.kind == kind] for kind in ("network", "volume")}
    anonymous = {name for container in sight.containers for name in container.volumes}
    return Unrecorded(
        id=sight.id,
        name=sight.name,
        host=sight.host,
        containers=sorted(container.name for container in sight.containers),
        networks=sorted(named["network"]),
        volumes=sorted({*named["volume"], *anonymous}),
        folder=f"{run.fleet.hosts[sight.host].spec.root}/{run.fleet.name}/{sight.id}" if sight.found else "",
    )
