"""What is on the hosts, for the commands that are about it: all of it as handles, or one sandbox by name or id."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sandboxer.errors import HostNotSeen, SandboxNotFound
from sandboxer.model.identity import sandbox_id
from sandboxer.model.lifecycle import Action, Reason
from sandboxer.model.observed import Found, Reachable
from sandboxer.profiles.report import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.lifecycle import Sync
    from sandboxer.model.plan import Change, Plan
    from sandboxer.model.record import Record
    from sandboxer.reconcile.sight import Sight
    from sandboxer.wiring import Run


@dataclass(frozen=True, slots=True)
class There:
    """One sandbox that is on a host: what the plan says of it, what the look showed, when by the host's own clock.

    ``desired`` is what git wants of it, None where git does not know it.
    """

    change: Change
    sight: Sight
    clock: datetime
    desired: DesiredSandbox | None

    @property
    def stray(self) -> bool:
        """Whether it is a copy that goes, its home being another host."""
        return self.change.reason is Reason.DELETE_STRAY

    def with_record(self, record: Record) -> There:
        """The same once its record says something else."""
        found = replace(self.sight.found, record=record) if self.sight.found else Found(record.id, record)
        return replace(self, sight=replace(self.sight, found=found))


def sandboxes_there(run: Run, decided: Plan) -> Iterator[There]:
    """Every sandbox that the hosts show, git's and imperative ones alike, in the plan's order."""
    wanted = {sandbox.id: sandbox for sandbox in run.fleet.sandboxes.values()}
    for change in (*decided.changes, *decided.imperative):
        host = change.from_host or change.host or ""
        look, sight = run.looks.get(host), run.sight(host, change.id)
        if sight is not None and isinstance(look, Reachable):
            yield There(change, sight, look.clock, wanted.get(change.id))


def handle_of(run: Run, there: There) -> JsonObject:
    """The contract's handle of a sandbox."""
    from sandboxer.lifecycle.handles import handle

    return handle(there.change, there.sight, there.desired, there.clock, run.now())


def handle_of_sight(run: Run, sight: Sight, sync: Sync | None = None) -> JsonObject:
    """The handle of what one host has, without a plan. Without ``sync``, as far as that can be told from there."""
    from sandboxer.lifecycle.handles import handle
    from sandboxer.reconcile.change import change_of

    change = change_of(sight, Action.NO_OP, Reason.NO_OP_SYNCED, "", sync=sync)
    desired = next((one for one in run.fleet.sandboxes.values() if one.id == sight.id), None)
    now = run.now()
    return handle(change, sight, desired, now, now)


def find(run: Run, decided: Plan, name: str) -> list[There]:
    """Return the sandbox of a name or id, its home before copies that go.

    Raises SandboxNotFound where there surely is none, HostNotSeen where it may be on a host that was not seen in full.
    """
    there = list(sandboxes_there(run, decided))
    found = [one for one in there if name in (one.change.sandbox, one.change.id)]
    if found:
        return sorted(found, key=lambda one: one.stray)
    unseen = [host.name for host in decided.hosts if host.status != "reachable"]
    if unseen:
        message = f"{name} may be on {', '.join(unseen)}, which did not answer in full"
        raise HostNotSeen(name, message, hint="see `sandboxer doctor`, and try again")
    if name in run.fleet.sandboxes:
        hint = "it is in git: `sandboxer plan` says why it is on no host"
    else:
        hint = did_you_mean(name, {one.change.sandbox for one in there} | run.fleet.sandboxes.keys())
    raise SandboxNotFound(f"there is no sandbox {name} on the hosts", hint=hint or "see `sandboxer list`")


def answering(run: Run) -> list[str]:
    """The hosts that answered, by name."""
    return sorted(name for name, look in run.looks.items() if isinstance(look, Reachable))


def silent(run: Run) -> dict[str, str]:
    """The hosts that did not, and why."""
    return {name: look.error for name, look in sorted(run.looks.items()) if not isinstance(look, Reachable)}


def partial(run: Run) -> list[str]:
    """The hosts that answered, and not in full: an engine is silent."""
    looks = {name: look for name, look in run.looks.items() if isinstance(look, Reachable)}
    return sorted(n for n, look in looks.items() if look.error or any(e.error for e in look.engines.values()))


def ids_of(run: Run, name: str) -> set[str]:
    """The ids that a name or an id may stand for: git's, and those that the hosts show."""
    seen = {
        identifier
        for look in run.looks.values()
        if isinstance(look, Reachable)
        for identifier, found in look.found.items()
        if name in (identifier, found.record.name if found.record else None)
    }
    own = {name} if re.fullmatch("[0-9a-f]{8}", name) else {sandbox_id(run.fleet_name, name)}
    return seen | own
