"""The commands that reach into a sandbox's working copy: a shell or one command, and copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.hosts.escaping import command_lines, escaped
from sandboxer.hosts.scripts import host_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.extensions.capabilities import CopyMode, LiveSandbox
    from sandboxer.model.protocols import Command, Terminal

COPY_SECONDS = 60.0


def exec_command(sandbox: LiveSandbox, command: Sequence[str], terminal: Terminal | None) -> Command:
    """Return the command that runs one in the working copy; see ``capabilities.SupportsExec``."""
    limits = sandbox.record.spec.get("setup", {}).get("limits", {})

    def limit(name: str, unit: int = 1) -> str:
        """Return a limit of `setup.limits`, times what makes it the unit of `ulimit` on the host."""
        return str(int(limits[name]) * unit) if name in limits else "-"

    return host_command(
        "prelude.sh",
        "sandboxer.extensions.dir_ssh:exec.sh",
        "command.sh",
        directory=sandbox.directory,
        uid=sandbox.record.uid,
        seconds=limit("seconds"),
        cpu=limit("cpuSeconds"),
        memory=limit("memoryMiB", 1024),
        blocks=limit("fileSizeMiB", 2048),
        open=limit("openFiles"),
        lines=command_lines(command, terminal),
    )


def copy_command(sandbox: LiveSandbox, mode: CopyMode, path: str) -> Command:
    """Return the command that copies out of the working copy, or into it; see ``capabilities.SupportsCopy``."""
    return host_command(
        "prelude.sh",
        "sandboxer.extensions.dir_ssh:copy.sh",
        timeout=COPY_SECONDS,
        way=mode,
        work=f"{sandbox.directory}/work",
        path=escaped(path),
    )
