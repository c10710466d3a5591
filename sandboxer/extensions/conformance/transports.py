"""Transports around a real one: what passes is recorded, and each step may be watched, or made to fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.model.protocols import Command, CommandResult, HostTransport, Session, Stream, Terminal, Tunnel

    Answer = Callable[[Command, Callable[[], CommandResult]], CommandResult]


def as_it_is(_command: Command, run: Callable[[], CommandResult]) -> CommandResult:
    """Return the result of a command."""
    return run()


class WatchedTransport:
    """A transport that passes everything on to another one.

    ``scripts`` are the scripts that it was given, ``commands`` their number, with those of sessions. ``before_step`` is
    called before each command and each request of a session; what it raises is what the transport raises. ``answer``
    may change the result of a command.
    """

    def __init__(
        self, inner: HostTransport, before_step: Callable[[], None] = lambda: None, answer: Answer = as_it_is
    ) -> None:
        self._inner = inner
        self._before_step = before_step
        self._answer = answer
        self.stats = inner.stats
        self.scripts: list[str] = []
        self.timeouts: list[float] = []

    def run(self, command: Command) -> CommandResult:
        """Run a command."""
        self._begin(command)
        return self._answer(command, lambda: self._inner.run(command))

    def open(self, command: Command) -> Session:
        """Start a session."""
        self._begin(command)
        return WatchedSession(self._inner.open(command), self._before_step)

    def stream(
        self, command: Command, terminal: Terminal | None = None, on_stderr: Callable[[bytes], None] | None = None
    ) -> Stream:
        """Start a command whose output passes through."""
        self._begin(command)
        return self._inner.stream(command, terminal, on_stderr)

    def tunnel(self, address: str, port: int) -> Tunnel:
        """Return a connection that the host makes."""
        return self._inner.tunnel(address, port)

    def is_lost(self) -> bool:
        """Return whether the connection is lost."""
        return self._inner.is_lost()

    def close(self) -> None:
        """Do nothing: whoever opened the other transport closes it."""

    def _begin(self, command: Command) -> None:
        self.scripts.append(command.script)
        self.timeouts.append(command.timeout)
        self._before_step()


class WatchedSession:
    """A session that passes everything on to another one, with a call before each request."""

    def __init__(self, inner: Session, before_step: Callable[[], None]) -> None:
        self._inner = inner
        self._before_step = before_step

    def write(self, data: bytes) -> None:
        """Send bytes, after the call; an acknowledgement or a heartbeat is no step."""
        if len(data) > len(b"E\n"):
            self._before_step()
        self._inner.write(data)

    def read_line(self, timeout: float) -> bytes:
        """Return the next line."""
        return self._inner.read_line(timeout)

    def read_exactly(self, count: int, timeout: float) -> bytes:
        """Return the next bytes."""
        return self._inner.read_exactly(count, timeout)

    def finish(self, timeout: float) -> CommandResult:
        """End the input, and return the result."""
        return self._inner.finish(timeout)

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._inner.__exit__(*exc)
