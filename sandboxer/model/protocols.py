"""The seams between the rows: what discovery and execution ask of a transport, a clock, a source of manifests.

Each is a small Protocol; the real ones live in ``adapters/``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Command:
    """One program for a host's ``sh``: constant text from this package, and data that reaches its standard input.

    ``script`` is POSIX shell and never built from values; ``stdin`` follows it and carries every parameter.
    ``timeout`` is in seconds for the whole command, ``max_output`` in bytes for stdout and stderr each.
    """

    script: str
    stdin: bytes = b""
    timeout: float = 30.0
    max_output: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command left: its exit code, and its output as bytes, for it may be of any encoding."""

    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(slots=True)
class TransportStats:
    """How often a transport connected and how many commands it ran; counted where it happens."""

    connections: int = 0
    commands: int = 0


class Session(Protocol):
    """A running command that one talks with. Use as a context manager: leaving it ends the command's input.

    Every read is bounded by the ``timeout`` given to it, in seconds, and raises CommandTimeout when it passes,
    HostUnreachable when the connection is lost, and OutputTooLarge beyond the command's ``max_output``.
    """

    def write(self, data: bytes) -> None:
        """Send bytes to the command's standard input; HostUnreachable when nobody reads them any more."""

    def read_line(self, timeout: float) -> bytes:
        """Return the next line of standard output without its newline; EOFError where the output has ended."""

    def read_exactly(self, count: int, timeout: float) -> bytes:
        """Return the next ``count`` bytes of standard output; EOFError where it ended before."""

    def finish(self, timeout: float) -> CommandResult:
        """End the input, waits for the command, and return its exit code and what output was not read."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Terminal:
    """The terminal that a command is given: its type, as in ``TERM``, and its size in characters."""

    kind: str = "xterm"
    columns: int = 80
    rows: int = 24


class Stream(Protocol):
    """A running command whose input and output pass through, however much it is. Close it at the end.

    Nothing is kept: who does not read is not written to. A read that waits too long raises TimeoutError, a connection
    that is lost HostUnreachable. Reading, writing and closing may each be done by a thread of its own.
    """

    @property
    def said(self) -> str:
        """The last of its standard error, for a message; empty where somebody else was given it."""

    def read(self, timeout: float) -> bytes:
        """Return the next bytes of standard output, none at its end."""

    def write(self, data: bytes) -> None:
        """Send all of the bytes, however long it takes to be read; BrokenPipeError where nobody reads any more."""

    def end_input(self) -> None:
        """End its standard input. Idempotent."""

    def resize(self, columns: int, rows: int) -> None:
        """Report its terminal another size."""

    def wait(self, timeout: float) -> int:
        """Return its exit code, once its output was read to the end.

        Raises CommandTimeout, HostUnreachable without one.
        """

    def close(self) -> None:
        """End it where it still runs. Idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Tunnel(Protocol):
    """A TCP connection that a host makes for us, with the methods of a socket; one thread each way."""

    def settimeout(self, seconds: float | None) -> None:
        """The longest that ``recv`` and ``send`` wait before TimeoutError, in seconds."""

    def recv(self, size: int) -> bytes:
        """Return some bytes; none at the end. OSError where it was cut off."""

    def send(self, data: bytes) -> int:
        """Send some of the bytes and return their number. OSError where the other side takes no more."""

    def shutdown_write(self) -> None:
        """End what is sent, and go on receiving."""

    def close(self) -> None:
        """End it both ways. Idempotent."""


class HostTransport(Protocol):
    """A way to run commands on one host: SSH, or this machine itself. Connects at first use, once."""

    stats: TransportStats

    def run(self, command: Command) -> CommandResult:
        """Run a command to its end.

        Raises HostUnreachable, HostKeyRefused, CommandTimeout or OutputTooLarge. A non-zero exit is a result.
        """

    def open(self, command: Command) -> Session:
        """Start a command and return the conversation with it. Safe to call from several threads at once."""

    def stream(
        self, command: Command, terminal: Terminal | None = None, on_stderr: Callable[[bytes], None] | None = None
    ) -> Stream:
        """Start a command whose output may be of any length and last for any time.

        ``command.timeout`` is for its start alone, and ``max_output`` does not count. With a ``terminal`` the command
        has that on all three streams, and what it prints is one. ``on_stderr`` gets standard error from another thread.
        """

    def tunnel(self, address: str, port: int) -> Tunnel:
        """Return a connection that the host makes to an address that it reaches. Raises HostUnreachable."""

    @property
    def lost(self) -> bool:
        """Whether there is no connection any more, or none could be made: another transport has to be made."""

    def close(self) -> None:
        """End the connection and every session on it. Idempotent."""


class Clock(Protocol):
    """The runner's clock."""

    def now(self) -> datetime:
        """Return the time now, aware, in UTC."""


@dataclass(frozen=True, slots=True)
class Revision:
    """The files of a fleet at one point: of the work tree, or of a commit.

    ``files`` maps paths relative to the fleet's root, with forward slashes, to bytes. ``commit`` is the commit that
    they belong to (None where the fleet is in no repository), ``root_commit`` the repository's first one (None in a
    shallow clone), ``committed_at`` the committer's time in UTC, ``dirty`` whether the files differ from the commit.
    """

    files: Mapping[str, bytes]
    commit: str | None = None
    root_commit: str | None = None
    committed_at: datetime | None = None
    dirty: bool = False


class ManifestSource(Protocol):
    """Where manifests are read from."""

    def read(self, revision: str | None) -> Revision:
        """Return the manifests of a git revision, or of the work tree for None. Raises SourceError."""


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One delivered file: its path, whether it is executable, its git blob id; ``target`` where it is a link."""

    path: str
    blob: str
    executable: bool = False
    target: str | None = None

    @property
    def seconds(self) -> int:
        """Its time of change wherever it is delivered: a moment of 2001 to 2010 that another content would not have."""
        return 1_000_000_000 + int(self.blob[:7], 16)


@dataclass(frozen=True, slots=True)
class InputTree:
    """The files that a sandbox is given: those that one commit tracks below one path, submodules left out.

    ``repo`` and ``ref`` are as the manifest says, ``commit`` is what ``ref`` named when it was planned, ``path``
    the folder within, ``digest`` the SHA-256 of the sorted entries: equal trees have equal digests whatever the commit.
    """

    repo: str
    ref: str
    commit: str
    path: str
    digest: str
    entries: Mapping[str, TreeEntry] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Archive:
    """Bytes that are made while they are sent: how many, and they themselves in pieces, to be taken once.

    Who does not take them all closes ``pieces``. Taking a piece may raise InputUnavailable.
    """

    size: int
    pieces: Generator[bytes] = field(repr=False)


class InputSource(Protocol):
    """Where a sandbox's files are read from."""

    def resolve(self, repo: str, ref: str, path: str, until: float | None = None) -> InputTree:
        """Find the commit and list its files, by the moment ``until`` of the monotonic clock, if any is given.

        Raises InputUnavailable, also for links that leave the tree. Safe to call from several threads at once.
        """

    def give_up(self) -> None:
        """End what is being resolved in other threads: nobody waits for it any more."""

    def read(self, tree: InputTree, path: str) -> bytes:
        """Return one file's bytes; raise InputUnavailable where the tree has no such file, or a large one."""

    def archive(self, tree: InputTree, paths: Iterable[str] | None = None) -> Archive:
        """Return a POSIX tar of the tree (or of some of its paths): files 0644 or 0755, links as they are, owner 0."""
