"""Paramiko's connection and channels, made safe for several threads.

In the library, the reading thread acknowledges the end of a channel at once, while another thread may be sending on it.
What arrives after that refers to a channel that sshd has forgotten, or given to somebody else, and sshd then ends the
whole connection. Here only the channel's user sends the end, after everything else.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING

from paramiko.common import MSG_CHANNEL_CLOSE, cMSG_CHANNEL_REQUEST

from sandboxer.adapters.light_paramiko import paramiko

if TYPE_CHECKING:
    import socket

    from sandboxer.model.protocols import Terminal

_GONE = (paramiko.SSHException, OSError, EOFError)  # what the library raises on a connection that is gone

# RFC 4254, section 8: the terminal modes that are off while a script arrives on it, each by its number. It echoes
# nothing, and waits for no line (ICRNL, IXON, ISIG, ICANON, ECHO). Output stays as on any terminal.
_QUIET = b"".join(bytes([mode, 0, 0, 0, 0]) for mode in (36, 38, 50, 51, 53)) + b"\0"
# Our own errors report what the library logs, its tracebacks included.
logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").propagate = False
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


def _ended_there(channel: paramiko.Channel, _: paramiko.Message) -> None:
    """Wake everyone who waits on a channel that the other side has closed, and leave the answer to its user."""
    with channel.lock:
        channel.eof_received = True
        channel.in_buffer.close()
        channel.in_stderr_buffer.close()
        channel.out_buffer_cv.notify_all()
        channel.status_event.set()


class _Packetizer(paramiko.packet.Packetizer):
    def start_handshake(self, timeout: float) -> None:
        """Start no timer thread: whoever waits for the handshake has a deadline."""


class Connection(paramiko.Transport):
    """One SSH connection, over a socket or through a channel of another."""

    _channel_handler_table = paramiko.Transport._channel_handler_table | {  # type: ignore[attr-defined]  # noqa: SLF001
        MSG_CHANNEL_CLOSE: _ended_there
    }

    def __init__(self, sock: socket.socket | ChannelSocket) -> None:
        super().__init__(sock, packetizer_class=_Packetizer)  # type: ignore[arg-type]  # it only needs the methods

    def session(self, line: str, timeout: float, terminal: Terminal | None = None) -> ChannelSocket:
        """Return a channel on which the login shell runs a command line, with ``terminal`` if one is given."""
        channel = ChannelSocket(self, self.open_session(timeout=timeout))
        if terminal is not None:
            channel.request("pty-req", terminal.kind, terminal.columns, terminal.rows, 0, 0, _QUIET)
        channel.request("exec", line)
        return channel

    def tcp(self, address: str, port: int, timeout: float) -> ChannelSocket:
        """Return a connection that the other side opens for us."""
        channel = self.open_channel("direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=timeout)
        return ChannelSocket(self, channel)

    def tunnel(self, address: str, port: int, timeout: float, window: int) -> TunnelSocket:
        """Return a tunnel like ``tcp``; at most ``window`` bytes wait here to be read."""
        origin = ("127.0.0.1", 0)
        channel = self.open_channel("direct-tcpip", (address, port), origin, window_size=window, timeout=timeout)
        return TunnelSocket(self, channel)


class ChannelSocket:
    """A channel with the methods of a socket. Several threads may use it: nothing is sent after its end."""

    def __init__(self, connection: Connection, channel: paramiko.Channel) -> None:
        self._connection, self._channel = connection, channel
        self._sending = threading.Lock()

    def settimeout(self, seconds: float | None) -> None:
        """Limit how long a read or a write may wait, in seconds; one limit for all threads."""
        self._channel.settimeout(seconds)

    def recv(self, size: int) -> bytes:
        """Return some bytes; none at the end. Raise TimeoutError after the time limit."""
        return self._channel.recv(size)

    def recv_stderr(self, size: int) -> bytes:
        """Return some bytes of standard error, as ``recv`` does."""
        return self._channel.recv_stderr(size)

    def send(self, data: bytes) -> int:
        """Send some of the bytes and return their number. Raise OSError if the other side takes no more."""
        with self._sending:
            if not self.ended:
                sent = self._channel.send(data)
                if sent:
                    return sent
        raise BrokenPipeError("the command's input is closed")

    def sendall(self, data: bytes) -> None:
        """Send all of the bytes."""
        view = memoryview(data)
        while view:
            view = view[self.send(bytes(view[: 32 * 1024])) :]

    def request(self, kind: str, *values: str | bytes | int) -> None:
        """Send sshd a request without waiting for an answer; the library would wait without a time limit."""
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_REQUEST)
        message.add_int(self._channel.remote_chanid)
        message.add_string(kind)
        message.add_boolean(False)
        for value in values:
            message.add_int(value) if isinstance(value, int) else message.add_string(value)
        with self._sending:
            if not self._channel.closed:
                self._connection._send_user_message(message)  # type: ignore[attr-defined]  # noqa: SLF001

    def shutdown_write(self) -> None:
        """Close the sending direction."""
        with self._sending:
            if not self._channel.closed:
                self._channel.shutdown_write()

    def close(self) -> None:
        """Close the channel. Idempotent."""
        with self._sending:
            self._channel.close()

    @property
    def ended(self) -> bool:
        """Whether the other side, or this one, has ended it."""
        return self._channel.closed or self._channel.status_event.is_set()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called, or the connection is gone."""
        return self._channel.closed

    _closed = closed  # the name that the library expects of a socket

    def exit_code(self, timeout: float) -> int | None:
        """Return the command's exit code; None if it ended without one.

        Raise TimeoutError if it has not ended in time.
        """
        if not self._channel.status_event.wait(timeout):
            raise TimeoutError
        return self._channel.exit_status if self._channel.exit_status >= 0 else None


class TunnelSocket(ChannelSocket):
    """A channel that distinguishes its end from that of the connection (``model.protocols.Tunnel``)."""

    def recv(self, size: int) -> bytes:
        """Return some bytes; none at the end. Raise ConnectionResetError if it was interrupted."""
        data = super().recv(size)
        if not data and not self._connection.is_active():
            raise ConnectionResetError("the connection to the host was lost")
        return data

    def send(self, data: bytes) -> int:
        """Send some of the bytes; raise OSError if the other side takes no more."""
        try:
            return super().send(data)
        except (paramiko.SSHException, EOFError) as error:
            raise ConnectionResetError(str(error)) from None

    def shutdown_write(self) -> None:
        """Close the sending direction; do nothing if the connection is gone."""
        with contextlib.suppress(*_GONE):
            super().shutdown_write()

    def close(self) -> None:
        """Close both directions. Idempotent."""
        with contextlib.suppress(*_GONE):
            super().close()
