"""The observation of a host. A failed observation is a value of its own, so that nobody takes it for an absence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sandboxer.model.identity import Ownership
    from sandboxer.model.record import Record

#: The name of what runs containers on a host, as an extension declares it.
Engine = str
ContainerState = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead", "unknown"]
ContainerHealth = Literal["starting", "healthy", "unhealthy"]

#: The ``ObservedDirectory.error`` of a sandbox's directory without a record: lost, where another error means
#: unreadable.
RECORD_MISSING = "its directory has no record"


@dataclass(frozen=True, slots=True)
class Port:
    """A container port that the engine publishes on the host."""

    container_port: int
    protocol: str
    host_address: str
    host_port: int


@dataclass(frozen=True, slots=True)
class Container:
    """One container of either engine, in any state. ``health`` is None without a health check.

    ``service`` is the service that it belongs to, or its own name; ``replica`` its number there, from 1 on.
    ``config_hash`` distinguishes one definition of a service from another. ``one_off`` is what a person runs beside the
    services: it is theirs to end. ``project`` is the stack that it belongs to where that may be somebody else's.

    ``networks`` are the names of its networks, ``addresses`` maps them to its addresses there while it runs, and
    ``volumes`` are the names of the volumes that it mounts, including those that the engine made for it alone.
    ``unreadable`` says why only its ID, its name and its labels are known, where that is so. ``restarts`` is how often
    its engine restarted it, None where that was not observed.
    """

    id: str
    name: str
    engine: Engine
    image: str
    image_id: str
    state: ContainerState
    exit_code: int
    health: ContainerHealth | None
    labels: Mapping[str, str]
    addresses: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    volumes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    unreadable: str | None = None
    service: str = ""
    replica: int = 1
    config_hash: str = ""
    one_off: bool = False
    project: str = ""
    restarts: int | None = None


@dataclass(frozen=True, slots=True)
class Resource:
    """A network or a volume, by its engine's ID (a volume's ID is its name), and the owner that its labels claim."""

    kind: Literal["network", "volume"]
    id: str
    name: str
    engine: Engine
    owner: Ownership | None


@dataclass(frozen=True, slots=True)
class EngineObservation:
    """What one engine returned. ``error`` is None where it answered in full; otherwise the lists mean nothing.

    ``denied`` is for an engine that the login may not use.
    """

    engine: Engine
    error: str | None = None
    containers: tuple[Container, ...] = ()
    resources: tuple[Resource, ...] = ()
    denied: bool = False


@dataclass(frozen=True, slots=True)
class FileSums:
    """The delivered files of a sandbox: their number, and the sums of their sizes and modification times.

    Their order does not count. Files that containers may write to are not included.
    """

    files: int = 0
    bytes: int = 0
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class ObservedDirectory:
    """A sandbox's directory: its record, or why its record cannot be used.

    ``has_workspace`` says whether delivered files are there at all; ``files`` are their sums, None where the host could
    not determine them. ``reported_drift`` is what ``sandboxer drift`` reported last: each path, and since when;
    ``reported_digest`` is the SHA-256 of the file that holds it, empty without one.
    """

    id: str
    record: Record | None
    error: str | None = None
    has_workspace: bool = True
    files: FileSums | None = None
    reported_drift: Mapping[str, datetime] = field(default_factory=dict)
    reported_digest: str = ""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """An expired sandbox, which may not come back by itself until the document that it is bound to changes."""

    id: str
    spec_digest: str


@dataclass(frozen=True, slots=True)
class Head:
    """The newest fleet commit that was applied on a host, and its committer's time."""

    commit: str
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class Reachable:
    """A host that answered. ``error`` is None where the observation is complete, and says what is missing otherwise.

    ``backend_error`` says what is missing for the sandboxes of the extension that observed, and for no others: its
    engine does not answer. ``backend_errors`` are those of all extensions that observed, by their names.
    ``absence_error`` says why that extension may have sandboxes here that it did not find, although those that it found
    are complete: another engine does not answer. ``absence_errors`` are those of all extensions.
    ``engine`` is the one that new sandboxes here get, None without one. ``directories`` are the paths below the root,
    relative to it, that are not sandboxes of this fleet. ``leftovers`` are its staging and trash directories, and locks
    that belong to nothing. Times are the host's own; ``free_bytes`` is of the file system that holds the root.
    """

    host: str
    clock: datetime
    boot_id: str
    free_bytes: int
    cpus: float
    memory_bytes: int
    engine: Engine | None
    engines: Mapping[Engine, EngineObservation]
    found: Mapping[str, ObservedDirectory]
    directories: tuple[str, ...] = ()
    leftovers: tuple[str, ...] = ()
    tombstones: Mapping[str, Tombstone] = field(default_factory=dict)
    head: Head | None = None
    error: str | None = None
    backend_error: str | None = None
    backend_errors: Mapping[str, str] = field(default_factory=dict)
    absence_error: str | None = None
    absence_errors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A host that could not be observed: nothing is known of what is on it.

    ``answered`` is true for a host that answered in a way that could not be used, and false for one that did not
    answer.
    """

    host: str
    error: str
    answered: bool = False


HostObservation = Reachable | Unreachable
