"""A shell, or one command, in a container of a sandbox or in its workspace on the host."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Self

from sandboxer.adapters.transports import Transports
from sandboxer.client.reach.place import place_of
from sandboxer.client.reach.words import escaped
from sandboxer.errors import UsageError
from sandboxer.extensions.scripts import script
from sandboxer.model.seams import Command, Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandboxer.client.access import Access
    from sandboxer.client.reach.place import Place
    from sandboxer.model.seams import Stream


class Shell:
    """A shell that runs: its ``stream``, and the connection that is its own. Use as a context manager."""

    def __init__(self, stream: Stream, transports: Transports) -> None:
        self.stream, self._transports = stream, transports

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stream.close()
        self._transports.close()


def shell(
    access: Access,
    name: str,
    service: str | None,
    command: Sequence[str],
    terminal: Terminal | None,
    on_stderr: Callable[[bytes], None],
) -> Shell:
    """Starts a command in a container of ``service``, without one in the workspace; without a command, a shell.

    With a ``terminal`` all three streams are that. ``on_stderr`` gets standard error, from another thread. Raises
    UsageError, SandboxError, HostError.
    """
    if terminal is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,60}", terminal.kind):
        terminal = Terminal(columns=terminal.columns, rows=terminal.rows)
    place = place_of(access, name)
    container, folder = (place.container(service).id, "") if service else ("", _workspace(place))
    words = [place.engine, container, folder]
    words += ["yes", terminal.kind] if terminal else ["no", "dumb"]
    words += [secrets.token_hex(12), str(len(command)), *(escaped(word) for word in command)]
    data = "".join(f"{word}\n" for word in words).encode(errors="surrogateescape")
    transports = Transports(place.folder)
    try:
        stream = transports.to(place.host).stream(Command(script("compose_ssh/shell.sh"), data), terminal, on_stderr)
    except BaseException:
        transports.close()
        raise
    return Shell(stream, transports)


def _workspace(place: Place) -> str:
    """The folder of the delivered files. Raises UsageError where a sandbox has none."""
    inputs = place.record.inputs
    if inputs is None:
        services = ", ".join(place.services)
        raise UsageError(f"{place.name} has no workspace", hint=f"name a service: {services}" if services else "")
    digest = inputs.digest.removeprefix("sha256:")
    return f"{place.host.spec.root}/{place.fleet}/{place.sight.id}/workspace/tree/{digest}"
