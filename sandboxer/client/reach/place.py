"""Where the sandbox that is reached into lives: its host, its containers by service, and the way there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxer.client.seen import copies_seen
from sandboxer.errors import SandboxError, UsageError
from sandboxer.extensions.base import Question
from sandboxer.model.observed import Reachable
from sandboxer.profiles.report import did_you_mean
from sandboxer.reconcile.drift import one_off, service_of
from sandboxer.reconcile.sight import survey
from sandboxer.wiring.found import find
from sandboxer.wiring.hosts import runtime_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandboxer.client.access import Access
    from sandboxer.extensions.base import Extension
    from sandboxer.model.manifest import Host
    from sandboxer.model.observed import Container, Engine
    from sandboxer.model.record import Record
    from sandboxer.model.seams import HostTransport
    from sandboxer.reconcile.sight import Sight

NUMBER = "com.docker.compose.container-number"


@dataclass(frozen=True, slots=True)
class Place:
    """One sandbox where it lives, as one look saw it. ``folder`` is the fleet's, which key files are relative to."""

    name: str
    folder: Path
    fleet: str
    host: Host
    extension: Extension
    sight: Sight
    record: Record

    @property
    def engine(self) -> Engine:
        """The engine that has its containers."""
        return self.record.engine

    @property
    def services(self) -> Mapping[str, Sequence[Container]]:
        """The containers of each service, in any state, the first replica first; what a person runs beside is none."""
        found: dict[str, list[Container]] = {}
        for container in self.sight.containers:
            if not one_off(container) and container.engine == self.engine:
                found.setdefault(service_of(container), []).append(container)
        return {name: sorted(found[name], key=number_of) for name in sorted(found)}

    def the_service(self, service: str | None) -> str:
        """The service that is meant, the only one where none is named. Raises UsageError."""
        services = self.services
        if service is None and len(services) == 1:
            return next(iter(services))
        if service is None:
            raise UsageError(f"{self.name} has {self._have()}: which one?", hint="name the service that is meant")
        if service not in services:
            hint = did_you_mean(service, services.keys()) or f"it has {self._have()}"
            raise UsageError(f"{self.name} has no service {service}", hint=hint)
        return service

    def container(self, service: str | None, *, running: bool = True) -> Container:
        """A container of a service, one that runs before others. Raises UsageError, SandboxError where none runs."""
        name = self.the_service(service)
        containers = self.services[name]
        found = next((container for container in containers if container.state == "running"), None)
        if found is None and running:
            states = " and ".join(sorted({container.state for container in containers}))
            message = f"{name} of {self.name} does not run: it is {states}"
            raise SandboxError(self.name, message, hint=f"see `sandboxer logs {self.name} --service {name}`")
        return found or containers[0]

    def _have(self) -> str:
        names = list(self.services)
        return f"the services {', '.join(names)}" if names else "no containers"

    def look_again(self, transport: HostTransport) -> Place:
        """The same sandbox as a look at its host shows it now. Raises HostError, and SandboxError where it is gone."""
        question = Question(self.sight.host, self.host.spec.root, self.fleet, runtime_of(self.host))
        look = self.extension.probe(transport, question)
        sights = survey(look, self.fleet, self.host.spec.root).sights if isinstance(look, Reachable) else {}
        sight = sights.get(self.sight.id)
        if sight is None:
            raise SandboxError(self.name, f"{self.name} is not on {self.sight.host} any more")
        return replace(self, sight=sight, record=sure(self.name, sight))


def number_of(container: Container) -> int:
    """Which replica of its service a container is, from 1 on."""
    told = container.labels.get(NUMBER, "")
    return int(told) if told.isdecimal() and len(told) < 10 else 1


def place_of(access: Access, name: str) -> Place:
    """Looks for the sandbox of a name or id; of one that moves, its home.

    Raises UsageError where there is none, HostNotSeen where it may be on a host that did not answer, and SandboxError
    where it is not surely ours, or its engine does not answer.
    """
    with access.run(find_inputs=False) as run:
        decided = access.plan(run)
        copies = copies_seen(run, decided, name) or find(run, decided, name)
        sight = copies[0].sight
        record = sure(copies[0].change.sandbox, sight)
        hosts = {**run.fleet.hosts, **run.sound().hosts}
        extension = run.registry.get(record.extension)
        return Place(record.name, Path(access.root), run.fleet_name, hosts[sight.host], extension, sight, record)


def sure(name: str, sight: Sight) -> Record:
    """The record of a sandbox that is ours without any doubt, and whose engine answers. Raises SandboxError."""
    doubt = sight.doubt or (None if sight.record else "its record is gone") or sight.engine_error
    if doubt or sight.record is None:
        raise SandboxError(name, f"{name} on {sight.host} is not reached into: {doubt}", hint="see `sandboxer plan`")
    return sight.record
