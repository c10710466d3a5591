"""The protocols between the layers: what discovery and execution require of a transport, a clock and a source.

Each is a small Protocol; the implementations are in ``adapters/``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Command:
    """A program for a host's ``sh``: constant text from this package, and data for its standard input.

    ``script`` is POSIX shell and never built from values; ``stdin`` follows it and carries every parameter. ``timeout``
    is in seconds for the whole command, ``max_output`` in bytes for stdout and stderr each.
    """

    script: str
    stdin: bytes = b""
    timeout: float = 30.0
    max_output: int = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command: its exit code, and its output as bytes, which may be in any encoding."""

    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(slots=True)
class TransportStats:
    """How often a transport connected and how many commands it ran, as the transport itself counts them."""

    connections: int = 0
    commands: int = 0

    def count_connection(self) -> None:
        """Count a connection."""
        self.connections += 1

    def count_command(self) -> None:
        """Count a command."""
        self.commands += 1


class Session(Protocol):
    """An interactive session with a running command. Use as a context manager: leaving it ends the command's input.

    Each read is bounded by its ``timeout``, in seconds. Raise CommandTimeout if it passes, HostUnreachable if the
    connection is lost, and OutputTooLarge beyond the command's ``max_output``.
    """

    def write(self, data: bytes) -> None:
        """Send bytes to the command's standard input. Raise HostUnreachable if nobody reads them any more."""

    def read_line(self, timeout: float) -> bytes:
        """Return the next line of standard output without its newline. Raise EOFError if the output has ended."""

    def read_exactly(self, count: int, timeout: float) -> bytes:
        """Return the next ``count`` bytes of standard output. Raise EOFError if it ends before."""

    def finish(self, timeout: float) -> CommandResult:
        """End the input, wait for the command, and return its exit code and the unread output."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Terminal:
    """The terminal of a command: its type, as in ``TERM``, and its size in characters."""

    kind: str = "xterm"
    columns: int = 80
    rows: int = 24


class Stream(Protocol):
    """A running command whose input and output pass through, whatever their size. Close it at the end.

    Nothing is buffered: a reader that does not read is not written to. A read that waits too long raises TimeoutError,
    a lost connection HostUnreachable. Reading, writing and closing may each happen in a different thread.
    """

    @property
    def error_output(self) -> str:
        """The end of its standard error, for a message; empty where standard error goes elsewhere."""

    def read(self, timeout: float) -> bytes:
        """Return the next bytes of standard output; empty at its end."""

    def write(self, data: bytes) -> None:
        """Send all of the bytes, however long that takes. Raise BrokenPipeError if nobody reads any more."""

    def end_input(self) -> None:
        """End its standard input. Idempotent."""

    def resize(self, columns: int, rows: int) -> None:
        """Report the new size of its terminal."""

    def wait(self, timeout: float) -> int:
        """Return its exit code, once its output was read to the end.

        Raise CommandTimeout or HostUnreachable if there is none.
        """

    def close(self) -> None:
        """End it if it still runs. Idempotent."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Tunnel(Protocol):
    """A TCP connection that a host makes for us, with the methods of a socket; one thread for each direction."""

    def settimeout(self, seconds: float | None) -> None:
        """Set how long ``recv`` and ``send`` wait before they raise TimeoutError, in seconds."""

    def recv(self, size: int) -> bytes:
        """Return some bytes; empty at the end. Raise OSError if the connection is lost."""

    def send(self, data: bytes) -> int:
        """Send some of the bytes and return their number. Raise OSError if the other side accepts no more."""

    def shutdown_write(self) -> None:
        """End the sending direction, and keep receiving."""

    def close(self) -> None:
        """Close both directions. Idempotent."""


class HostTransport(Protocol):
    """A way to run commands on one host: over SSH, or on this machine itself. Connects once, at first use."""

    stats: TransportStats

    def run(self, command: Command) -> CommandResult:
        """Run a command and return its result. A non-zero exit code is a result.

        Raise HostUnreachable, HostKeyRefused, CommandTimeout or OutputTooLarge.
        """

    def open(self, command: Command) -> Session:
        """Start a command and return a session with it. Safe to call from several threads at once."""

    def stream(
        self, command: Command, terminal: Terminal | None = None, on_stderr: Callable[[bytes], None] | None = None
    ) -> Stream:
        """Start a command whose output may be of any length and last for any time.

        ``command.timeout`` applies to its start alone, and ``max_output`` does not apply. With a ``terminal``, all
        three streams are the terminal, and its output is one stream. ``on_stderr`` gets standard error, from another
        thread.
        """

    def tunnel(self, address: str, port: int) -> Tunnel:
        """Return a connection that the host makes to an address in its reach. Raise HostUnreachable if it cannot."""

    def is_lost(self) -> bool:
        """Return whether the connection is lost, or could not be made: a new transport is needed."""

    def close(self) -> None:
        """End the connection and every session on it. Idempotent."""


class Clock(Protocol):
    """The runner's clock."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""


@dataclass(frozen=True, slots=True)
class Revision:
    """The files of a fleet at one revision: the work tree, or a commit.

    ``files`` maps paths relative to the fleet's root, with forward slashes, to bytes. ``commit`` is the commit that
    they belong to (None where the fleet is not in a repository), ``root_commit`` the repository's first one (None in a
    shallow clone), ``committed_at`` the committer's time in UTC, ``dirty`` whether the files differ from the commit.
    """

    files: Mapping[str, bytes]
    commit: str | None = None
    root_commit: str | None = None
    committed_at: datetime | None = None
    dirty: bool = False


class ManifestSource(Protocol):
    """A source of manifests."""

    def read(self, revision: str | None) -> Revision:
        """Return the manifests of a git revision, or of the work tree for None. Raise SourceError on failure."""


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One delivered file: its path, whether it is executable, its git blob ID; ``target`` where it is a link."""

    path: str
    blob: str
    executable: bool = False
    target: str | None = None

    @property
    def seconds(self) -> int:
        """The modification time at every delivery: a moment of 2001 to 2010 that other content would not have."""
        return 1_000_000_000 + int(self.blob[:7], 16)


@dataclass(frozen=True, slots=True)
class InputTree:
    """The input of a sandbox: the files that one commit tracks below one path, without submodules.

    ``repo`` and ``ref`` are as in the manifest, ``commit`` is what ``ref`` named when it was planned, ``path`` the
    directory within, ``digest`` the SHA-256 of the sorted entries: equal trees have equal digests whatever the commit.
    """

    repo: str
    ref: str
    commit: str
    path: str
    digest: str
    entries: Mapping[str, TreeEntry] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Archive:
    """Bytes that are produced while they are sent: their number, and an iterator over them, to be consumed once.

    Close ``pieces`` unless all are consumed. The iterator may raise InputUnavailable.
    """

    size: int
    pieces: Generator[bytes] = field(repr=False)


class InputSource(Protocol):
    """A source of inputs."""

    def resolve(self, repo: str, ref: str, path: str, deadline: float | None = None) -> InputTree:
        """Find the commit and list its files before ``deadline``, a time of the monotonic clock, if given.

        Raise InputUnavailable if that fails, also for links that leave the tree. Safe to call from several threads at
        once.
        """

    def give_up(self) -> None:
        """Stop resolving in other threads: nobody waits for the result any more."""

    def read(self, tree: InputTree, path: str) -> bytes:
        """Return the bytes of one file. Raise InputUnavailable if the tree does not have it, or it is too large."""

    def archive(self, tree: InputTree, paths: Iterable[str] | None = None) -> Archive:
        """Return a POSIX tar of the tree (or of some of its paths): files 0644 or 0755, links as they are, owner 0."""
