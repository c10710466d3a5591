"""Maintenance by a fleet's server: interrupted sandboxes, and expired ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sandboxer.client.query import copies_of
from sandboxer.errors import HostError, SandboxNotFound, UsageError
from sandboxer.lifecycle.locks import LockInspector
from sandboxer.model.lifecycle import Phase
from sandboxer.model.text import printable
from sandboxer.reconcile.options import Options
from sandboxer.wiring.lookup import handle_of, located_sandboxes
from sandboxer.wiring.records import activate, give_up

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sandboxer.client.context import ClientContext
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.outcome import Outcome
    from sandboxer.wiring import Run
    from sandboxer.wiring.lookup import LocatedSandbox

_LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Abandoned:
    """An interrupted sandbox that no client works on. It ``wants`` its creation, or its removal, to be finished."""

    id: str
    name: str
    wants: Literal["resume", "destroy"]


def abandoned(context: ClientContext, busy: Collection[str]) -> list[Abandoned]:
    """Return the imperative sandboxes that nobody waits for and whose lock is free, except the ``busy`` ids."""
    with context.run(find_inputs=False) as run:
        found = list(_cut_off(run, context, busy))
        return [one for one, home in found if _is_free(run, home)]


def _cut_off(run: Run, context: ClientContext, busy: Collection[str]) -> Iterator[tuple[Abandoned, LocatedSandbox]]:
    for there in located_sandboxes(run, context.plan(run)):
        record = there.observed.record
        if record is None or there.observed.conflict or there.change.origin == "git" or record.id in busy:
            continue
        request = record.requested
        if record.phase is Phase.DESTROYING:
            yield Abandoned(record.id, record.name, "resume" if request and request.again else "destroy"), there
        elif record.phase in (Phase.REQUESTED, Phase.PROVISIONING) and request and request.detached:
            yield Abandoned(record.id, record.name, "resume"), there


def _is_free(run: Run, home: LocatedSandbox) -> bool:
    """Return whether nobody holds its lock; False if that is unknown."""
    host = home.observed.host
    desk = LockInspector(run.fleet.name, home.change.id, {host: run.fleet.hosts[host].spec.root}, run.transport)
    try:
        return desk.ask(host).status == "free"
    except HostError:
        return False


def reap(context: ClientContext) -> Sequence[Outcome]:
    """Delete expired sandboxes, git's and others, within the guards; return the outcome of each."""
    with context.run() as run:
        decided = context.plan(run, Options(only_deletes=True, only_expired=True))
        if not decided.differences:
            return ()
        return context.apply(run, decided, "prune", of_git=True)


def mark_active(context: ClientContext, name: str) -> JsonObject:
    """Mark a sandbox as in use, and return its handle. Raise UsageError if it does not exist, or is not ready."""
    with context.run(find_inputs=False) as run:
        home = _sure(copies_of(run, context.plan(run), name), name)
        with context.reported(run, "activity"):
            record = activate(run, home, context.how)
        return handle_of(run, home.with_record(record))


def mark_failed(context: ClientContext, name: str, why: str) -> None:
    """Mark a sandbox that cannot be created as failed, with the reason ``why``.

    One that is ready, or gone, stays as it is.
    """
    with context.run(find_inputs=False) as run:
        copies = copies_of(run, context.plan(run), name)
        if copies:
            home = _sure(copies, name)
            with context.reported(run, "give up"):
                give_up(run, home, printable(why)[:_LONGEST_REASON], context.how)


def _sure(copies: Sequence[LocatedSandbox], name: str) -> LocatedSandbox:
    """Return the home of a sandbox that is certainly ours. Raise SandboxNotFound, UsageError."""
    if not copies:
        raise SandboxNotFound(f"there is no sandbox {name} on the hosts", hint="see `sandboxer list`")
    if copies[0].observed.conflict or copies[0].observed.record is None:
        reason = copies[0].observed.conflict or "its record is gone"
        raise UsageError(f"{name} cannot be marked: {reason}", hint="see `sandboxer plan`")
    return copies[0]
