"""The sandbox to connect to: its host, its containers by service, and the connection there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxer.client.query import copies_of
from sandboxer.errors import SandboxError, UsageError
from sandboxer.extensions.base import ObserveRequest
from sandboxer.model.observed import Reachable
from sandboxer.profiles.report import did_you_mean
from sandboxer.reconcile.drift import one_off, service_of
from sandboxer.reconcile.observed_sandbox import observed_host
from sandboxer.wiring.hosts import runtime_of
from sandboxer.wiring.lookup import find

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandboxer.client.context import ClientContext
    from sandboxer.extensions.base import Extension
    from sandboxer.model.manifest import Host
    from sandboxer.model.observed import Container, Engine
    from sandboxer.model.protocols import HostTransport
    from sandboxer.model.record import Record
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox

NUMBER = "com.docker.compose.container-number"


@dataclass(frozen=True, slots=True)
class ConnectTarget:
    """One sandbox on its host, as one observation showed it.

    ``folder`` is the fleet's directory, which key files are relative to.
    """

    name: str
    folder: Path
    fleet: str
    host: Host
    extension: Extension
    observed: ObservedSandbox
    record: Record

    @property
    def engine(self) -> Engine:
        """The engine that runs its containers."""
        return self.record.engine

    @property
    def services(self) -> Mapping[str, Sequence[Container]]:
        """The containers of each service, in any state, the first replica first; without a person's one-off ones."""
        found: dict[str, list[Container]] = {}
        for container in self.observed.containers:
            if not one_off(container) and container.engine == self.engine:
                found.setdefault(service_of(container), []).append(container)
        return {name: sorted(found[name], key=number_of) for name in sorted(found)}

    def the_service(self, service: str | None) -> str:
        """Return the given service, or the only one if none is given. Raise UsageError if there is no such service."""
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
        """Return a container of a service, one that runs before others.

        Raise UsageError for an unknown service, SandboxError if none runs.
        """
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

    def observe_again(self, transport: HostTransport) -> ConnectTarget:
        """Return the same sandbox by a fresh observation of its host.

        Raise HostError, and SandboxError if it is gone.
        """
        request = ObserveRequest(self.observed.host, self.host.spec.root, self.fleet, runtime_of(self.host))
        observation = self.extension.probe(transport, request)
        copies = (
            observed_host(observation, self.fleet, self.host.spec.root).copies
            if isinstance(observation, Reachable)
            else {}
        )
        observed = copies.get(self.observed.id)
        if observed is None:
            raise SandboxError(self.name, f"{self.name} is not on {self.observed.host} any more")
        return replace(self, observed=observed, record=sure(self.name, observed))


def number_of(container: Container) -> int:
    """Return the number of a container's replica, from 1 on."""
    told = container.labels.get(NUMBER, "")
    return int(told) if told.isdecimal() and len(told) < 10 else 1


def target_of(context: ClientContext, name: str) -> ConnectTarget:
    """Return the sandbox with a name or id; of one that moves, its home.

    Raise UsageError if it does not exist, HostNotObserved if it may be on a host that did not answer, and SandboxError
    if it is not certainly ours, or its engine does not answer.
    """
    with context.run(find_inputs=False) as run:
        decided = context.plan(run)
        copies = copies_of(run, decided, name) or find(run, decided, name)
        observed = copies[0].observed
        record = sure(copies[0].change.sandbox, observed)
        hosts = {**run.fleet.hosts, **run.sound().hosts}
        extension = run.registry.get(record.extension)
        return ConnectTarget(
            record.name, Path(context.root), run.fleet_name, hosts[observed.host], extension, observed, record
        )


def sure(name: str, observed: ObservedSandbox) -> Record:
    """Return the record of a sandbox that is certainly ours, and whose engine answers. Raise SandboxError otherwise."""
    conflict = observed.conflict or (None if observed.record else "its record is gone") or observed.engine_error
    if conflict or observed.record is None:
        raise SandboxError(
            name, f"{name} on {observed.host} is not reached into: {conflict}", hint="see `sandboxer plan`"
        )
    return observed.record
