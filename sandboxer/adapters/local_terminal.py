"""A shell on this machine with its own terminal, as sshd would provide it (``session.Process``)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from typing import TYPE_CHECKING

from sandboxer.adapters.bootstrap import SHELL_CODE
from sandboxer.adapters.local_process import LocalPipe, exit_code, home_folder

if TYPE_CHECKING:
    from sandboxer.model.protocols import Terminal

_TERM_LIMIT = 2.0  # seconds between hang-up and KILL


class LocalTerminal:
    """A shell that leads a POSIX session; the other end of its terminal is read and written here."""

    def __init__(self, terminal: Terminal) -> None:
        ours, theirs = pty.openpty()
        try:
            _quiet(theirs)
            _resize(theirs, terminal.columns, terminal.rows)
            self._process = subprocess.Popen(
                ["sh", "-c", SHELL_CODE],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                cwd=home_folder(),
                env={**os.environ, "TERM": terminal.kind},
                start_new_session=True,
                preexec_fn=_take_terminal,  # noqa: PLW1509 - one system call, which only the child can make
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        # A file for each direction: a read that waits would block writes of what is typed.
        self._input = LocalPipe(os.fdopen(os.dup(ours), "wb", buffering=0))
        self._output = LocalPipe(os.fdopen(ours, "rb", buffering=0))
        self._number = ours

    def read_stdout(self, timeout: float) -> bytes:
        try:
            return self._output.read(timeout)
        except OSError as error:
            if error.errno == errno.EIO:  # Linux: the other end is closed
                return b""
            raise

    def read_stderr(self, timeout: float) -> bytes:  # noqa: ARG002 - a terminal is one stream
        return b""

    def write(self, data: memoryview, timeout: float) -> int:
        return self._input.write(data, timeout)

    def end_input(self) -> None:
        """Do nothing: a terminal's end of input is a character, which only the user types."""

    def wait(self, timeout: float) -> int | None:
        return exit_code(self._process, timeout)

    def lost(self) -> str | None:
        return None

    def resize(self, columns: int, rows: int) -> None:
        with contextlib.suppress(OSError):
            _resize(self._number, columns, rows)

    def end(self, *, forcibly: bool) -> None:
        """Hang up, as a terminal does, and kill what does not end by that."""
        self._input.close()
        self._output.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_TERM_LIMIT)
        if forcibly or self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _resize(number: int, columns: int, rows: int) -> None:
    fcntl.ioctl(number, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def _quiet(number: int) -> None:
    """Turn off echo and line mode while a script arrives, as over SSH."""
    modes = termios.tcgetattr(number)
    modes[0] &= ~(termios.ICRNL | termios.IXON)
    modes[3] &= ~(termios.ISIG | termios.ICANON | termios.ECHO)
    termios.tcsetattr(number, termios.TCSANOW, modes)
