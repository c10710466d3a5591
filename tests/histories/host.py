"""A host as values: the files below its root, the things in its engines, and its observation."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from sandboxer.errors import HostUnreachable, ObservationIncomplete
from sandboxer.hosts.scripts import script
from sandboxer.model.identity import LABEL_FLEET, LABEL_ID, Ownership
from sandboxer.model.observed import RECORD_MISSING, EngineObservation, FileSums, ObservedDirectory, Reachable
from sandboxer.model.protocols import CommandResult, TransportStats, TreeEntry
from sandboxer.model.record import RecordRefused, parse_record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from sandboxer.extensions.base import ObserveRequest, Operation
    from sandboxer.model.observed import Container, Engine, Head, HostObservation, Resource, Tombstone
    from sandboxer.model.protocols import Command
    from sandboxer.model.record import Record

ROOT = "/tmp/sandboxer"
ENGINES: tuple[Engine, ...] = ("docker", "podman")
ONE_FILE = FileSums(1, 100, TreeEntry("compose.yaml", "0" * 40).seconds)
"""What every delivered tree sums up to."""
Key = tuple[str, str]
"""A sandbox on a host: its fleet's name, and its id."""


@dataclass(slots=True)
class Folder:
    """A sandbox's directory: its record's bytes (None: lost), its journal, the delivered trees, its files."""

    record: bytes | None
    journal: list[str] = field(default_factory=list)
    trees: set[str] = field(default_factory=set)
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def sums(self) -> FileSums:
        """The checksums of its delivered files."""
        count = len(self.trees)
        return FileSums(count, count * ONE_FILE.bytes, count * ONE_FILE.seconds)


@dataclass(slots=True)
class SimulatedHost:
    """A host, as the transport to it.

    ``moment`` returns the true time; ``point`` is called wherever a fault may happen, and ``watch`` before a change of
    a sandbox is begun, written or removed.

    ``leftovers`` map staging and trash folders of a fleet to their sandboxes; ``held`` are the locks that are taken,
    ``locks`` their files; ``failing`` counts starts of a stack that will fail.
    """

    name: str
    moment: Callable[[], datetime]
    point: Callable[..., None]
    watch: Callable[[str, SimulatedHost, Operation], None]
    newer_on_hosts: timedelta = timedelta()
    reachable: bool = True
    garbled: bool = False
    linked: bool = False
    stopped_engines: set[Engine] = field(default_factory=set)
    failing: int = 0
    folders: dict[Key, Folder] = field(default_factory=dict)
    leftovers: dict[Key, str] = field(default_factory=dict)
    tombstones: dict[Key, Tombstone] = field(default_factory=dict)
    revisions: dict[str, Head] = field(default_factory=dict)
    locks: set[Key] = field(default_factory=set)
    held: set[Key] = field(default_factory=set)
    containers: dict[str, Container] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)
    made: Counter[str] = field(default_factory=Counter)
    stats: TransportStats = field(default_factory=TransportStats)

    # --- the transport

    def run(self, command: Command) -> CommandResult:
        """Answer whether it has a sandbox, or end an apply; the backend observes without commands."""
        from tests.histories.verbs import clean_up

        if command.script != script("prelude.sh", "names.sh", "present.sh"):
            clean_up(self, command.stdin.decode())
            return CommandResult(0, b"", b"")
        self.point(self)
        _root, fleet, identifier, name = command.stdin.decode().splitlines()
        records = [each.record for key, each in self.folders.items() if key[0] == fleet and each.record]
        there = (fleet, identifier) in self.folders or (name and name in [json.loads(one)["name"] for one in records])
        return CommandResult(0, b"here\n" if there else b"away\n", b"")

    def open(self, command: Command) -> object:
        """Refuse: the simulated session opens no connection."""
        raise AssertionError(command.script)

    def close(self) -> None:
        """Do nothing: no connection is open."""

    # --- observation

    @property
    def clock(self) -> datetime:
        """Its clock, in whole seconds."""
        return (self.moment() + self.newer_on_hosts).replace(microsecond=0)

    def observation(self, request: ObserveRequest) -> HostObservation:
        """Return its observation."""
        self.point(self)
        if not self.reachable:
            raise HostUnreachable(self.name, f"{self.name} does not answer")
        if self.garbled:
            raise ObservationIncomplete(self.name, f"observing {self.name} was interrupted")
        chosen: Engine = "docker" if request.runtime == "auto" else request.runtime
        fleet = request.fleet
        linked, hung = f"{ROOT}/{fleet} is a symbolic link: remove it", f"{chosen} does not answer: it is down"
        return Reachable(
            host=self.name,
            clock=self.clock,
            boot_id="boot",
            free_bytes=1 << 30,
            cpus=4.0,
            memory_bytes=8 << 30,
            engine=chosen,
            engines={engine: self._engine(engine) for engine in ENGINES},
            found={} if self.linked else {key[1]: self.found(key) for key in self.folders if key[0] == fleet},
            directories=(*sorted(self.directories | (self.fleets() - {fleet})),),
            leftovers=tuple(name for owner, name in self.leftovers if owner == fleet),
            tombstones={key[1]: tombstone for key, tombstone in self.tombstones.items() if key[0] == fleet},
            head=self.revisions.get(fleet),
            error=linked if self.linked else None,
            backend_error=hung if chosen in self.stopped_engines else None,
            absence_error=next(
                (f"{engine} does not answer: it is down" for engine in sorted(self.stopped_engines)), None
            ),
        )

    def _engine(self, engine: Engine) -> EngineObservation:
        if engine in self.stopped_engines:
            return EngineObservation(engine, "it is down")
        containers = tuple(c for c in self.containers.values() if c.engine == engine)
        return EngineObservation(
            engine, None, containers, tuple(r for r in self.resources.values() if r.engine == engine)
        )

    def fleets(self) -> set[str]:
        """Return the fleets that have a folder below the root."""
        things = (self.folders, self.leftovers, self.tombstones, self.locks)
        return {key[0] for some in things for key in some} | self.revisions.keys()

    # --- the true state of one sandbox

    def found(self, key: Key) -> ObservedDirectory:
        """Return its directory, as an observation reads it."""
        folder = self.folders[key]
        return replace(_read(folder.record, *key), has_workspace=bool(folder.trees), files=folder.sums)

    def record(self, key: Key) -> Record | None:
        """Return its record, if it has a valid one."""
        return self.found(key).record if key in self.folders else None

    def owners(self, key: Key, engines: Collection[Engine] = ENGINES) -> Iterator[Ownership]:
        """Yield the ownership labels of its containers, networks and volumes in these engines."""
        claims = [Ownership.of(dict(container.labels)) for container in self.of(key) if container.engine in engines]
        claims += [resource.owner for resource in self.resources.values() if resource.engine in engines]
        yield from (owner for owner in claims if owner and (owner.fleet, owner.id) == key)

    def of(self, key: Key) -> list[Container]:
        """Return its containers."""
        return [c for c in self.containers.values() if (c.labels.get(LABEL_FLEET), c.labels.get(LABEL_ID)) == key]

    def has(self, key: Key) -> bool:
        """Return whether anything of it exists here."""
        return key in self.folders or any(True for _ in self.owners(key))

    def discard(self, key: Key) -> None:
        """Remove everything of it, as a person would by hand."""
        self.folders.pop(key, None)
        self.locks.discard(key)
        for container in self.of(key):
            del self.containers[container.id]
        for name, resource in list(self.resources.items()):
            if resource.owner and (resource.owner.fleet, resource.owner.id) == key:
                del self.resources[name]

    def sandboxes(self, fleet: str | None = None) -> set[Key]:
        """Return all sandboxes, or all of one fleet, of which anything exists here."""
        labelled = (Ownership.of(dict(c.labels)) for c in self.containers.values())
        owners = [owner for owner in (*labelled, *(r.owner for r in self.resources.values())) if owner]
        known = self.folders.keys() | {(owner.fleet, owner.id) for owner in owners}
        return {key for key in known if fleet in (None, key[0])}


@lru_cache(maxsize=20_000)
def _read(data: bytes | None, fleet: str, identifier: str) -> ObservedDirectory:
    if data is None:
        return ObservedDirectory(identifier, None, RECORD_MISSING)
    try:
        return ObservedDirectory(identifier, parse_record(data, fleet=fleet, identifier=identifier))
    except RecordRefused as refused:
        return ObservedDirectory(identifier, None, f"its record cannot be read: {refused}")
