"""The logs of a sandbox: what there is, or followed as they come."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from sandboxer.client.connect.target import target_of
from sandboxer.errors import HostError, UsageError
from sandboxer.extensions.capabilities import LogLine, LogRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sandboxer.client.context import ClientContext
    from sandboxer.extensions.capabilities import LogReader

__all__ = ["LogLine", "Logs", "logs"]


class Logs:
    """An iterator of lines. ``close`` ends it, from any thread, with everything that runs on the host for it."""

    def __init__(self, lines: Iterator[LogLine], end: Callable[[], None]) -> None:
        self._lines, self._end = lines, end
        self._closed = threading.Event()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LogLine:
        """Return the next line, however long it takes to arrive. Raise HostError, SandboxError."""
        try:
            return next(self._lines)
        except StopIteration:
            self.close()
            raise
        except BaseException as error:
            closed = self._closed.is_set()
            self.close()
            if closed and isinstance(error, HostError | OSError):
                raise StopIteration from None
            raise

    def close(self) -> None:
        """End it. Idempotent."""
        if not self._closed.is_set():
            self._closed.set()
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def logs(
    context: ClientContext, name: str, *, services: Sequence[str], tail: int | None, follow: bool, timestamps: bool
) -> Logs:
    """Return the logs of a sandbox.

    Raise UsageError if it does not exist, or has no such service, and CapabilityMissing.
    """
    if tail is not None and tail < 0:
        raise UsageError(f"{tail} is not a number of lines", hint="specify a number from 0, or all")
    target = target_of(context, name)
    extension = target.capable("logs")
    for service in services:
        target.the_service(service)
    reader: LogReader = extension.logs(target, LogRequest(frozenset(services), tail, follow, timestamps))
    return Logs(reader.lines(), reader.close)
