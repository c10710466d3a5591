"""What to do on a host, as values: observe it, or carry out one operation on one sandbox there."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime

    from sandboxer.model.event import Event
    from sandboxer.model.observed import Container, Engine, Reachable
    from sandboxer.model.protocols import HostTransport, InputSource
    from sandboxer.model.record import Record
    from sandboxer.model.run_events import ServiceState
    from sandboxer.model.service_operation import ServiceOperation


@dataclass(frozen=True, slots=True)
class ObserveRequest:
    """What to observe on one host: the root, the fleet, and what the Host requests for new sandboxes there.

    ``runtime`` is the engine, ``auto`` if the backend is to choose one. ``tool`` is the command of the backend's tool,
    None if the backend is to find the host's own. The core reads neither. ``known`` is what another extension's command
    showed of the host a moment ago, None for the first one: a backend that keeps nothing outside the root needs no
    command of its own. ``restarts`` requests how often containers were restarted, where that costs more than the rest.
    """

    host: str
    root: str
    fleet: str
    runtime: str = "auto"
    tool: str | None = None
    known: Reachable | None = None
    restarts: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """The host that an operation runs on, and how to reach it.

    ``engine`` is the one that has the sandbox, or is to have it; empty for an extension that needs none.
    ``cpus`` and ``memory_bytes`` are the host's own size. ``capacity`` is how many sandboxes of the fleet it takes,
    None for any number. ``tool`` is as in an ObserveRequest. ``holder`` names the lock holder to other clients, as
    ``holder_line`` writes it. ``lock_timeout`` is how many seconds to wait for the lock.
    """

    host: str
    root: str
    transport: HostTransport
    engine: Engine
    tool: str | None
    cpus: float
    memory_bytes: int
    holder: str
    lock_timeout: float = 60.0
    capacity: int | None = None


@dataclass(frozen=True, slots=True)
class Provenance:
    """The commit of the fleet that is applied, for the record and for the head noted on the host."""

    fleet_root: str | None = None
    fleet_commit: str | None = None
    committed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One change to carry out: the sandbox, its target, and the plan's ``reason``.

    ``expected_generation`` and ``expected_uid`` are those of the record that the plan observed; the backend raises
    StaleChange where the record is another one once the lock is held. ``lives`` are all uids that the sandbox's labels
    name where there is no record: a teardown removes each of them. ``progress`` is called with each step in a word or
    two. With ``again`` a teardown is the first half of a replacement; the record of an imperative sandbox then says so.
    ``placing`` is entered around the first write of a new life: until it is left, no other client begins a life on
    another host. Entering it raises SandboxError or HostError. ``on_event`` is called with each event that is in the
    journal, with the record, and on ``ready`` with the containers; it must not block. ``keeps_journal`` says that there
    is a State Hub: events that it has not acknowledged outlive the sandbox. With ``only_requested`` a new life may stop
    at its record, in phase `requested`, to be resumed later; a backend may also create the whole sandbox. ``services``
    is called with what is about to happen to each service, and again where that changes; a backend without services
    need not call it. ``hide`` removes the secrets that the run knows from a text. ``service_state`` is called with a
    service, its state and a detail of that as they change, for people to follow; it must not block.
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
    on_event: Callable[[Event, Record, Sequence[Container]], None] = lambda *_values: None
    keeps_journal: bool = False
    only_requested: bool = False
    lives: tuple[str, ...] = ()
    again: bool = False
    services: Callable[[Sequence[ServiceOperation]], None] = lambda _operations: None
    hide: Callable[[str], str] = lambda text: text
    service_state: Callable[[str, ServiceState, str], None] = lambda *_values: None
