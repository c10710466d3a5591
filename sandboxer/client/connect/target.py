"""The sandbox to connect to: its host, its containers by service, and the connection there."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandboxer.client.query import copies_of
from sandboxer.errors import SandboxError, UsageError
from sandboxer.extensions.capabilities import LiveSandbox
from sandboxer.model.observed import Reachable
from sandboxer.model.suggestion import did_you_mean
from sandboxer.model.text import named
from sandboxer.reconcile.observed_sandbox import observed_host
from sandboxer.reconcile.options import Options
from sandboxer.wiring.edges import Transports
from sandboxer.wiring.hosts import observe_request
from sandboxer.wiring.lookup import find
from sandboxer.wiring.planning import plan_fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.client.context import ClientContext
    from sandboxer.extensions.registry import Registry
    from sandboxer.model.manifest import Host
    from sandboxer.model.observed import Container
    from sandboxer.model.protocols import HostTransport
    from sandboxer.model.record import Record
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectTarget(LiveSandbox):
    """One sandbox on its host, as one observation showed it, and its extension.

    ``folder`` is the fleet's directory, which key files are relative to.
    """

    folder: Path
    host: Host
    registry: Registry

    def capable(self, capability: str) -> Any:
        """Return the sandbox's extension, which has a capability. Raise CapabilityMissing if it does not declare it."""
        return self.registry.capable(self.name, self.record.extension, capability)

    def the_service(self, service: str | None) -> str:
        """Return the given service, or the only one if none is given. Raise UsageError if there is no such service."""
        services = self.services
        if service is None and len(services) == 1:
            return next(iter(services))
        if service is None:
            several = f"has {len(services)} services" if services else "has no containers"
            hint = f"specify a service: {', '.join(services)}" if services else f"check `sandboxer get {self.name}`"
            raise UsageError(f"{named('sandbox', self.name)} {several}; no service specified", hint=hint)
        if service not in services:
            hint = did_you_mean(service, services) or f"check `sandboxer get {self.name}`: there are no containers"
            raise UsageError(f"{named('sandbox', self.name)} has no {named('service', service)}", hint=hint)
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
            message = f"{named('service', name)} of {named('sandbox', self.name)} is not running: {states}"
            raise SandboxError(self.name, message, hint=f"check `sandboxer logs {self.name} --service {name}`")
        return found or containers[0]

    def observe_again(self, transport: HostTransport) -> ConnectTarget:
        """Return the same sandbox by a fresh observation of its host.

        Raise HostError, and SandboxError if it is gone.
        """
        observation = self.registry.get(self.record.extension).observe(
            transport, observe_request(self.host, self.fleet)
        )
        copies = (
            observed_host(observation, self.fleet, self.host.spec.root).copies
            if isinstance(observation, Reachable)
            else {}
        )
        observed = copies.get(self.observed.id)
        if observed is None:
            raise SandboxError(
                self.name, f"{named('sandbox', self.name)} is no longer on {named('host', self.observed.host)}"
            )
        return replace(self, observed=observed, record=sure(self.name, observed))


def target_of(context: ClientContext, name: str) -> ConnectTarget:
    """Return the sandbox with a name or id; of one that moves, its home.

    Raise UsageError if it does not exist, HostNotObserved if it may be on a host that did not answer, and SandboxError
    if it is not certainly ours, or its engine does not answer.
    """
    with context.open(find_inputs=False) as (source, hosts):
        planned = plan_fleet(source, hosts, Options())
        copies = copies_of(planned, name) or find(planned, name)
        observed = copies[0].observed
        record = sure(copies[0].change.sandbox, observed)
        host, folder = planned.observations.fleet.hosts[observed.host], Path(context.root)
        return ConnectTarget(
            name=record.name,
            fleet=source.fleet_name(),
            root=host.spec.root,
            observed=observed,
            record=record,
            connect=partial(_connection, folder, host),
            sensitive=copies[0].desired.sensitive if copies[0].desired else frozenset(),
            folder=folder,
            host=host,
            registry=source.registry(),
        )


@contextmanager
def _connection(folder: Path, host: Host) -> Iterator[HostTransport]:
    """Yield the transport of another connection to a host."""
    transports = Transports(folder)
    try:
        yield transports.to(host)
    finally:
        transports.close()


def sure(name: str, observed: ObservedSandbox) -> Record:
    """Return the record of a sandbox that is certainly ours, and whose engine answers. Raise SandboxError otherwise."""
    conflict = observed.conflict or (None if observed.record else "the record is missing") or observed.engine_error
    if conflict or observed.record is None:
        raise SandboxError(
            name,
            f"{named('sandbox', name)} on {named('host', observed.host)} cannot be accessed: {conflict}",
            hint="check with `sandboxer plan`",
        )
    return observed.record
