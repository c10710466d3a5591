"""The client's half of ``session.sh``: a session with one host about one sandbox, under the sandbox's lock.

The heartbeat shows the host that the client is alive. When it stops, the host ends what it is doing and releases the
lock, so a client that dies leaves no lock behind.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from sandboxer.errors import (
    HostUnreachable,
    ProvisionFailed,
    SandboxerError,
    SandboxError,
    SandboxLocked,
    StaleChange,
)
from sandboxer.hosts.crash import crash_point
from sandboxer.hosts.scripts import host_command
from sandboxer.model.lock import Holder
from sandboxer.model.outcome import WAITING
from sandboxer.model.protocols import Archive

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.hosts.operation import Operation
    from sandboxer.model.protocols import Session

HEARTBEAT_SECONDS = 10.0
QUICK_SECONDS = 60.0
GRACE_SECONDS = 20.0  # the host ends what takes too long and reports it; only if it does not, this side gives up
LONGEST_SECONDS = 3600.0
MESSAGE_LINES = 8
MOST_OF_A_LINE = 1000
REQUEST_FILE = "asked.json"
_LOCKED, _STALE, _WAITING = 75, 74, 73
_BEAT, _HAVE_IT = b"\n", b"E\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """The reply to a verb: its exit code and what it printed."""

    code: int
    output: bytes

    @property
    def text(self) -> str:
        """The output as text; invalid UTF-8 is replaced."""
        return self.output.decode("utf-8", "replace").strip()

    @property
    def words(self) -> str:
        """The output as part of a message: each line once, and only the first ``MESSAGE_LINES`` of many."""
        lines = list(dict.fromkeys(line.strip() for line in self.text.splitlines() if line.strip()))
        more = len(lines) - MESSAGE_LINES
        return "\n".join(lines[:MESSAGE_LINES]) + (f"\nand {more} lines more" if more > 0 else "")


class HostSession:
    """A session with one host about one sandbox. Entering it takes the lock; leaving it releases the lock.

    Raise SandboxLocked if another client holds the lock for too long, ProvisionFailed if the host refuses, and
    HostUnreachable or CommandTimeout if the host no longer answers.
    """

    def __init__(self, operation: Operation, *verbs: str) -> None:
        """Prepare a session; ``verbs`` are the shell files that define the backend's own verbs."""
        self._work = operation
        self._nonce = secrets.token_hex(16)
        self._verbs = verbs
        self._session: Session
        self._writing = threading.Lock()
        self._stopped = threading.Event()
        self._torn = False  # a request was begun and not sent whole: the host waits for the rest, and gives up

    @property
    def nonce(self) -> str:
        """The mark of the sections in a verb's output."""
        return self._nonce

    def __enter__(self) -> Self:
        operation, target = self._work, self._work.target
        command = host_command(
            "prelude.sh",
            "names.sh",
            "session.sh",
            *self._verbs,
            "serve.sh",
            timeout=LONGEST_SECONDS,
            nonce=self._nonce,
            root=target.root,
            fleet=operation.fleet,
            id=operation.id,
            lock_seconds=int(target.lock_timeout),
            holder=target.holder,
        )
        self._session = target.transport.open(command)
        self._session.__enter__()
        crash_point("lock.sent")
        try:
            self._await_lock()
            crash_point("lock.after")
        except BaseException:
            self._session.__exit__(None, None, None)
            raise
        threading.Thread(target=self._keep_beating, name=f"heartbeat-{operation.name}", daemon=True).start()
        return self

    def _await_lock(self) -> None:
        operation, target = self._work, self._work.target
        while (reply := self._read_reply(target.lock_timeout + QUICK_SECONDS)).code == _WAITING:
            operation.progress(f"{WAITING} {Holder.parse(reply.text) or 'another client'}")
        if reply.code == _LOCKED:
            raise SandboxLocked(
                operation.name,
                f"{operation.name} on {target.host} is held by {Holder.parse(reply.text) or 'another client'}",
                hint=f"increase --lock-timeout ({target.lock_timeout:g} s), or check `sandboxer unlock`",
            )
        self._check(reply, "the root cannot be used")

    def __exit__(self, *exc: object) -> None:
        self._stopped.set()
        # After an error of the sandbox's own, the host is idle and ends by itself, as after a success.
        ended = bool(exc) and isinstance(exc[1], SandboxError) and not self._torn
        self._session.__exit__(*((None, None, None) if ended else exc))

    def call(
        self,
        verb: str,
        *arguments: str,
        payload: bytes | Archive = b"",
        timeout: float = QUICK_SECONDS,
        on_line: Callable[[str], None] = lambda _line: None,
    ) -> Reply:
        """Run a verb for at most ``timeout`` seconds; the caller interprets its exit code.

        An archive is sent while it is produced. An error from producing it passes through, and ends the session.
        ``on_line`` receives lines that a verb of ``live_verbs`` prints, as they come; only the reply has all of them.
        """
        crash_point(f"{verb}.before")
        size = payload.size if isinstance(payload, Archive) else len(payload)
        seconds = int(timeout) + size // 100_000
        with self._writing:
            self._send(verb, arguments, payload, seconds)
        crash_point(f"{verb}.sent")
        reply = self._read_reply(seconds + GRACE_SECONDS, on_line)
        with self._writing, suppress(SandboxerError):  # an interruption here is reported by the next request
            self._session.write(_HAVE_IT)
        crash_point(f"{verb}.after")
        return reply

    def must(
        self, what: str, verb: str, *arguments: str, payload: bytes | Archive = b"", timeout: float = QUICK_SECONDS
    ) -> Reply:
        """Return what ``call`` does. Raise ProvisionFailed (StaleChange for a fenced write) unless the verb exits 0."""
        return self._check(self.call(verb, *arguments, payload=payload, timeout=timeout), what)

    def _send(self, verb: str, arguments: tuple[str, ...], payload: bytes | Archive, seconds: int) -> None:
        if self._torn:
            raise SandboxerError(f"the session of {self._work.name} ended during a request")
        if any("\n" in argument for argument in arguments):
            # Arguments are lines; anything that may contain a newline goes into a payload.
            raise SandboxerError(f"an argument of {verb} holds a line break")
        size = payload.size if isinstance(payload, Archive) else len(payload)
        head = f"{verb} {len(arguments)} {size} {seconds}\n" + "".join(f"{argument}\n" for argument in arguments)
        if not isinstance(payload, Archive):
            self._session.write(head.encode() + payload)
            return
        self._torn = True
        self._session.write(head.encode())
        left = size
        with closing(payload.pieces):
            for piece in payload.pieces:
                left -= len(piece)
                if left < 0:
                    break
                self._session.write(piece)
        if left:
            raise SandboxerError(f"the payload of {verb} is not of the {size} bytes that were announced")
        self._torn = False

    def _read_reply(self, timeout: float, on_line: Callable[[str], None] = lambda _line: None) -> Reply:
        mark = f"@{self._nonce} ".encode()
        try:
            line = self._session.read_line(timeout)
            while not line.startswith(mark):
                on_line(line[:MOST_OF_A_LINE].decode("utf-8", "replace"))
                line = self._session.read_line(timeout)
            code, length = line.removeprefix(mark).split()
            return Reply(int(code), self._session.read_exactly(int(length), timeout))
        except (EOFError, ValueError) as error:
            stderr = self._session.finish(5).stderr.decode("utf-8", "replace").strip()
            raise HostUnreachable(
                self._work.target.host,
                f"the operation on {self._work.name} on {self._work.target.host} was interrupted"
                + (f": {stderr}" if stderr else ""),
                hint="apply again to resume from the record",
            ) from error

    def _check(self, reply: Reply, what: str) -> Reply:
        name, host = self._work.name, self._work.target.host
        if reply.code == _STALE:
            raise StaleChange(name, f"{name} on {host} was changed by another client: {reply.text}", hint="plan again")
        if reply.code != 0:
            raise ProvisionFailed(name, f"{what} on {host}: {reply.words or f'exit code {reply.code}'}")
        return reply

    def _keep_beating(self) -> None:
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            with self._writing:
                if self._stopped.is_set() or self._torn:
                    return
                try:
                    self._session.write(_BEAT)
                except SandboxerError:
                    return  # the next read reports why
