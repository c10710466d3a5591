"""The whole text of a sandbox's last failure, which lies beside its record on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.hosts.scripts import host_command

if TYPE_CHECKING:
    from sandboxer.model.failure import Failure
    from sandboxer.model.protocols import HostTransport

FILE = "last-error.txt"
READ_SECONDS = 30.0


def heading(failure: Failure) -> str:
    """Return the first line of the file: it distinguishes the text of this failure from that of another one."""
    service = f" of {failure.service}" if failure.service else ""
    return f"{failure.at:%Y-%m-%dT%H:%M:%SZ} {failure.code} in step {failure.step}{service}"


def read_last_error(transport: HostTransport, *, root: str, fleet: str, identifier: str, failure: Failure) -> str:
    """Return the text of a failure that is on record, without its heading; empty if the host has none of it.

    Raise what a transport raises.
    """
    command = host_command("prelude.sh", "last_error.sh", timeout=READ_SECONDS, root=root, fleet=fleet, id=identifier)
    text = transport.run(command).stdout.decode("utf-8", "replace")
    first, _, rest = text.partition("\n")
    return rest.strip("\n") if first == heading(failure) else ""
