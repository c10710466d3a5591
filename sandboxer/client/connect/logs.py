"""The logs of a sandbox's containers, as ``docker compose logs`` shows them: at once, or followed."""

from __future__ import annotations

import re
import secrets
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

from sandboxer.adapters.transports import Transports
from sandboxer.client.connect.target import number_of, target_of
from sandboxer.errors import HostError, HostUnreachable, SandboxError, UsageError
from sandboxer.extensions.scripts import script
from sandboxer.model.protocols import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from sandboxer.client.connect.target import ConnectTarget
    from sandboxer.client.context import ClientContext
    from sandboxer.model.observed import Container
    from sandboxer.model.protocols import Stream

MAX_LINE = 64 * 1024  # bytes; a longer line comes in parts
QUIET_LIMIT = 600.0  # seconds without progress of an engine that has a log


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a container's output: its service, the replica if there are several, and the bytes."""

    service: str
    replica: int | None
    data: bytes

    @property
    def source(self) -> str:
        """The container of the line: ``web``, or ``web-2`` of several."""
        return self.service if self.replica is None else f"{self.service}-{self.replica}"

    @property
    def text(self) -> str:
        """The line as text; what is not UTF-8 is replaced."""
        return self.data.decode(errors="replace")


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


@dataclass(frozen=True, slots=True)
class LogOptions:
    """The requested logs: services (all without any), the number of last lines (None: all), with times or not."""

    services: frozenset[str] = frozenset()
    tail: int | None = None
    timestamps: bool = False

    def takes(self, service: str) -> bool:
        """Return whether a service is requested."""
        return not self.services or service in self.services

    @property
    def words(self) -> tuple[str, str]:
        """The number of last lines, and whether with times, as parameters of the scripts."""
        return ("all" if self.tail is None else str(self.tail), "yes" if self.timestamps else "no")


def logs(
    context: ClientContext, name: str, *, services: Sequence[str], tail: int | None, follow: bool, timestamps: bool
) -> Logs:
    """Return the logs of a sandbox. Raise UsageError if it does not exist, or has no such service."""
    if tail is not None and tail < 0:
        raise UsageError(f"{tail} is no number of lines", hint="0 or more, or all")
    target = target_of(context, name)
    for service in services:
        target.the_service(service)
    options = LogOptions(frozenset(services), tail, timestamps)
    if follow:
        from sandboxer.client.connect.follow import LogFollower

        following = LogFollower(target, options)
        return Logs(following.lines(), following.close)
    transports = Transports(target.folder)
    return Logs(_at_once(target, options, transports), transports.close)


def _at_once(target: ConnectTarget, options: LogOptions, transports: Transports) -> Iterator[LogLine]:
    """Yield what the engine has now, one container after the other, in one command."""
    sources = [
        Source.of(container, service, len(containers))
        for service, containers in target.services.items()
        if options.takes(service)
        for container in containers
    ]
    nonce = secrets.token_hex(12)
    words = [nonce, target.engine, *options.words, *(source.id for source in sources)]
    command = Command(script("compose_ssh/logs.sh"), "".join(f"{word}\n" for word in words).encode())
    end = re.compile(f"@{nonce} (\\d+)".encode())
    failed: list[str] = []
    with transports.to(target.host).stream(command) as stream:
        stream.end_input()
        lines = _lines_of(partial(_patiently, stream, target))
        for source in sources:
            code = yield from _until(end, lines, source, target)
            failed += [source.service] if code else []
    if failed:
        message = f"{target.engine} gives no log of {', '.join(failed)}"
        raise SandboxError(target.name, message, hint="what it said for a reason is among the lines")


def _patiently(stream: Stream, target: ConnectTarget) -> bytes:
    try:
        return stream.read(QUIET_LIMIT)
    except TimeoutError:
        host = target.observed.host
        raise HostError(host, f"{target.engine} on {host} has not gone on for {QUIET_LIMIT:g} s with a log") from None


def _until(
    end: re.Pattern[bytes], lines: Iterator[bytes], source: Source, target: ConnectTarget
) -> Generator[LogLine, None, int]:
    """Yield the lines of one container, and return the exit code after them.

    An empty line right before that is the script's, and not the log's.
    """
    held = None
    for line in lines:
        over = end.fullmatch(line)
        if held is not None and (held or not over):
            yield source.line(held)
        if over:
            return int(over[1])
        held = line
    raise HostUnreachable(target.observed.host, f"the logs of {target.name} were cut off", hint="try again")


@dataclass(frozen=True, slots=True)
class Source:
    """A container whose log is read; ``replica`` is None if its service has no other."""

    id: str
    service: str
    replica: int | None

    @classmethod
    def of(cls, container: Container, service: str, replicas: int) -> Source:
        """Return the source for one of ``replicas`` containers of a service."""
        return cls(container.id, service, number_of(container) if replicas > 1 else None)

    def line(self, data: bytes) -> LogLine:
        """Return a line of this source."""
        return LogLine(self.service, self.replica, data)


class Lines:
    """A splitter of bytes into lines; it cuts a line that is too long, so that no more than that is in memory."""

    def __init__(self) -> None:
        self._rest = b""

    def of(self, chunk: bytes) -> list[bytes]:
        """Return the lines that are complete with the next bytes."""
        *whole, rest = (self._rest + chunk).split(b"\n")
        while len(rest) > MAX_LINE:
            whole.append(rest[:MAX_LINE])
            rest = rest[MAX_LINE:]
        self._rest = rest
        return [part.removesuffix(b"\r") for line in whole for part in _parts(line)]

    def end(self) -> list[bytes]:
        """Return the rest, if the last line has no end."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


def _parts(line: bytes) -> list[bytes]:
    return [line[at : at + MAX_LINE] for at in range(0, len(line), MAX_LINE)] or [b""]


def _lines_of(read: Callable[[], bytes]) -> Iterator[bytes]:
    cut = Lines()
    while chunk := read():
        yield from cut.of(chunk)
    yield from cut.end()
