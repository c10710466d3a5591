"""The observation of a host by sandbox, and whether record and labels agree that a sandbox is ours."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from sandboxer.model.identity import LABEL_CLEANER, LABEL_FLEET, LABEL_ID, Ownership, sandbox_id
from sandboxer.model.lifecycle import Phase
from sandboxer.model.observed import RECORD_MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandboxer.model.observed import Container, Engine, EngineObservation, ObservedDirectory, Reachable, Resource
    from sandboxer.model.record import Record


@dataclass(frozen=True, slots=True)
class ObservedSandbox:
    """One sandbox of the fleet on one host: whatever exists of its directory, containers, networks and volumes.

    ``conflict`` says why record and labels disagree; nothing is then done to it. ``engine_error`` says that the engine
    which has its containers did not answer.
    """

    host: str
    id: str
    found: ObservedDirectory | None
    containers: tuple[Container, ...] = ()
    resources: tuple[Resource, ...] = ()
    conflict: str | None = None
    engine_error: str | None = None

    @property
    def record(self) -> Record | None:
        """The record; None where it is missing or cannot be read."""
        return self.found.record if self.found else None

    @property
    def generation(self) -> int:
        """The generation of the record; 0 without one."""
        return self.record.generation if self.record else 0

    @property
    def uid(self) -> str:
        """The uid of its current life: the record's, else the one that all labels agree on, else empty."""
        if self.record:
            return self.record.uid
        uids = {owner.uid for owner in self.owners()}
        return uids.pop() if len(uids) == 1 else ""

    @property
    def name(self) -> str:
        """The name from the record, else from the labels, else the ID."""
        if self.record:
            return self.record.name
        return min((owner.name for owner in self.owners() if owner.name), default=self.id)

    @property
    def origin(self) -> str | None:
        """``git`` or ``api``, from the record, else from the labels; None without either."""
        if self.record:
            return self.record.origin
        return next((owner.origin for owner in self.owners()), None)

    @property
    def engine(self) -> Engine | None:
        """The engine that has it: the record's (empty if it needs none), else that of its labels; None without."""
        if self.record:
            return self.record.engine
        engines = [c.engine for c in self.containers] + [r.engine for r in self.resources]
        return next(iter(engines), None)

    @property
    def latest_expiry(self) -> datetime | None:
        """The latest possible expiry by its labels; None where one of them lacks it."""
        try:
            moments = [datetime.fromisoformat(owner.latest_expiry) for owner in self.owners()]
        except ValueError:
            return None
        return max(moments) if moments and all(moment.tzinfo for moment in moments) else None

    @property
    def unreadable(self) -> str | None:
        """Why one of its containers is not known in full; None where all are.

        The container exists and its labels are known, so it can be removed; nothing else can be decided.
        """
        return next((container.unreadable for container in self.containers if container.unreadable), None)

    @property
    def is_ready(self) -> bool:
        """Whether it is ready, with no attempt in progress: a move deletes the old home only then."""
        return self.record is not None and self.record.phase in (Phase.READY, Phase.ACTIVE) and not self.record.attempt

    @property
    def running(self) -> bool:
        """Whether an engine has any container, network or volume of it."""
        return bool(self.containers or self.resources)

    def owners(self) -> Iterator[Ownership]:
        """Yield the owner that each of its containers, networks and volumes claims."""
        yield from (owner for owner in (Ownership.of(dict(c.labels)) for c in self.containers) if owner)
        yield from (resource.owner for resource in self.resources if resource.owner)


@dataclass(frozen=True, slots=True)
class ObservedHost:
    """All observed sandboxes of one host, and the containers that no record or label claims for this fleet."""

    copies: Mapping[str, ObservedSandbox] = field(default_factory=dict)
    others: tuple[Container, ...] = ()


def observed_host(observation: Reachable, fleet: str, root: str) -> ObservedHost:
    """Return a host's observation by sandbox. ``root`` is the Host's: labels that name another one are in conflict.

    A container that removes files for a client ends in a moment, and belongs to no sandbox.
    """
    containers: defaultdict[str, list[Container]] = defaultdict(list)
    resources: defaultdict[str, list[Resource]] = defaultdict(list)
    others: list[Container] = []
    for engine in observation.engines.values():
        for container in engine.containers:
            ours = container.labels.get(LABEL_FLEET) == fleet and container.labels.get(LABEL_ID)
            if ours or LABEL_CLEANER not in container.labels:
                (containers[ours] if ours else others).append(container)
        for resource in engine.resources:
            if resource.owner and resource.owner.fleet == fleet and resource.owner.id:
                resources[resource.owner.id].append(resource)
    identifiers = observation.found.keys() | containers.keys() | resources.keys()
    copies: dict[str, ObservedSandbox] = {}
    for identifier in sorted(identifiers):
        observed = ObservedSandbox(
            observation.host,
            identifier,
            observation.found.get(identifier),
            tuple(sorted(containers[identifier], key=lambda container: container.id)),
            tuple(sorted(resources[identifier], key=lambda resource: (resource.kind, resource.name))),
        )
        copies[identifier] = replace(
            observed,
            conflict=_conflict(observed, fleet, root),
            engine_error=_engine_error(observed, observation.engines),
        )
    return ObservedHost(copies, tuple(others))


def _conflict(observed: ObservedSandbox, fleet: str, root: str) -> str | None:
    owners = tuple(observed.owners())
    if any(owner.root != root for owner in owners):
        return f"its labels name another root than {root}"
    if observed.record is not None:
        return _disagreement(observed.record, owners, fleet)
    lives = len({owner.uid for owner in owners})
    # A cleaner of /tmp removes files before directories: a missing record, with containers of one life, is a loss and
    # not a conflict. A record that exists and cannot be read may contain anything.
    if observed.found is not None and (observed.found.error != RECORD_MISSING or lives == 0):
        return observed.found.error
    return None if lives == 1 else "its containers are of several lives, and no record says which counts"


def _disagreement(record: Record, owners: tuple[Ownership, ...], fleet: str) -> str | None:
    if any(owner.uid != record.uid for owner in owners):
        return "its containers carry another uid than its record"
    if any(owner.name != record.name or owner.origin != record.origin for owner in owners):
        return "its containers carry another name or origin than its record"
    if record.origin == "git" and sandbox_id(fleet, record.name) != record.id:
        return f"its record says the name {record.name}, which has another id"
    return None


def _engine_error(observed: ObservedSandbox, engines: Mapping[Engine, EngineObservation]) -> str | None:
    if observed.record is None or not observed.record.engine:
        return None
    engine = engines.get(observed.record.engine)
    if engine is None:
        return f"its engine, {observed.record.engine}, is not there"
    return f"{engine.engine} does not answer: {engine.error}" if engine.error else None
