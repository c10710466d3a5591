"""Hosts over SSH, by paramiko: one connection to each, with several commands on it at once."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from typing import TYPE_CHECKING, TypeVar

from sandboxer.adapters.bootstrap import LOGIN_LINE
from sandboxer.adapters.light_paramiko import paramiko
from sandboxer.adapters.session import ShellSession
from sandboxer.adapters.ssh_config import SshTarget, resolve
from sandboxer.adapters.ssh_connect import LOST, JumpPool, Shared, connect, lost, reason_of
from sandboxer.adapters.stream import ProcessStream
from sandboxer.errors import CommandTimeout, HostUnreachable
from sandboxer.model.protocols import TransportStats

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.adapters.ssh_channel import ChannelSocket, Connection, TunnelSocket
    from sandboxer.adapters.stream import Streamed
    from sandboxer.model.protocols import Command, CommandResult, Terminal

__all__ = ["JumpPool", "SshTarget", "SshTransport"]

_SESSIONS = 8  # sshd allows 10 on a connection
_OPEN_LIMIT = 30.0  # seconds that sshd gets to answer at all
_REFUSED_LIMIT = 2.0  # seconds that sshd gets to clean up after the last session that we ended
_CHUNK = 64 * 1024
_PACKET = 32 * 1024
_SLICE = 0.25  # seconds
_TUNNEL_WINDOW = 256 * 1024  # bytes that wait on this side for a slow reader
_T = TypeVar("_T")
_Talk = TypeVar("_Talk", ShellSession, ProcessStream)


class SshTransport:
    """The transport that runs commands on one host over SSH (``model.protocols.HostTransport``).

    The connection is opened at first use, once: after a failure to connect, or a lost connection, every later call gets
    that error. ``jumps`` is shared by the transports of one process; ``connect_timeout`` is in seconds.
    """

    def __init__(self, target: SshTarget, *, connect_timeout: float = 10.0, jumps: JumpPool | None = None) -> None:
        self._host = target.host
        self._target, self._timeout = target, connect_timeout
        self._jumps, self._own_jumps = jumps or JumpPool(), jumps is None
        self._connection = Shared(target.host, self._connect)
        self._slots = threading.BoundedSemaphore(_SESSIONS)
        self._lock = threading.Lock()
        self._sessions: set[ShellSession | ProcessStream] = set()
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
        return self._begin(
            command, terminal, lambda process, ended: ProcessStream(self._host, process, command, ended, on_stderr)
        ).start()

    def tunnel(self, address: str, port: int) -> TunnelSocket:
        """Return a socket-like connection that the host opens for us to an address that it reaches.

        Raise HostUnreachable if it does not reach it.
        """
        try:
            return self._connection.get().tunnel(address, port, self._timeout, _TUNNEL_WINDOW)
        except LOST as error:
            raise HostUnreachable(
                self._host,
                f"{self._host} cannot reach {address}:{port} ({reason_of(error)})",
                hint="check that a service listens there and that sshd allows forwarding (AllowTcpForwarding)",
            ) from None

    def is_lost(self) -> bool:
        """Return whether the connection is gone, or could not be opened; connect first if needed."""
        try:
            self._connection.get()
        except HostUnreachable:
            return True
        return False

    def close(self) -> None:
        """Close the sessions and the connection, and those to its jump hosts if they are not shared."""
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.end(forcibly=True)
        self._connection.close(HostUnreachable(self._host, f"the transport to {self._host} is closed"))
        if self._own_jumps:
            self._jumps.close()

    def _connect(self) -> Connection:
        transport = connect(resolve(self._target), self._timeout, self._jumps)
        self.stats.count_connection()
        return transport

    def _session(self, command: Command) -> ShellSession:
        return self._begin(
            command, None, lambda process, ended: ShellSession(self._host, process, command, on_end=ended)
        )

    def _begin(
        self, command: Command, terminal: Terminal | None, make: Callable[[Streamed, Callable[[], None]], _Talk]
    ) -> _Talk:
        connection = self._connection.get()
        deadline = time.monotonic() + command.timeout
        if not self._slots.acquire(timeout=command.timeout):
            raise CommandTimeout(
                self._host,
                f"{_SESSIONS} commands ran on {self._host} for {command.timeout:g} s; none ended to free a session",
                hint="run fewer commands at once, or allow them more time",
            )
        try:
            channel = self._channel(connection, deadline, terminal)
        except BaseException:
            self._slots.release()
            raise
        session: _Talk = make(_ChannelProcess(connection, channel), lambda: self._ended(session))
        with self._lock:
            self._sessions.add(session)
            self.stats.count_command()
        return session

    def _ended(self, session: ShellSession | ProcessStream) -> None:
        with self._lock:
            self._sessions.discard(session)
        self._slots.release()

    def _channel(self, connection: Connection, deadline: float, terminal: Terminal | None) -> ChannelSocket:
        """Return a channel with a shell on it. Wait if sshd allows fewer at once than we do."""
        patience = time.monotonic() + _REFUSED_LIMIT
        while True:
            requested_at = time.monotonic()
            limit = max(0.1, min(_OPEN_LIMIT, deadline - requested_at))
            try:
                return connection.session(LOGIN_LINE, limit, terminal)
            except LOST as error:
                if not connection.is_active():
                    raise lost(self._host, error) from None
                now = time.monotonic()
                if now - requested_at >= limit:
                    raise CommandTimeout(
                        self._host,
                        f"{self._host} has not answered for {limit:.0f} s",
                        hint=f"check the load of {self._host}: the connection is open but idle",
                    ) from None
                with self._lock:
                    if self._sessions:
                        patience = now + _REFUSED_LIMIT
                if now > min(patience, deadline):
                    raise HostUnreachable(
                        self._host,
                        f"{self._host} opened no session: {reason_of(error)}",
                        hint=f"allow sessions in its sshd_config, preferably {_SESSIONS} at once (MaxSessions)",
                    ) from None
                time.sleep(random.uniform(0.05, 0.2))  # noqa: S311 - spreads the retries, no secret


class _ChannelProcess:
    """A shell at the other end of a channel (``session.Process``)."""

    def __init__(self, connection: Connection, channel: ChannelSocket) -> None:
        self._connection, self._channel = connection, channel

    def read_stdout(self, timeout: float) -> bytes:
        return self._patiently(timeout, lambda: self._channel.recv(_CHUNK))

    def read_stderr(self, timeout: float) -> bytes:
        return self._patiently(timeout, lambda: self._channel.recv_stderr(_CHUNK))

    def write(self, data: memoryview, timeout: float) -> int:
        return self._patiently(timeout, lambda: self._channel.send(bytes(data[:_PACKET])))

    def end_input(self) -> None:
        with contextlib.suppress(*LOST):
            self._channel.shutdown_write()

    def wait(self, timeout: float) -> int | None:
        return self._channel.exit_code(timeout)

    def lost(self) -> str | None:
        if self._connection.is_active():
            return None
        return reason_of(self._connection.saved_exception)

    def resize(self, columns: int, rows: int) -> None:
        with contextlib.suppress(*LOST):
            self._channel.request("window-change", columns, rows, 0, 0)

    def end(self, *, forcibly: bool) -> None:
        with contextlib.suppress(*LOST):
            if forcibly:
                # sshd passes it on to the children too, but not if the login is root; then they find their pipes
                # closed.
                self._channel.request("signal", "TERM")
            self._channel.close()

    def _patiently(self, timeout: float, action: Callable[[], _T]) -> _T:
        """Run an action in slices up to its own limit: all threads of a channel share one time limit."""
        deadline = time.monotonic() + timeout
        while True:
            left = max(0.0, deadline - time.monotonic())
            self._channel.settimeout(min(left, _SLICE))
            try:
                return action()
            except TimeoutError:
                if not left:
                    raise
            except (paramiko.SSHException, EOFError) as error:
                raise OSError(reason_of(error)) from None
