"""A shell, or one command, in a container of a sandbox or in its workspace on the host."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Self

from sandboxer.client.connect.target import target_of
from sandboxer.model.protocols import Terminal
from sandboxer.wiring.edges import Transports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandboxer.client.context import ClientContext
    from sandboxer.model.protocols import Command, Stream


class Shell:
    """A running shell: its ``stream``, and its separate connection. Use as a context manager."""

    def __init__(self, stream: Stream, transports: Transports) -> None:
        self.stream, self._transports = stream, transports

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stream.close()
        self._transports.close()


def shell(
    context: ClientContext,
    name: str,
    service: str | None,
    command: Sequence[str],
    terminal: Terminal | None,
    on_stderr: Callable[[bytes], None],
) -> Shell:
    """Start a command in a container of ``service``, without one in the workspace; without a command, a shell.

    With a ``terminal``, that is all three streams. ``on_stderr`` receives standard error, in another thread. Raise
    UsageError, SandboxError, HostError.
    """
    if terminal is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,60}", terminal.kind):
        terminal = Terminal(columns=terminal.columns, rows=terminal.rows)
    target = target_of(context, name)
    extension = target.capable("exec")
    to_run: Command = extension.exec(target, target.container(service) if service else None, command, terminal)
    transports = Transports(target.folder)
    try:
        stream = transports.to(target.host).stream(to_run, terminal, on_stderr)
    except BaseException:
        transports.close()
        raise
    return Shell(stream, transports)
