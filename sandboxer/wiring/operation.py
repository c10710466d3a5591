"""The operation for one change on one host, from what is known of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors import SandboxerError
from sandboxer.extensions.base import Operation, Provenance, Target
from sandboxer.model.lifecycle import Action
from sandboxer.model.observed import Reachable
from sandboxer.model.run_events import ChangeProgressed, EventWritten, ServiceProgressed, ignore
from sandboxer.model.text import named
from sandboxer.wiring import clock
from sandboxer.wiring.holder import holder_of
from sandboxer.wiring.hosts import tool_of
from sandboxer.wiring.secrecy import Redaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.extensions.registry import Registry
    from sandboxer.model.desired import Fleet
    from sandboxer.model.observed import Engine
    from sandboxer.model.plan import Change
    from sandboxer.model.protocols import HostTransport, InputSource
    from sandboxer.model.run_events import Sink
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox
    from sandboxer.wiring.apply_options import ApplyOptions
    from sandboxer.wiring.fleet_hosts import FleetHosts
    from sandboxer.wiring.observations import FleetObservations
    from sandboxer.wiring.source import FleetSource


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations of a run: what all of them have in common.

    ``transport`` returns the transport of a host. With ``keeps_journal`` unacknowledged events stay on the hosts.
    ``emit`` receives each step, and each event that is in a journal.
    """

    transport: Callable[[str], HostTransport]
    inputs: InputSource
    keeps_journal: bool
    registry: Registry
    options: ApplyOptions
    emit: Sink = ignore

    def of(self, change: Change, host: str, observations: FleetObservations, *, quiet: bool = False) -> Operation:
        """Return the operation for ``change`` on a host, by its observation; a ``quiet`` one reports no steps.

        Raise SandboxerError if none is possible.
        """
        fleet, observation = observations.fleet, observations.by_host[host]
        if not isinstance(observation, Reachable):
            raise SandboxerError(f"{named('host', host)} could not be observed")
        observed = observations.sandbox(host, change.id)
        engine = self._engine(change, observed, observation, fleet)
        if engine is None:
            raise SandboxerError(
                f"{named('host', host)} has no container engine", hint=f"check the host with `sandboxer doctor {host}`"
            )
        manifest, redact = fleet.hosts[host], Redaction(lambda: fleet)
        target = Target(
            host=host,
            root=manifest.spec.root,
            transport=self.transport(host),
            engine=engine,
            tool=tool_of(manifest),
            cpus=observation.cpus,
            memory_bytes=observation.memory_bytes,
            holder=holder_of(fleet),
            lock_timeout=self.options.lock_timeout,
            capacity=manifest.spec.capacity.sandboxes,
        )
        return Operation(
            target=target,
            fleet=fleet.name,
            id=change.id,
            name=change.sandbox,
            reason=change.reason.value,
            expected_generation=observed.generation if observed else 0,
            expected_uid=observed.uid if observed else "",
            inputs=self.inputs,
            provenance=Provenance(fleet.root_commit, fleet.commit, fleet.committed_at),
            progress=lambda step: None if quiet else self.emit(ChangeProgressed(change, step)),
            service_state=lambda service, state, detail: (
                None if quiet else self.emit(ServiceProgressed(change, service, state, redact(change.id, detail)))
            ),
            clock=lambda: clock.now().replace(microsecond=0),
            hide=lambda text: redact(change.id, text),
            on_event=lambda event, record, containers: self.emit(EventWritten(host, event, record, containers)),
            keeps_journal=self.keeps_journal,
            only_requested=self.options.only_requested,
            lives=tuple(sorted({owner.uid for owner in observed.owners()})) if observed and not observed.record else (),
        )

    def _engine(
        self, change: Change, observed: ObservedSandbox | None, observation: Reachable, fleet: Fleet
    ) -> Engine | None:
        """Return the engine that has the sandbox; of a new life the host's, or none if its extension needs none.

        None means that one is needed, and the host has none.
        """
        if observed and observed.engine is not None and change.action is not Action.REPLACE:
            return observed.engine
        desired = next((one for one in fleet.sandboxes.values() if one.id == change.id), None)
        extension = desired.profile.spec.extension if desired else self.registry.first
        return observation.engine if self.registry.needs_engine(extension) else ""


def operations_of(source: FleetSource, hosts: FleetHosts, options: ApplyOptions, emit: Sink = ignore) -> Operations:
    """Return the operations of a run over the fleet of ``source``."""
    return Operations(hosts.transport, source.inputs(), source.has_hub(), source.registry(), options, emit)
