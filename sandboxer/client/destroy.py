"""Destroys a named sandbox with every copy of it and nothing else; extends the expiry of one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.client.context import failure
from sandboxer.client.query import copies_of
from sandboxer.errors import SandboxError, UsageError
from sandboxer.model.lifecycle import Action, Block, Reason
from sandboxer.model.text import named
from sandboxer.reconcile.change import decided_as, with_fingerprint
from sandboxer.reconcile.options import Options
from sandboxer.wiring.lookup import find, handle_of, require_observed
from sandboxer.wiring.planning import plan_fleet
from sandboxer.wiring.records import extend

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from sandboxer.client.context import ClientContext
    from sandboxer.model.handle import Handle
    from sandboxer.model.plan import Change
    from sandboxer.wiring.lookup import LocatedSandbox

_TRIES = 3


def destroy(context: ClientContext, name: str) -> bool:
    """Remove a sandbox and every copy of it; return False if there was none."""
    for _ in range(_TRIES):
        outcome = _destroy_once(context, name)
        if outcome is not None:
            return outcome
    raise SandboxError(name, f"{named('sandbox', name)} is being changed by other clients", hint="try again")


def _destroy_once(context: ClientContext, name: str) -> bool | None:
    """Return whether there was one; None if another client changed it meanwhile."""
    with context.open(find_inputs=False) as (source, hosts):
        planned = plan_fleet(source, hosts, Options())
        copies = copies_of(planned, name)
        if not copies:
            return False
        for copy in copies:
            if copy.observed.conflict:
                where = f"{named('sandbox', name)} on {named('host', copy.observed.host)}"
                message = f"{where} was not removed: {copy.observed.conflict}"
                raise SandboxError(name, message, hint="check with `sandboxer plan`")
        if any(copy.change.sandbox in source.sound().sandboxes for copy in copies):
            context.warn(
                f"{named('sandbox', copies[0].change.sandbox)} is in git: the next apply creates the sandbox again"
            )
        removal = planned.with_changes(map(_removal, copies))
        outcomes = context.apply(removal, source, hosts, "destroy", of_git=False).outcomes
        require_observed(planned, name)
    if any(outcome.change.block is Block.STALE for outcome in outcomes):
        return None
    for outcome in outcomes:
        if not outcome.ok:
            raise failure(outcome)
    return True


def _removal(copy: LocatedSandbox) -> Change:
    change = replace(
        decided_as(copy.change, Action.DELETE, Reason.DELETE_REQUESTED, "its removal was requested"),
        host=copy.observed.host,
        from_host=None,
        generation=copy.observed.generation,
        uid=copy.observed.uid,
    )
    return with_fingerprint(change, [copy.observed])


def extend_ttl(context: ClientContext, name: str, by: timedelta) -> Handle:
    """Move the expiry of a sandbox by ``by``; return its new handle."""
    from sandboxer.reconcile.expiry import says_otherwise

    with context.open() as (source, hosts):
        planned = plan_fleet(source, hosts, Options())
        home = _extendable(find(planned, name))
        with context.changing(planned, source, hosts, "extend-ttl") as operations:
            record = extend(operations, planned.observations, home, by)
    if home.desired is not None and says_otherwise(home.desired, record):
        context.warn(
            f"git has a different ttl or expiresAt for {named('sandbox', record.name)}, which the next apply restores"
        )
    return handle_of(home.with_record(record))


def _extendable(found: Sequence[LocatedSandbox]) -> LocatedSandbox:
    """Return the one copy that may be extended. Raise UsageError if it is ambiguous, or not certainly ours."""
    copies = [there for there in found if not there.stray]
    name, hosts = found[0].change.sandbox, " and ".join(named("host", there.observed.host) for there in found)
    if len(copies) != 1:
        raise UsageError(
            f"{named('sandbox', name)} is on {hosts}: several copies", hint="run `sandboxer apply` to keep one copy"
        )
    if copies[0].observed.conflict or copies[0].observed.record is None:
        reason = copies[0].observed.conflict or "the record is missing"
        raise UsageError(
            f"the expiry of {named('sandbox', name)} on {hosts} cannot be extended: {reason}",
            hint="check with `sandboxer plan`",
        )
    return copies[0]
