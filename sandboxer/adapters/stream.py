"""A started shell with streamed input and output (``model.protocols.Stream``), the same for every transport."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from typing import TYPE_CHECKING, Protocol, Self

from sandboxer.adapters.bootstrap import frame
from sandboxer.adapters.session import LEAVE_LIMIT, NOISE_LIMIT, SHOWN, STALL_LIMIT, Process
from sandboxer.errors import CommandTimeout, HostUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.model.protocols import Command

_SLICE = 1.0  # seconds
_KEPT = 16 * 1024  # bytes of standard error


class Streamed(Process, Protocol):
    """A process that may have a terminal."""

    def resize(self, columns: int, rows: int) -> None:
        """Pass a new size to its terminal; do nothing if it has none."""


class ProcessStream:
    """One running command. ``on_end`` is called once, at its end; ``on_stderr`` receives its standard error."""

    def __init__(
        self,
        host: str,
        process: Streamed,
        command: Command,
        on_end: Callable[[], None],
        on_stderr: Callable[[bytes], None] | None = None,
    ) -> None:
        self._host, self._process, self._command, self._on_end = host, process, command, on_end
        self._on_stderr = on_stderr
        self._early = b""
        self._ended = False
        self._err = bytearray()
        self._end_lock = threading.Lock()
        self._drain = threading.Thread(target=self._drain_stderr, name=f"stderr of {host}", daemon=True)

    def start(self) -> Self:
        """Send the script and the command's input, and wait until the script runs. Raise HostError if it does not."""
        marker, head = frame(self._command.script)
        self._drain.start()
        try:
            self._begin(marker, head + self._command.stdin)
        except BaseException:
            self.end(forcibly=True)
            raise
        return self

    def _begin(self, marker: bytes, data: bytes) -> None:
        deadline = time.monotonic() + self._command.timeout
        try:
            self._send(memoryview(data), STALL_LIMIT)
        except TimeoutError:
            raise self._timed_out() from None
        except BrokenPipeError:
            pass  # prefer the command's own error message
        # A terminal writes a carriage return before the line's end.
        shown, noise = re.compile(re.escape(marker[:-1]) + rb"\r?\n"), b""
        while not (found := shown.search(noise)):
            try:
                chunk = self.read(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise self._timed_out() from None
            if not chunk or len(noise) > NOISE_LIMIT:
                raise self._no_shell(noise)
            noise += chunk
        self._early = noise[found.end() :]

    # --- model.protocols.Stream ---

    @property
    def error_output(self) -> str:
        """The end of its standard error, unless ``on_stderr`` receives it."""
        return bytes(self._err).decode(errors="replace").strip()[-SHOWN:]

    def read(self, timeout: float) -> bytes:
        """Return the next bytes of standard output; none at its end."""
        if self._early:
            early, self._early = self._early, b""
            return early
        try:
            chunk = self._process.read_stdout(timeout)
        except TimeoutError:
            raise
        except OSError as error:
            raise self._gone(str(error)) from None
        if not chunk and (reason := self._process.lost()) is not None:
            raise self._gone(reason)
        return chunk

    def write(self, data: bytes) -> None:
        """Send all of the bytes; wait as long as somebody may read them."""
        self._send(memoryview(data))

    def end_input(self) -> None:
        """Close its standard input."""
        self._process.end_input()

    def resize(self, columns: int, rows: int) -> None:
        """Pass a new size to its terminal."""
        self._process.resize(columns, rows)

    def wait(self, timeout: float) -> int:
        """Return its exit code.

        Raise CommandTimeout if it does not end in time, HostUnreachable if there will be no exit code.
        """
        try:
            code = self._process.wait(timeout)
        except TimeoutError:
            message = f"the command on {self._host} closed its output but did not exit within {timeout:g} s"
            raise CommandTimeout(self._host, message, hint=f"check the load of {self._host}") from None
        if threading.current_thread() is not self._drain:
            self._drain.join(1.0)  # a leftover child may hold the pipe open, and is not waited for
        if code is None:
            raise self._gone("killed by a signal")
        return code

    def close(self) -> None:
        """End it if it still runs. Idempotent, and safe to call from another thread."""
        self.end(forcibly=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def end(self, *, forcibly: bool) -> None:
        """Release the command. Idempotent, and safe to call from another thread."""
        with self._end_lock:
            if self._ended:
                return
            self._ended = True
        self._process.end(forcibly=forcibly)
        if self._drain.ident is not None and threading.current_thread() is not self._drain:
            self._drain.join(LEAVE_LIMIT)
        self._on_end()

    # --- internals ---

    def _send(self, view: memoryview, limit: float | None = None) -> None:
        """Send all of it.

        Raise TimeoutError if none of it is read for ``limit`` seconds, BrokenPipeError if there is no reader any more.
        """
        patience = time.monotonic() + limit if limit else None
        while view:
            try:
                view = view[self._process.write(view, _SLICE) :]
            except TimeoutError:
                if self._ended or (patience is not None and time.monotonic() > patience):
                    raise
            except OSError as error:
                if reason := self._process.lost():
                    raise self._gone(reason) from None
                raise BrokenPipeError(f"its input was closed ({error.strerror or error})") from None

    def _drain_stderr(self) -> None:
        with contextlib.suppress(OSError):
            while not self._ended:
                try:
                    chunk = self._process.read_stderr(0.5)
                except TimeoutError:
                    continue
                if not chunk:
                    return
                if self._on_stderr is not None:
                    self._on_stderr(chunk)
                else:
                    self._err = (self._err + chunk)[-_KEPT:]

    # --- errors ---

    def _timed_out(self) -> CommandTimeout:
        seconds = f"{self._command.timeout:g} s"
        hint = f"check the load of {self._host}"
        return CommandTimeout(self._host, f"{self._host} did not start a command within {seconds}", hint=hint)

    def _gone(self, reason: str) -> HostUnreachable:
        return HostUnreachable(
            self._host,
            f"the command on {self._host} was interrupted: {self._process.lost() or reason}",
            hint=f"check the connection to {self._host} and run again",
        )

    def _no_shell(self, noise: bytes) -> HostUnreachable:
        self._drain.join(0.5)
        line = noise.strip().split(b"\n")[0][:200].decode(errors="replace").strip()
        shown = "".join(f"; stderr: {text}" for text in (line, self.error_output) if text)
        return HostUnreachable(
            self._host,
            f"the login shell of {self._host} did not start sh{shown}",
            hint="give the account a login shell that runs commands, and a PATH with sh and dd",
        )
