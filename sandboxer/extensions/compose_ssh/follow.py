"""Following the logs of a sandbox: each container that runs, and those that start later, until none runs any more.

A container's log is a command on the host that ends when the container stops. Another command continuously lists the
containers; the log of one that runs and is not being read is read from where it stopped.
"""

from __future__ import annotations

import contextlib
import queue
import re
import threading
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from sandboxer.errors import HostError, HostUnreachable, SandboxerError, SandboxError
from sandboxer.extensions.compose_ssh.container_logs import Lines, Source, words_of
from sandboxer.hosts.scripts import host_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sandboxer.extensions.capabilities import LiveSandbox, LogLine, LogRequest
    from sandboxer.model.protocols import Command, HostTransport, Stream

ROUND = 2  # seconds between two lists of the containers
_STALL_SECONDS = 90.0  # seconds without such a list, after which the host counts as unreachable
_QUIET_ROUNDS = 3  # lists without a running container until the end: an update stops before it starts
_FAILURES = 3  # times that an engine may fail to return a log
_WAITING = 8  # pieces of logs that wait for the reader; each is at most one read
_ON_ONE = 7  # commands on one connection; sshd takes 10
_ALIVE = frozenset({"running", "restarting", "paused"})
_STAMP = re.compile(rb"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)")
_SINCE = re.compile(r"@since ([0-9TZ:.+-]{10,40})")


@dataclass(frozen=True, slots=True)
class _Now:
    """One container in the latest list; each run of it has another start time."""

    source: Source
    state: str
    began: str


@dataclass(frozen=True, slots=True)
class _Over:
    """The end of a container's log; ``since`` is where it would continue, None if that is unknown."""

    source: Source
    since: str | None
    failed: bool


class LogFollower:
    """A follower of one sandbox's logs. ``lines`` is for one thread, ``close`` for any."""

    def __init__(self, sandbox: LiveSandbox, request: LogRequest) -> None:
        self._sandbox, self._request = sandbox, request
        self._came: queue.Queue[list[LogLine] | dict[str, _Now] | _Over | SandboxerError] = queue.Queue(_WAITING)
        self._stop = threading.Event()
        self._connections = _Connections(sandbox)
        self._threads: list[threading.Thread] = []
        self._reading: set[str] = set()
        self._since: dict[str, str | None] = {}
        self._began: dict[str, str] = {}  # the run of each container that was read last
        self._last: dict[str, bytes] = {}  # the time of each container's last line, if lines have one
        self._failures: dict[str, int] = {}
        self._rounds = self._quiet = 0
        self._lived = False

    def lines(self) -> Iterator[LogLine]:
        """Yield each line as it arrives, until no container runs any more. Raise HostError."""
        self._start(self._watch)
        while not self._stop.is_set():
            try:
                came = self._came.get(timeout=0.5)
            except queue.Empty:
                continue
            if isinstance(came, list):
                yield from came
            elif isinstance(came, SandboxerError):
                raise came
            elif isinstance(came, _Over):
                self._ended(came)
            elif self._over(came):
                return

    def close(self) -> None:
        """End everything that runs for it, here and on the host. Idempotent."""
        self._stop.set()
        self._connections.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(5.0)

    def _ended(self, over: _Over) -> None:
        """Note where a log continues. Raise SandboxError if the engine does not return it."""
        self._reading.discard(over.source.id)
        self._since[over.source.id] = over.since
        failures = self._failures[over.source.id] = self._failures.get(over.source.id, 0) + over.failed
        if failures >= _FAILURES:
            name, service = self._sandbox.name, over.source.service
            message = f"{self._sandbox.engine} cannot return the log of {service}"
            raise SandboxError(name, message, hint="read the engine's error among the lines")

    def _over(self, now: dict[str, _Now]) -> bool:
        """Start to read new containers; return whether nothing runs, and nothing is about to."""
        self._rounds += 1
        for identifier, container in now.items():
            ran = container.state != "created" and self._began.get(identifier) != container.began
            if identifier not in self._reading and (ran or container.state in ("running", "paused")):
                self._reading.add(identifier)
                self._began[identifier] = container.began
                self._start(partial(self._read, container.source, self._since.get(identifier), self._rounds == 1))
        alive = any(container.state in _ALIVE for container in now.values())
        self._lived = self._lived or alive
        self._quiet = 0 if alive or self._reading else self._quiet + 1
        return self._quiet >= (_QUIET_ROUNDS if self._lived else 1)

    # --- in separate threads

    def _start(self, work: Callable[[], None]) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=self._guarded, args=(work,), name="logs", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except SandboxerError as error:
            self._put(error)
        except TimeoutError:
            self._put(_unanswering(self._sandbox.observed.host))

    def _put(self, piece: list[LogLine] | dict[str, _Now] | _Over | SandboxerError) -> None:
        """Hand over a piece; wait while the reader is behind, which makes the host wait too."""
        put = False
        while not put and not self._stop.is_set():
            with contextlib.suppress(queue.Full):
                self._came.put(piece, timeout=0.5)
                put = True

    def _watch(self) -> None:
        observed = self._sandbox.observed
        command = host_command(
            "prelude.sh",
            "sandboxer.extensions.compose_ssh:watch.sh",
            engine=self._sandbox.engine,
            fleet=self._sandbox.fleet,
            id=observed.id,
            uid=observed.uid,
            seconds=ROUND,
        )
        cut, found = Lines(), list[bytes]()
        with self._connections.stream(command) as stream:
            while not self._stop.is_set():
                chunk = stream.read(_STALL_SECONDS)
                if not chunk:
                    raise HostUnreachable(
                        observed.host, f"the logs on {observed.host} were interrupted", hint="try again"
                    )
                for line in cut.of(chunk):
                    if line != b"@":
                        found.append(line)
                        continue
                    self._put(self._round(found))
                    found = []

    def _round(self, lines: Sequence[bytes]) -> dict[str, _Now]:
        """Return the requested containers, by id."""
        found: list[_Now] = []
        for line in lines:
            identifier, state, began, service, number, once = (*line.decode(errors="replace").split("|"), *[""] * 6)[:6]
            if service and self._request.takes(service) and once.lower() != "true":
                source = Source(identifier, service, int(number) if number.isdecimal() else 1)
                found.append(_Now(source, state, began))
        services = [now.source.service for now in found]
        alone = {service for service in services if services.count(service) == 1}
        return {
            now.source.id: replace(now, source=replace(now.source, replica=None))
            if now.source.service in alone
            else now
            for now in found
        }

    def _read(self, source: Source, since: str | None, first: bool) -> None:
        stamped = self._sandbox.engine == "podman"
        words = words_of(self._request)
        command = host_command(
            "prelude.sh",
            "sandboxer.extensions.compose_ssh:follow.sh",
            engine=self._sandbox.engine,
            id=source.id,
            tail=words["tail"] if first else "all",
            timestamps="yes" if stamped else words["timestamps"],
            since=since or "",
        )
        cut, again = Lines(), _Again(self._last.get(source.id), keep=self._request.timestamps)
        with self._connections.stream(command) as stream:
            while not self._stop.is_set():
                try:
                    chunk = stream.read(60.0)
                except TimeoutError:
                    continue
                lines = cut.of(chunk) if chunk else cut.end()
                lines = again.new(lines) if stamped else lines
                if lines:
                    self._put([source.line(line) for line in lines])
                if not chunk:
                    break
            failed = not self._stop.is_set() and stream.wait(30.0) != 0
            moment = _SINCE.search(stream.error_output)
        if again.last:
            self._last[source.id] = again.last
        self._put(_Over(source, again.last.decode() if again.last else moment[1] if moment else None, failed))


class _Again:
    """A filter of lines that were read before, by the time in front of each, which is output only with ``keep``.

    Podman notices the end of a container late, and may by then have returned output from after a restart. Docker does
    not, and writes a time into the middle of long lines, so that its lines are not filtered.
    """

    def __init__(self, last: bytes | None, *, keep: bool) -> None:
        self.last, self._keep = last, keep
        self._over = last is None

    def new(self, lines: list[bytes]) -> list[bytes]:
        """Return the lines that come after the last one."""
        found = []
        for line in lines:
            stamp, _, text = line.partition(b" ")
            if not _STAMP.fullmatch(stamp):
                found += [line] if self._over else []
                continue
            self._over = self._over or stamp > (self.last or b"")
            if self._over:
                self.last = stamp
                found.append(line if self._keep else text)
        return found


def _unanswering(host: str) -> HostError:
    hint = "check the load of the host: the connection is open but idle"
    return HostError(host, f"{host} has not listed its containers for {_STALL_SECONDS:g} s", hint=hint)


class _Connections:
    """The connections to the host, as many as its simultaneous commands need: one, but for the largest sandboxes."""

    def __init__(self, sandbox: LiveSandbox) -> None:
        self._sandbox = sandbox
        self._lock = threading.Lock()
        self._made: list[tuple[HostTransport, set[int]]] = []
        self._stack = contextlib.ExitStack()
        self._count = 0
        self._closed = False

    def stream(self, command: Command) -> _Held:
        """Start a command; raise HostError if it does not start."""
        with self._lock:
            if self._closed:
                raise HostUnreachable(self._sandbox.observed.host, "the logs were closed")
            transport, busy = next((one for one in self._made if len(one[1]) < _ON_ONE), (None, set[int]()))
            if transport is None:
                transport = self._stack.enter_context(self._sandbox.connect())
                self._made.append((transport, busy))
            self._count += 1
            mine = self._count
            busy.add(mine)
        try:
            return _Held(transport.stream(command), busy, mine)
        except BaseException:
            busy.discard(mine)
            raise

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._stack.close()


class _Held:
    """A stream that frees its slot on the connection at its end."""

    def __init__(self, stream: Stream, busy: set[int], mine: int) -> None:
        self._stream, self._busy, self._mine = stream, busy, mine

    def __enter__(self) -> Stream:
        return self._stream

    def __exit__(self, *exc: object) -> None:
        self._stream.close()
        self._busy.discard(self._mine)
