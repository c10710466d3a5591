"""The commands that connect to a sandbox: a shell or one command, copies, and the addresses of its ports."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sandboxer.errors import UsageError
from sandboxer.hosts.escaping import command_lines, escaped
from sandboxer.hosts.scripts import host_command
from sandboxer.model.text import named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandboxer.extensions.capabilities import CopyMode, LiveSandbox
    from sandboxer.model.observed import Container
    from sandboxer.model.protocols import Command, Terminal

COPY_SECONDS = 60.0
_LOOPBACK, _ANY = "127.0.0.1", ("", "0.0.0.0", "::")  # noqa: S104 - not a bind address: engines report these


def exec_command(
    sandbox: LiveSandbox, container: Container | None, command: Sequence[str], terminal: Terminal | None
) -> Command:
    """Return the command that runs one in a container, or in the workspace; see ``capabilities.SupportsExec``."""
    return host_command(
        "prelude.sh",
        "sandboxer.extensions.compose_ssh:shell.sh",
        "command.sh",
        engine=sandbox.engine,
        id=container.id if container else "",
        folder="" if container else _workspace(sandbox),
        fresh=secrets.token_hex(12),
        lines=command_lines(command, terminal),
    )


def _workspace(sandbox: LiveSandbox) -> str:
    """Return the directory of the delivered files. Raise UsageError if the sandbox has none."""
    inputs = sandbox.record.inputs
    if inputs is None:
        services = ", ".join(sandbox.services)
        raise UsageError(
            f"{named('sandbox', sandbox.name)} has no workspace",
            hint=f"choose a service: {services}" if services else "",
        )
    return f"{sandbox.directory}/workspace/tree/{inputs.digest.removeprefix('sha256:')}"


def copy_command(sandbox: LiveSandbox, container: Container | None, mode: CopyMode, path: str) -> Command:
    """Return the command that copies out of a container, or into it; see ``capabilities.SupportsCopy``."""
    if container is None:
        raise UsageError(f"{named('sandbox', sandbox.name)} has no containers", hint="see `sandboxer get`")
    return host_command(
        "prelude.sh",
        "sandboxer.extensions.compose_ssh:copy.sh",
        timeout=COPY_SECONDS,
        way=mode,
        engine=container.engine,
        id=container.id,
        path=escaped(path),
    )


def addresses(sandbox: LiveSandbox, service: str, port: int) -> list[tuple[str, int]]:
    """Return where the host reaches a port of a service; see ``capabilities.SupportsAddresses``."""
    running = (container for container in sandbox.services.get(service, ()) if container.state == "running")
    return [address for container in running for address in _addresses_of(container, port)]


def _addresses_of(container: Container, number: int) -> Iterator[tuple[str, int]]:
    for port in container.ports:
        if port.container_port == number and port.protocol == "tcp":
            yield _LOOPBACK if port.host_address in _ANY else port.host_address, port.host_port
            return
    address = next((container.addresses[network] for network in sorted(container.addresses)), None)
    if address:
        yield address, number
