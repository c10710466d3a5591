"""This machine as a host: the same session as over SSH, with a process instead of a channel."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

from sandboxer.adapters.local_process import LocalProcess
from sandboxer.adapters.local_tunnel import LocalTunnel
from sandboxer.adapters.session import ShellSession
from sandboxer.adapters.stream import ProcessStream
from sandboxer.errors import HostUnreachable
from sandboxer.model.protocols import TransportStats

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.adapters.stream import Streamed
    from sandboxer.model.protocols import Command, CommandResult, Terminal

_Talk = TypeVar("_Talk", ShellSession, ProcessStream)


class LocalTransport:
    """The transport that runs commands on this machine (``model.protocols.HostTransport``).

    ``host`` is its name in the fleet.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._lock = threading.Lock()
        self._sessions: set[ShellSession | ProcessStream] = set()
        self._closed = False
        self.stats = TransportStats()

    def run(self, command: Command) -> CommandResult:
        """Run a command to its end; the protocol documents the errors."""
        return self._session(command).run()

    def open(self, command: Command) -> ShellSession:
        """Start a command and return the session with it."""
        return self._session(command).start()

    def stream(
        self, command: Command, terminal: Terminal | None = None, on_stderr: Callable[[bytes], None] | None = None
    ) -> ProcessStream:
        """Start a command whose output may be of any length; see the protocol."""

        def make(process: Streamed, ended: Callable[[], None]) -> ProcessStream:
            return ProcessStream(self._host, process, command, ended, on_stderr)

        return self._begin(make, terminal).start()

    def tunnel(self, address: str, port: int) -> LocalTunnel:
        """Return a connection to an address that this machine reaches. Raise HostUnreachable if it does not."""
        return LocalTunnel.to(self._host, address, port)

    def is_lost(self) -> bool:
        """Return whether the transport was closed; until then this machine is reachable."""
        return self._closed

    def close(self) -> None:
        """End every command that is still running."""
        with self._lock:
            self._closed = True
            sessions = list(self._sessions)
        for session in sessions:
            session.end(forcibly=True)

    def _session(self, command: Command) -> ShellSession:
        return self._begin(lambda process, ended: ShellSession(self._host, process, command, on_end=ended))

    def _begin(self, make: Callable[[Streamed, Callable[[], None]], _Talk], terminal: Terminal | None = None) -> _Talk:
        with self._lock:
            if self._closed:
                raise HostUnreachable(self._host, f"the transport to {self._host} is closed")
            try:
                process = _process(terminal)
            except OSError as error:
                raise HostUnreachable(
                    self._host, f"cannot start sh on {self._host}: {error.strerror}", hint="add sh to the PATH"
                ) from None
            session: _Talk = make(process, lambda: self._sessions.discard(session))
            self._sessions.add(session)
            if not self.stats.connections:  # this machine is connected to at the first command
                self.stats.count_connection()
            self.stats.count_command()
        return session


def _process(terminal: Terminal | None) -> Streamed:
    if terminal is None:
        return LocalProcess()
    from sandboxer.adapters.local_terminal import LocalTerminal

    return LocalTerminal(terminal)
