"""Whether a sandbox is on a host, for a client that is about to create it on another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.errors import ObservationIncomplete, StaleChange
from sandboxer.hosts.scripts import host_command
from sandboxer.model.text import named

if TYPE_CHECKING:
    from sandboxer.hosts.operation import Operation

QUERY_SECONDS = 30.0


def must_be_away(operation: Operation, *, by_name: bool) -> None:
    """Raise StaleChange if the sandbox, or with ``by_name`` one of its name, is on the operation's host now."""
    target = operation.target
    command = host_command(
        "prelude.sh",
        "names.sh",
        "present.sh",
        timeout=QUERY_SECONDS,
        root=target.root,
        fleet=operation.fleet,
        id=operation.id,
        name=operation.name if by_name else "",
    )
    result = target.transport.run(command)
    answer = result.stdout.decode("ascii", "replace").strip()
    if answer == "here":
        raise StaleChange(
            operation.name, f"{named('sandbox', operation.name)} is now on {target.host}", hint="plan again"
        )
    if answer != "away":
        raise ObservationIncomplete(target.host, f"cannot check {target.host} for {operation.name}")
