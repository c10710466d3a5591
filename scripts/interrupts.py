"""Signal handling for a program that must leave nothing behind: an interrupt never loses track of a child process."""

from __future__ import annotations

import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Interrupts:
    """State of the signal handling: a signal interrupts, or it is delayed while ``held``."""

    held = False
    came = False


def install() -> None:
    """Let the first of these signals raise KeyboardInterrupt; further ones do not disturb the clean-up."""
    for number in _SIGNALS:
        signal.signal(number, _on_signal)


def ignore() -> None:
    """Ignore further interrupts."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _on_signal(_number: int, _frame: object) -> None:
    if _Interrupts.held:
        _Interrupts.came = True
        return
    ignore()
    raise KeyboardInterrupt


@contextmanager
def held() -> Iterator[None]:
    """Delay signals until the end of the block: a clean-up could not see what is half made there."""
    _Interrupts.held = True
    try:
        yield
    finally:
        _Interrupts.held = False
    if _Interrupts.came:
        ignore()
        raise KeyboardInterrupt


def run(
    command: Sequence[str], *, timeout: float, data: bytes = b"", capture: bool = True, **given: Any
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with ``data`` on its standard input; return its exit code and output as text.

    On any interruption the program is ended too. Raise OSError if it cannot be started, and TimeoutExpired after
    ``timeout`` seconds. ``given`` goes to Popen.
    """
    pipe = subprocess.PIPE if capture else None
    process = None
    try:
        with held():
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=pipe, stderr=pipe, **given)
        stdout, stderr = process.communicate(data, timeout=timeout)
    except BaseException:
        if process is not None:
            process.kill()
            process.communicate()
        raise
    texts = (text.decode(errors="replace") if text is not None else "" for text in (stdout, stderr))
    return subprocess.CompletedProcess(list(command), process.returncode, *texts)
