"""The commands that connect to a sandbox: a shell or one command, copies, and the addresses of its ports."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from sandboxer.errors import UsageError
from sandboxer.extensions.escaping import command_lines, escaped, standard_input
from sandboxer.extensions.scripts import script
from sandboxer.model.protocols import Command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandboxer.extensions.capabilities import CopyMode, LiveSandbox
    from sandboxer.model.observed import Container
    from sandboxer.model.protocols import Terminal

COPY_SECONDS = 60.0
_LOOPBACK, _ANY = "127.0.0.1", ("", "0.0.0.0", "::")  # noqa: S104 - not a bind address: engines report these


def exec_command(
    sandbox: LiveSandbox, container: Container | None, command: Sequence[str], terminal: Terminal | None
) -> Command:
    """Return the command that runs one in a container, or in the workspace; see ``capabilities.SupportsExec``."""
    place = [sandbox.engine, container.id if container else "", "" if container else _workspace(sandbox)]
    lines = [*command_lines(command, terminal), *place, secrets.token_hex(12)]
    return Command(script("command.sh", "compose_ssh/shell.sh"), standard_input(lines))


def _workspace(sandbox: LiveSandbox) -> str:
    """Return the directory of the delivered files. Raise UsageError if the sandbox has none."""
    inputs = sandbox.record.inputs
    if inputs is None:
        services = ", ".join(sandbox.services)
        raise UsageError(f"{sandbox.name} has no workspace", hint=f"choose a service: {services}" if services else "")
    return f"{sandbox.directory}/workspace/tree/{inputs.digest.removeprefix('sha256:')}"


def copy_command(sandbox: LiveSandbox, container: Container | None, mode: CopyMode, path: str) -> Command:
    """Return the command that copies out of a container, or into it; see ``capabilities.SupportsCopy``."""
    if container is None:
        raise UsageError(f"{sandbox.name} has no containers", hint="see `sandboxer get`")
    words = (mode, container.engine, container.id, escaped(path))
    return Command(script("compose_ssh/copy.sh"), "".join(f"{word}\n" for word in words).encode(), timeout=COPY_SECONDS)


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
