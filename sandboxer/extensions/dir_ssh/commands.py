"""The commands that reach into a sandbox's working copy: a shell or one command, and copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.extensions.escaping import command_lines, escaped, standard_input
from sandboxer.extensions.scripts import script
from sandboxer.model.protocols import Command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.extensions.capabilities import CopyMode, LiveSandbox
    from sandboxer.model.protocols import Terminal

COPY_SECONDS = 60.0
# The limits of `setup.limits` in the order that exec.sh reads them, each with what makes it the unit of `ulimit` there.
_LIMITS = {"seconds": 1, "cpuSeconds": 1, "memoryMiB": 1024, "fileSizeMiB": 2048, "openFiles": 1}


def exec_command(sandbox: LiveSandbox, command: Sequence[str], terminal: Terminal | None) -> Command:
    """Return the command that runs one in the working copy; see ``capabilities.SupportsExec``."""
    given = sandbox.record.spec.get("setup", {}).get("limits", {})
    limits = [str(int(given[name]) * unit) if name in given else "-" for name, unit in _LIMITS.items()]
    lines = [*command_lines(command, terminal), sandbox.directory, sandbox.record.uid, *limits]
    return Command(script("command.sh", "dir_ssh/exec.sh"), standard_input(lines))


def copy_command(sandbox: LiveSandbox, mode: CopyMode, path: str) -> Command:
    """Return the command that copies out of the working copy, or into it; see ``capabilities.SupportsCopy``."""
    lines = (mode, f"{sandbox.directory}/work", escaped(path))
    return Command(script("dir_ssh/copy.sh"), standard_input(lines), timeout=COPY_SECONDS)
