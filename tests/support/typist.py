"""A user at a real terminal: the program runs on it, keys are typed, and its output is read."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Typist:
    """A terminal and a program that controls it. ``shown`` is all output so far. Use as a context manager."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self._ours, self._theirs = os.openpty()
        self.before = self.modes()
        self.shown = ""
        self.resize(100, 30)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *command],
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env=dict(env),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait(10)
        os.close(self._ours)
        os.close(self._theirs)

    def modes(self) -> list[Any]:
        """Return the terminal's settings."""
        return termios.tcgetattr(self._theirs)

    def resize(self, columns: int, rows: int) -> None:
        """Resize the window."""
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        """Type keys; a line ends with a carriage return, as the Enter key does."""
        os.write(self._ours, keys.encode())

    def until(self, text: str, seconds: float = 30) -> None:
        """Read until a text appears in new output; it and the output before it are not searched again."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            left = deadline - time.monotonic()
            assert left > 0, f"not within {seconds:g} s: {text!r} in {self.shown!r}"
            if select.select([self._ours], [], [], min(left, 0.2))[0]:
                self._read()
            elif self.process.poll() is not None:
                raise AssertionError(f"it ended with {self.process.returncode}, without {text!r}: {self.shown!r}")
        self.shown = self.shown.partition(text)[2]

    def end(self, seconds: float = 60) -> int:
        """Wait for the program's end and return its exit code; its output is read meanwhile."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it has not ended within {seconds:g} s: {self.shown!r}"
            if select.select([self._ours], [], [], 0.1)[0]:
                self._read()
        while select.select([self._ours], [], [], 0.1)[0]:
            self._read()
        return self.process.returncode

    def _read(self) -> None:
        came = os.read(self._ours, 65536).decode(errors="replace")
        self.shown += came
        for _ in range(came.count("\x1b[6n")):  # a shell queries the cursor's position, and a terminal answers
            self.type("\x1b[1;1R")
