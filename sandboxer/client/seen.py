"""What there is, asked anew each time: all sandboxes, or the one of a name or id."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from sandboxer.errors import SandboxError, UsageError
from sandboxer.model.lifecycle import Phase
from sandboxer.wiring.found import find, handle_of, partial, sandboxes_there, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.client.access import Access
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.plan import Plan
    from sandboxer.wiring import Run
    from sandboxer.wiring.found import There

POLL_SECONDS = 1.0


class HostNotSeen(SandboxError):
    """A sandbox was not found, and may be on a host that did not answer in full."""


def handles(access: Access) -> list[JsonObject]:
    """Every sandbox that the hosts show; ``warn`` is told of a silent host."""
    with access.run() as run:
        decided = access.plan(run)
        for host, why in silent(run).items():
            access.warn(f"{host} did not answer: {why}")
        return [handle_of(run, there) for there in sandboxes_there(run, decided)]


def handle_named(access: Access, name: str) -> JsonObject:
    """The sandbox of a name or id. Raises UsageError where there is none."""
    with access.run() as run:
        home, *_ = find(run, access.plan(run), name)
        return handle_of(run, home)


def home_of(access: Access, name: str) -> There | None:
    """Where the sandbox of a name or id lives; None where there surely is none. Raises HostNotSeen, UsageError."""
    with access.run(find_inputs=False) as run:
        found = copies_seen(run, access.plan(run), name)
        return found[0] if found else None


def handle_if_there(access: Access, name: str) -> JsonObject | None:
    """As ``handle_named``, and None where there surely is none. Raises HostNotSeen too."""
    with access.run(find_inputs=False) as run:
        found = copies_seen(run, access.plan(run), name)
        return handle_of(run, found[0]) if found else None


def wait(access: Access, name: str, phase: Literal["ready", "destroyed"], timeout: float) -> JsonObject | None:
    """Waits until a sandbox is ready, or gone; gives its handle, None where it is gone."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            found = handle_if_there(access, name)
        except HostNotSeen:  # what may be there is not gone
            found, now = None, "not seen"
        else:
            now = str(found["phase"]) if found else Phase.DESTROYED.value
        if now == phase or (phase == "ready" and now == Phase.ACTIVE):
            return found
        if phase == "ready" and now == Phase.FAILED:
            raise SandboxError(name, f"{name} failed", hint=f"see `sandboxer events {name}`")
        if time.monotonic() >= deadline:
            raise SandboxError(name, f"{name} is {now} and not {phase} after {timeout:g} s")
        time.sleep(POLL_SECONDS)


def copies_seen(run: Run, decided: Plan, name: str) -> Sequence[There]:
    """A sandbox's home, and copies of it that go; nothing where there surely is none.

    Raises UsageError where several sandboxes have that name, HostNotSeen where it may be where no look was whole.
    """
    if not any(name in (one.change.sandbox, one.change.id) for one in sandboxes_there(run, decided)):
        must_be_seen(run, name)
        return ()
    found = find(run, decided, name)
    ids = sorted({copy.change.id for copy in found})
    if len(ids) > 1:
        raise UsageError(f"{name} is the name of {' and '.join(ids)}", hint="give the id of the one that is meant")
    return found


def must_be_seen(run: Run, name: str) -> None:
    """Raises HostNotSeen where a sandbox that is not found may be on a host that did not answer in full."""
    unseen = sorted({*silent(run), *partial(run)})
    if unseen:
        message = f"{name} may be on {', '.join(unseen)}, which did not answer in full"
        raise HostNotSeen(name, message, hint="see `sandboxer doctor`, and try again")
