"""Output under a CI system: no output, from whatever source, contains commands for it."""

from __future__ import annotations

import codecs
import io
import os
import stat
import sys
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

from sandboxer.render.ci import VARIABLES, Harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed import ReadableBuffer


def in_ci(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether a CI system may read the output."""
    return any(environ.get(name, "").lower() not in ("", "0", "false") for name in VARIABLES)


def guard_output() -> None:
    """Make standard output and error harmless for the rest of the process if a CI system may read them.

    A file is written unchanged: nothing executes commands in one.
    """
    if in_ci():
        sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)


def harmless_bytes() -> Callable[[bytes], bytes]:
    """Return a filter for chunks of bytes that go to standard error; outside of CI it changes nothing."""
    if not in_ci() or _is_file(2):
        return lambda data: data
    harmless, decoder = Harmless(), codecs.getincrementaldecoder("utf-8")("surrogateescape")
    return lambda data: harmless(decoder.decode(data)).encode("utf-8", "surrogateescape")


def _guarded(stream: TextIO) -> TextIO:
    try:
        descriptor = stream.fileno()
        if _is_file(descriptor):
            return stream
    except (OSError, ValueError, AttributeError):  # closed, or not a stream of the system
        return stream
    stream.flush()
    buffer = cast("io.BufferedWriter", _HarmlessBuffer(stream.buffer))
    # A character that the log's encoding lacks must not raise an error here either.
    return io.TextIOWrapper(buffer, stream.encoding, stream.errors, line_buffering=bool(stream.line_buffering))


def _is_file(descriptor: int) -> bool:
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode)
    except OSError:
        return False


class _HarmlessBuffer(io.BufferedIOBase):
    """Binary buffer that makes bytes on their way to a log harmless."""

    def __init__(self, under: BinaryIO) -> None:
        self._under, self._harmless = under, Harmless()
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        given = bytes(data)
        self._under.write(self._harmless(self._decoder.decode(given)).encode("utf-8", "surrogateescape"))
        return len(given)

    def flush(self) -> None:
        if not self._under.closed:
            self._under.flush()

    def fileno(self) -> int:
        return self._under.fileno()

    def isatty(self) -> bool:
        return self._under.isatty()
