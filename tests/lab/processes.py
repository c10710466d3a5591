"""Processes with a unique identity: the ID and the moment of the start."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.errors import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Process:
    """One process of this machine: its ID, and its start in clock ticks since boot (IDs are used again)."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> Process:
        """Return the process that has this ID now."""
        return cls(pid, _stat(pid)[1])

    @classmethod
    def me(cls) -> Process:
        """Return the current process."""
        return cls.of(os.getpid())

    @classmethod
    def read(cls, path: Path) -> Process | None:
        """Return the identity in a file of two numbers; None if it is absent or not yet complete."""
        try:
            pid, start = path.read_text().split()
            return cls(int(pid), int(start))
        except (OSError, ValueError):
            return None

    def alive(self) -> bool:
        """Return whether it still runs; a zombie does not."""
        # One of our own children stays a zombie until somebody waits for it.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        state, start = _stat(self.pid)
        return start == self.start and state not in "ZX"

    def kill(self) -> None:
        """Kill exactly this process, if it exists."""
        # The handle keeps the ID from going to another process between the check and the signal.
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(self.pid)
            try:
                if self.alive():
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)


def kill_all(processes: Iterable[Process], *, seconds: float) -> None:
    """Kill the processes and wait until each is gone; raise LabError if one stays."""
    doomed = list(processes)
    for process in doomed:
        process.kill()
    for process in doomed:
        wait_until(lambda p=process: not p.alive(), seconds=seconds, what=f"the end of process {process.pid}")  # type: ignore[misc]


def _stat(pid: int) -> tuple[str, int]:
    """Return state and start of a process; ``("X", 0)`` if there is none."""
    try:
        # The name, in parentheses, may itself contain spaces and parentheses.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "X", 0
    return fields[0], int(fields[19])
