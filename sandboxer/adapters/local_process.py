"""A process of this machine with its pipes, in place of a channel of SSH (``session.Process``)."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

from sandboxer.adapters.bootstrap import SHELL_CODE

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_CHUNK = 64 * 1024
_SLICE = 0.2  # seconds
_TERM_LIMIT = 2.0  # seconds between TERM and KILL


def home_folder() -> str:
    """Return the directory in which a login shell of this machine would start."""
    home = os.environ.get("HOME", "/")
    return home if Path(home).is_dir() else "/"


def exit_code(process: subprocess.Popen[bytes], timeout: float) -> int | None:
    """Return the exit code of a process; None if a signal ended it.

    Raise TimeoutError if it does not end within ``timeout`` seconds.
    """
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    return code if code >= 0 else None


class LocalProcess:
    """A shell in its own process group, so that it can be ended with its children (``session.Process``)."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["sh", "-c", SHELL_CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=home_folder(),
            start_new_session=True,
        )
        self._stdin = LocalPipe(self._process.stdin)
        self._stdout = LocalPipe(self._process.stdout)
        self._stderr = LocalPipe(self._process.stderr)

    def read_stdout(self, timeout: float) -> bytes:
        return self._stdout.read(timeout)

    def read_stderr(self, timeout: float) -> bytes:
        return self._stderr.read(timeout)

    def write(self, data: memoryview, timeout: float) -> int:
        return self._stdin.write(data, timeout)

    def end_input(self) -> None:
        self._stdin.close()

    def wait(self, timeout: float) -> int | None:
        return exit_code(self._process, timeout)

    def lost(self) -> str | None:
        return None

    def resize(self, columns: int, rows: int) -> None:
        """Do nothing: it has no terminal."""

    def end(self, *, forcibly: bool) -> None:
        self.end_input()
        if forcibly or self._process.poll() is None:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_TERM_LIMIT)
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._stdout.close()
        self._stderr.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


class LocalPipe:
    """One end of a pipe; waits in slices under a lock, so that another thread can close it in between."""

    def __init__(self, end: IO[bytes] | None) -> None:
        if end is None:
            raise ValueError("the process was started without this pipe")
        self._end = end
        self._lock = threading.Lock()
        os.set_blocking(end.fileno(), False)

    def read(self, timeout: float) -> bytes:
        return self._wait(select.POLLIN, timeout, lambda descriptor: os.read(descriptor, _CHUNK))

    def write(self, data: memoryview, timeout: float) -> int:
        return self._wait(select.POLLOUT, timeout, lambda descriptor: os.write(descriptor, data[:_CHUNK]))

    def close(self) -> None:
        with self._lock:
            self._end.close()

    def _wait(self, event: int, timeout: float, action: Callable[[int], _T]) -> _T:
        deadline = time.monotonic() + timeout
        while True:
            left = max(0.0, deadline - time.monotonic())
            with self._lock:
                if self._end.closed:
                    raise BrokenPipeError("ended by this client")
                poll = select.poll()
                poll.register(self._end.fileno(), event)
                if poll.poll(1000 * min(left, _SLICE)):
                    with contextlib.suppress(BlockingIOError):
                        return action(self._end.fileno())
            if left == 0.0:
                raise TimeoutError
