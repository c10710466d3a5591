"""The logs of a sandbox's containers, as ``docker compose logs`` shows them: what there is now."""

from __future__ import annotations

import re
import secrets
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sandboxer.errors import HostError, HostUnreachable, SandboxError
from sandboxer.extensions.capabilities import LogLine
from sandboxer.hosts.scripts import host_command

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from sandboxer.extensions.capabilities import LiveSandbox, LogRequest
    from sandboxer.model.observed import Container
    from sandboxer.model.protocols import HostTransport, Stream

MAX_LINE = 64 * 1024  # bytes; a longer line comes in parts
QUIET_LIMIT = 600.0  # seconds without progress of an engine that has a log


def words_of(request: LogRequest) -> dict[str, str]:
    """Return the number of last lines, and whether with times, as parameters of the scripts."""
    return {
        "tail": "all" if request.tail is None else str(request.tail),
        "timestamps": "yes" if request.timestamps else "no",
    }


class ContainerLogs:
    """What an engine has now, one container after the other, in one command (``capabilities.LogReader``)."""

    def __init__(self, sandbox: LiveSandbox, request: LogRequest) -> None:
        self._sandbox, self._request = sandbox, request
        self._stack = ExitStack()

    def lines(self) -> Iterator[LogLine]:
        """Yield every line. Raise HostError, and SandboxError for a log that the engine does not return."""
        transport = self._stack.enter_context(self._sandbox.connect())
        yield from _at_once(self._sandbox, self._request, transport)

    def close(self) -> None:
        """Close its connection. Idempotent."""
        self._stack.close()


def _at_once(sandbox: LiveSandbox, request: LogRequest, transport: HostTransport) -> Iterator[LogLine]:
    """Yield what the engine has now, one container after the other, in one command."""
    sources = [
        Source.of(container, service, len(containers))
        for service, containers in sandbox.services.items()
        if request.takes(service)
        for container in containers
    ]
    nonce = secrets.token_hex(12)
    words = words_of(request)
    command = host_command(
        "prelude.sh",
        "sandboxer.extensions.compose_ssh:logs.sh",
        nonce=nonce,
        engine=sandbox.engine,
        tail=words["tail"],
        timestamps=words["timestamps"],
        lines=[source.id for source in sources],
    )
    end = re.compile(f"@{nonce} (\\d+)".encode())
    failed: list[str] = []
    with transport.stream(command) as stream:
        stream.end_input()
        lines = _lines_of(partial(_patiently, stream, sandbox))
        for source in sources:
            code = yield from _lines_until(end, lines, source, sandbox)
            failed += [source.service] if code else []
    if failed:
        message = f"{sandbox.engine} cannot return the log of {', '.join(failed)}"
        raise SandboxError(sandbox.name, message, hint="read the engine's error among the lines")


def _patiently(stream: Stream, sandbox: LiveSandbox) -> bytes:
    try:
        return stream.read(QUIET_LIMIT)
    except TimeoutError:
        host = sandbox.observed.host
        raise HostError(
            host, f"{sandbox.engine} on {host} made no progress for {QUIET_LIMIT:g} s while reading a log"
        ) from None


def _lines_until(
    end: re.Pattern[bytes], lines: Iterator[bytes], source: Source, sandbox: LiveSandbox
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
    raise HostUnreachable(sandbox.observed.host, f"the logs of {sandbox.name} were interrupted", hint="try again")


@dataclass(frozen=True, slots=True)
class Source:
    """A container whose log is read; ``replica`` is None if its service has no other."""

    id: str
    service: str
    replica: int | None

    @classmethod
    def of(cls, container: Container, service: str, replicas: int) -> Source:
        """Return the source for one of ``replicas`` containers of a service."""
        return cls(container.id, service, container.replica if replicas > 1 else None)

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
