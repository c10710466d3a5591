"""What an imperative sandbox was asked for with, read from beside its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.errors import SandboxError
from sandboxer.extensions.workbench import ASKED_FILE, Workbench
from sandboxer.model.asked import Asked

if TYPE_CHECKING:
    from sandboxer.extensions.base import Work


def asked_for(work: Work) -> Asked:
    """The document that the sandbox of ``work`` was asked for with. Raises SandboxError where it is not there.

    Its lock is held for the moment in which it is read. Raises what a Workbench raises, too.
    """
    with Workbench(work) as bench:
        reply = bench.call("show", ASKED_FILE)
    asked = Asked.parse(work.id, reply.output) if reply.code == 0 else None
    if asked is None or asked.name != work.name:
        message = f"what {work.name} was asked for with is not on {work.place.host} any more"
        raise SandboxError(work.name, message, hint=f"`sandboxer destroy {work.name}`, and create it again")
    return asked
