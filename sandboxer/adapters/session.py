"""The session with a started shell, the same for every transport; the differences are behind ``Process``."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Protocol, Self

from sandboxer.adapters.bootstrap import frame
from sandboxer.errors import CommandTimeout, HostUnreachable, OutputTooLarge
from sandboxer.model.protocols import CommandResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.model.protocols import Command

NOISE_LIMIT = 1024 * 1024  # bytes that a login shell may print before the marker
STALL_LIMIT = 60.0  # seconds that a write may wait with nobody reading
LEAVE_LIMIT = 5.0  # seconds that a command gets to end by itself when its session is closed
PIPE_SIZE = 32 * 1024  # bytes of input that any transport accepts before they are read; more needs a thread
SHOWN = 2000  # characters of standard error in a message


class Process(Protocol):
    """A shell that was started somewhere. Times are in seconds; a wait that exceeds them raises TimeoutError."""

    def read_stdout(self, timeout: float) -> bytes:
        """Return the next bytes, or none at the end of the output. Raise OSError if it was interrupted."""

    def read_stderr(self, timeout: float) -> bytes:
        """Return the next bytes of standard error, as ``read_stdout`` does; only one other thread calls it."""

    def write(self, data: memoryview, timeout: float) -> int:
        """Send some of the bytes and return their number. Raise OSError if nobody reads them any more."""

    def end_input(self) -> None:
        """End standard input. Idempotent; raise nothing."""

    def wait(self, timeout: float) -> int | None:
        """Return the exit code.

        It is None if it will never be known (the connection was lost, a signal ended the shell).
        """

    def lost(self) -> str | None:
        """Return why the connection is gone; None while it is open."""

    def end(self, *, forcibly: bool) -> None:
        """Release the command; with ``forcibly``, first terminate it with its children. Idempotent."""


class ShellSession:
    """A session with one running command (``model.protocols.Session``); calls ``on_end`` once, at its end."""

    def __init__(self, host: str, process: Process, command: Command, on_end: Callable[[], None]) -> None:
        self._host, self._process, self._command, self._on_end = host, process, command, on_end
        self._marker, self._head = frame(command.script)
        self._out = bytearray()
        self._received = 0
        self._marked = self._eof = self._ended = self._over_stderr = False
        self._keep_tail = True
        self._err = bytearray()
        self._end_lock = threading.Lock()
        # Nobody reads standard error during a session; unread, it would eventually block the command.
        self._drain = threading.Thread(target=self._drain_stderr, name=f"stderr of {host}", daemon=True)
        self._sender = threading.Thread(target=self._send_input, name=f"stdin of {host}", daemon=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.end_input()
        if not self._ended and not any(exc):
            with contextlib.suppress(TimeoutError):
                self._process.wait(LEAVE_LIMIT)
        self.end()

    # --- the two ways to use it ---

    def start(self) -> ShellSession:
        """Send the script and the command's input, for a session that continues from there."""
        self._drain.start()
        try:
            self.write(self._head + self._command.stdin)
        except BaseException:
            self.end(forcibly=True)
            raise
        return self

    def run(self) -> CommandResult:
        """Run the command to its end, within its limits of time and output."""
        self._keep_tail = False
        self._drain.start()
        timeout = self._command.timeout
        try:
            if len(self._head) + len(self._command.stdin) <= PIPE_SIZE:
                self._send_input()
            else:  # the command may print before it has read everything
                self._sender.start()
            return self._collect(timeout, time.monotonic() + timeout)
        except BaseException:
            self.end(forcibly=True)
            raise
        finally:
            self.end()

    # --- model.protocols.Session ---

    def write(self, data: bytes) -> None:
        """Send bytes to the command.

        Raise HostUnreachable if it has ended, CommandTimeout if it reads nothing for 60 s.
        """
        try:
            self._send(data)
        except TimeoutError:
            raise self._timed_out(STALL_LIMIT, "read no input for") from None
        except OSError as error:
            raise self._gone(f"its input was closed ({error.strerror or error})") from None

    def read_line(self, timeout: float) -> bytes:
        """Return the next line of output, without its newline."""
        deadline, seen = time.monotonic() + timeout, 0
        while (end := self._out.find(b"\n", seen)) < 0:
            seen = len(self._out)
            self._more(timeout, deadline)
        return self._take(end, end + 1)

    def read_exactly(self, count: int, timeout: float) -> bytes:
        """Return the next ``count`` bytes of output."""
        deadline = time.monotonic() + timeout
        while len(self._out) < count:
            self._more(timeout, deadline)
        return self._take(count, count)

    def finish(self, timeout: float) -> CommandResult:
        """Close the input and return exit code and unread output; of standard error only the last part."""
        self._process.end_input()
        try:
            return self._collect(timeout, time.monotonic() + timeout)
        except BaseException:
            self.end(forcibly=True)
            raise
        finally:
            self.end()

    def end(self, *, forcibly: bool = False) -> None:
        """Release the command. Idempotent, and safe to call from another thread."""
        with self._end_lock:
            if self._ended:
                return
            self._ended = True
        self._process.end(forcibly=forcibly)
        for thread in (self._drain, self._sender):
            if thread.ident is not None:
                thread.join(LEAVE_LIMIT)
        self._on_end()

    # --- output ---

    def _take(self, count: int, consume: int) -> bytes:
        data = bytes(self._out[:count])
        del self._out[:consume]
        return data

    def _more(self, timeout: float, deadline: float) -> None:
        if not self._fill(timeout, deadline):
            raise EOFError(f"the output of the command on {self._host} has ended")

    def _fill(self, timeout: float, deadline: float) -> bool:
        """Read some output into the buffer; return False at its end."""
        if self._eof:
            return False
        try:
            chunk = self._process.read_stdout(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise self._timed_out(timeout) from None
        except OSError as error:
            raise self._gone(str(error)) from None
        self._eof = not chunk
        if self._over_stderr:
            raise self._too_large("standard error")
        if self._eof and (reason := self._process.lost()) is not None:
            raise self._gone(reason)
        self._out += chunk
        if not self._marked:
            self._find_marker()
        else:
            self._received += len(chunk)
        if self._received > self._command.max_output:
            raise self._too_large("standard output")
        return not self._eof

    def _find_marker(self) -> None:
        """Drop the login shell's output, up to the marker."""
        noise, found, rest = self._out.partition(self._marker)
        if found:
            self._out, self._marked, self._received = rest, True, len(rest)
        elif self._eof or len(self._out) > NOISE_LIMIT:
            raise self._no_shell(noise)

    def _collect(self, timeout: float, deadline: float) -> CommandResult:
        while self._fill(timeout, deadline):
            pass
        try:
            code = self._process.wait(max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise self._timed_out(timeout) from None
        if code is None:
            raise self._gone(self._process.lost() or "killed by a signal")
        # All of it has arrived; a leftover child may still hold the pipe open, and is not waited for.
        self._drain.join(1.0)
        if self._over_stderr:
            raise self._too_large("standard error")
        return CommandResult(code, bytes(self._out), bytes(self._err))

    def _drain_stderr(self) -> None:
        limit = self._command.max_output
        with contextlib.suppress(OSError):
            while not self._ended:
                try:
                    chunk = self._process.read_stderr(0.5)
                except TimeoutError:
                    continue
                if not chunk:
                    return
                self._err += chunk
                if len(self._err) > limit:
                    del self._err[:-limit]
                    if not self._keep_tail:
                        self._over_stderr = True
                        self._process.end(forcibly=True)
                        return

    # --- input ---

    def _send_input(self) -> None:
        # A command need not read its input; its exit code and output show the result.
        with contextlib.suppress(OSError):
            self._send(self._head)
            self._send(self._command.stdin)
        self._process.end_input()

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._process.write(view, STALL_LIMIT) :]

    # --- errors ---

    def _message(self) -> str:
        text = bytes(self._err).decode(errors="replace").strip()[-SHOWN:]
        return f"; stderr: {text}" if text else ""

    def _timed_out(self, seconds: float, what: str = "did not answer within") -> CommandTimeout:
        return CommandTimeout(
            self._host,
            f"the command on {self._host} {what} {seconds:g} s{self._message()}",
            hint=f"check the load of {self._host}, or allow the command more time",
        )

    def _too_large(self, stream: str) -> OutputTooLarge:
        self.end(forcibly=True)
        limit = self._command.max_output
        return OutputTooLarge(self._host, f"the command on {self._host} printed more than {limit} bytes to {stream}")

    def _gone(self, reason: str) -> HostUnreachable:
        reason = self._process.lost() or reason
        return HostUnreachable(
            self._host,
            f"the command on {self._host} was interrupted: {reason}{self._message()}",
            hint=f"check the connection to {self._host} and run again; the output was discarded",
        )

    def _no_shell(self, noise: bytes | bytearray) -> HostUnreachable:
        self._drain.join(0.5)
        line = bytes(noise.strip().split(b"\n")[0][:200]).decode(errors="replace").strip()
        shown = f"; output: {line}" if line else ""
        return HostUnreachable(
            self._host,
            f"the login shell of {self._host} did not start sh{shown}{self._message()}",
            hint="give the account a login shell that runs commands, and a PATH with sh and dd",
        )
