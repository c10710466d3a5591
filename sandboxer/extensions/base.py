"""What a backend must answer: the Extension protocol, and the values that go in and come out."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.event import Event
    from sandboxer.model.observed import Container, Engine, HostObservation
    from sandboxer.model.protocols import HostTransport, InputSource
    from sandboxer.model.record import Record

Runtime = Literal["docker", "podman", "auto"]


@dataclass(frozen=True, slots=True)
class ObserveRequest:
    """What a look asks of one host: which root, whose fleet, and which engine new sandboxes there would get."""

    host: str
    root: str
    fleet: str
    runtime: Runtime = "auto"


@dataclass(frozen=True, slots=True)
class Target:
    """Where work on a sandbox is done. ``compose_command`` is None where the host's own is to be found.

    ``cpus`` and ``memory_bytes`` are the host's own size. ``capacity`` is how many sandboxes of the fleet it
    takes, None for any. ``holder`` says to others who holds the lock, as
    ``holder_line`` writes it, and ``lock_timeout`` how many seconds to wait for it.
    """

    host: str
    root: str
    transport: HostTransport
    engine: Engine
    compose_command: str | None
    cpus: float
    memory_bytes: int
    holder: str
    lock_timeout: float = 60.0
    capacity: int | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which commit of the fleet is applied, for the record and the host's head."""

    fleet_root: str | None = None
    fleet_commit: str | None = None
    committed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One change to carry out: on what, where, and for which ``reason`` of the plan's.

    ``expected`` is the generation and uid of the record that the plan saw; the backend raises StaleChange where it is
    another once the lock is held. ``fresh`` means that the sandbox begins a new life: a create or a replace.
    ``lives`` are all uids that its labels name where there is no record: a removal ends each of them.
    ``progress`` is told each step in a word or two. ``placing`` is entered around the first write of a new life: until
    it is left, no other client begins one on another host. Entering it raises SandboxError or HostError. ``told`` gets
    each event that is in the journal by now, the record with it, and on ``ready`` the containers; it never waits. With
    ``keeps_journal`` there is a State Hub, and what it was not told yet outlives the sandbox. With
    ``only_requested`` a new life may stop at its record, in phase `requested`, to be gone on with later; a backend may
    make the whole all the same.
    """

    target: Target
    fleet: str
    id: str
    name: str
    reason: str
    expected_generation: int
    expected_uid: str
    inputs: InputSource
    provenance: Provenance
    progress: Callable[[str], None]
    clock: Callable[[], datetime]
    placing: Callable[[], AbstractContextManager[None]] = nullcontext
    told: Callable[[Event, Record, Sequence[Container]], None] = lambda *_told: None
    keeps_journal: bool = False
    only_requested: bool = False
    lives: tuple[str, ...] = ()


class Extension(Protocol):
    """A backend that makes sandboxes on hosts.

    An instance is shared by threads and keeps no state between calls. Errors are those of ``sandboxer.errors``.
    """

    def probe(self, transport: HostTransport, request: ObserveRequest) -> HostObservation:
        """Return everything that is on the host, seen in one command that writes nothing.

        Raises HostUnreachable, CommandTimeout, OutputTooLarge or ObservationIncomplete: then nothing is known.
        """

    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        """Make the sandbox, or brings it to what is desired in place; return the record as written at the end.

        ``fresh`` starts a new life: what the former one left is removed first. Raises SandboxError.
        """

    def wait_ready(self, operation: Operation, record: Record, timeout: float) -> Mapping[str, str]:
        """Wait until every service is up, at most ``timeout`` seconds; return each one's state. Raises SandboxError."""

    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        """Remove everything of the sandbox, its record last. What is not there is success.

        With ``tombstone``, the digest of its document is kept, so that it does not come back by itself.
        """


REQUIRED_OPERATIONS = ("probe", "provision", "wait_ready", "teardown")
