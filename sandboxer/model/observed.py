"""What a look at a host found. A failed look is a value of its own, so that nobody reads it as an absence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sandboxer.model.identity import Ownership
    from sandboxer.model.record import Record

Engine = Literal["docker", "podman"]
ContainerState = Literal["created", "running", "paused", "restarting", "removing", "exited", "dead", "unknown"]
ContainerHealth = Literal["starting", "healthy", "unhealthy"]

#: What ``ObservedDirectory.error`` says of a sandbox's directory without a record: lost, where another error means
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
    """One container of either engine, in any state. ``health`` is None where it has no health check.

    ``networks`` are the names of its networks, ``addresses`` maps them to its addresses there while it runs, and
    ``volumes`` are the names of the volumes that it mounts, those that the engine made for it alone included.
    ``unreadable`` says why nothing but its id, its name and its labels is known, where that is so.
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


@dataclass(frozen=True, slots=True)
class Resource:
    """A network or a volume, by its engine's id (a volume's id is its name), and whose its labels say it is."""

    kind: Literal["network", "volume"]
    id: str
    name: str
    engine: Engine
    owner: Ownership | None


@dataclass(frozen=True, slots=True)
class EngineObservation:
    """What one engine said. ``error`` is None where it answered in full; otherwise the lists mean nothing."""

    engine: Engine
    error: str | None = None
    containers: tuple[Container, ...] = ()
    resources: tuple[Resource, ...] = ()


@dataclass(frozen=True, slots=True)
class FileSums:
    """The delivered files of a sandbox: how many, and the sums of their sizes and of their times of change.

    Their order does not count. Files that containers may write to are not among them.
    """

    files: int = 0
    bytes: int = 0
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class ObservedDirectory:
    """A sandbox's directory: its record, or the reason why what lies there is none.

    ``has_workspace`` tells whether delivered files are there at all, ``files`` their sums, None where the host could
    not tell. ``told`` is the drift that ``sandboxer drift`` told last: each path, and since when; ``reported_digest``
    is the SHA-256 of the file that says so, empty without one.
    """

    id: str
    record: Record | None
    error: str | None = None
    has_workspace: bool = True
    files: FileSums | None = None
    told: Mapping[str, datetime] = field(default_factory=dict)
    reported_digest: str = ""


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What expired on a host and may not come back by itself, until the document it is bound to changes."""

    id: str
    spec_digest: str


@dataclass(frozen=True, slots=True)
class Head:
    """The newest fleet commit that was applied on a host, and its committer's time."""

    commit: str
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class Reachable:
    """A host that answered. ``error`` is None where the look is complete; otherwise it says what is missing.

    ``engine`` is the one that new sandboxes here get, None where there is none. ``directories`` are the paths below
    the root, relative to it, that are not sandboxes of this fleet. ``leftovers`` are staging and trash folders of it,
    and locks of nothing. Times are the host's own; ``free_bytes`` is of the file system that holds the root.
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


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A host that could not be looked at: nothing is known of what is on it.

    ``answered`` tells a host that was there and whose answer could not be used from one that did not answer.
    """

    host: str
    error: str
    answered: bool = False


HostObservation = Reachable | Unreachable
