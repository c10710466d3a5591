"""The terminal that the program itself runs on: its size, its keys one by one, and forwarding them to a command."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import threading
import tty
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType

    from sandboxer.model.protocols import Stream

_CHUNK = 32 * 1024
_SLICE = 5.0  # seconds
_END_LIMIT = 30.0  # seconds that a command may take to end once its output has ended
_KEYS, _OUTPUT = 0, 1


def is_terminal() -> bool:
    """Return whether both input and output are a terminal."""
    return os.isatty(_KEYS) and os.isatty(_OUTPUT)


def size() -> tuple[int, int]:
    """Return columns and rows of the terminal."""
    with contextlib.suppress(OSError):
        columns, rows = os.get_terminal_size(_OUTPUT)
        if columns and rows:
            return columns, rows
    return 80, 24


class Raw:
    """The terminal in raw mode: each key arrives as it is typed, Ctrl-C too. At the end the old mode is restored.

    So too if a signal ends the program (SIGTERM, SIGHUP), which raises SystemExit.
    """

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(_KEYS)
        self._handlers = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)}
        tty.setraw(_KEYS, termios.TCSADRAIN)  # keeps what was typed ahead
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(termios.error):  # the terminal itself may be gone
            termios.tcsetattr(_KEYS, termios.TCSADRAIN, self._before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)


def _end(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def carry(stream: Stream, *, resizes: bool) -> int:
    """Forward standard input to a command, and its output back, until it ends; return its exit code.

    With ``resizes``, it receives each new size of the terminal. Raise HostError if the connection is lost, and
    BrokenPipeError if nobody reads the output any more.
    """
    sys.stdout.flush()
    typing = _Typing(stream)
    former = signal.signal(signal.SIGWINCH, lambda *_: typing.wake(b"w")) if resizes else None
    try:
        typing.start()
        _show(stream)
        return stream.wait(_END_LIMIT)
    finally:
        if former is not None:
            signal.signal(signal.SIGWINCH, former)
        stream.close()
        typing.end()


def _show(stream: Stream) -> None:
    while True:
        try:
            data = stream.read(_SLICE)
        except TimeoutError:
            continue
        if not data:
            return
        write(_OUTPUT, data)


def write(number: int, data: bytes) -> None:
    """Write all of the bytes to a descriptor, bypassing any buffer."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(number, view) :]
        except BlockingIOError:  # somebody else made it non-blocking, as some terminals are
            select.select([], [number], [], _SLICE)


class _Typing:
    """A thread that forwards what is typed."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._thread = threading.Thread(target=self._run, name="stdin", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self, word: bytes) -> None:
        """Wake the thread: ``w`` for a new size, ``q`` for the end. Safe to call from a signal handler."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, word)

    def end(self) -> None:
        self.wake(b"q")
        self._thread.join(2.0)
        if not self._thread.is_alive():
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _run(self) -> None:
        from sandboxer.errors import HostError

        with contextlib.suppress(HostError, OSError):  # the reader of the output reports it
            sources = [self._wake_read, _KEYS]
            while True:
                ready = self._ready(sources)
                if self._wake_read in ready:
                    if b"q" in os.read(self._wake_read, _CHUNK):
                        return
                    self._stream.resize(*size())
                if _KEYS in ready and not self._pass_on():
                    self._stream.end_input()
                    sources.remove(_KEYS)

    def _ready(self, sources: list[int]) -> list[int]:
        try:
            return select.select(sources, [], [])[0]
        except OSError:  # there is no standard input at all
            if _KEYS not in sources:
                raise
            return [_KEYS]

    def _pass_on(self) -> bool:
        """Send the next keys; return False at their end."""
        try:
            data = os.read(_KEYS, _CHUNK)
        except OSError:
            data = b""
        if data:
            self._stream.write(data)
        return bool(data)
