"""Ending a sandbox that somebody names: every copy of it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.client.seen import copies_seen, must_be_seen
from sandboxer.errors import SandboxError
from sandboxer.model.lifecycle import Action, Reason
from sandboxer.reconcile.change import with_fingerprint

if TYPE_CHECKING:
    from sandboxer.client.access import Access
    from sandboxer.model.plan import Change
    from sandboxer.wiring.found import There

_TRIES = 3


def destroy(access: Access, name: str) -> bool:
    """Removes a sandbox and every copy of it; False where there was none."""
    for _ in range(_TRIES):
        outcome = _destroy_once(access, name)
        if outcome is not None:
            return outcome
    raise SandboxError(name, f"{name} is changed by others all the while", hint="try again")


def _destroy_once(access: Access, name: str) -> bool | None:
    """Whether there was one; None where somebody changed it meanwhile."""
    with access.run(find_inputs=False) as run:
        decided = access.plan(run)
        copies = copies_seen(run, decided, name)
        if not copies:
            return False
        for copy in copies:
            if copy.sight.doubt:
                message = f"{name} on {copy.sight.host} is not removed: {copy.sight.doubt}"
                raise SandboxError(name, message, hint="see `sandboxer plan`")
        if any(copy.change.sandbox in run.sound().sandboxes for copy in copies):
            access.warn(f"{copies[0].change.sandbox} is in git: the next apply makes it again")
        changes = tuple(_removal(copy) for copy in copies)
        outcomes = access.apply(run, replace(decided, changes=changes), "destroy", of_git=False)
        must_be_seen(run, name)
    if any(outcome.change.reason is Reason.BLOCKED_STALE for outcome in outcomes):
        return None
    for outcome in outcomes:
        if not outcome.ok:
            raise SandboxError(name, outcome.error or outcome.change.message, hint=outcome.hint)
    return True


def _removal(copy: There) -> Change:
    change = replace(
        copy.change,
        host=copy.sight.host,
        from_host=None,
        action=Action.DELETE,
        reason=Reason.DELETE_REQUESTED,
        message="it was asked for",
        generation=copy.sight.generation,
        uid=copy.sight.uid,
    )
    return with_fingerprint(change, [copy.sight])
