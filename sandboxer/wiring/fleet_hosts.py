"""The hosts of a fleet: the one place of a run that connects to them."""

# What is needed only after the observation is imported where it is used, so that hosts are queried sooner.

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandboxer.adapters.transports import Transports
from sandboxer.lifecycle.observe import observe_hosts
from sandboxer.model.plan import Stats
from sandboxer.model.run_events import HostObserved, ObservationEnded, ObservationStarted, ignore
from sandboxer.wiring.hosts import observe_request
from sandboxer.wiring.observations import FleetObservations
from sandboxer.wiring.source import FleetSource

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from sandboxer.model.manifest import Host
    from sandboxer.model.observed import HostObservation
    from sandboxer.model.protocols import HostTransport
    from sandboxer.model.request import SandboxRequest
    from sandboxer.model.run_events import Sink


@dataclass(frozen=True, slots=True)
class FleetHosts:
    """The hosts that ``source`` names, reached over ``transports``. ``emit`` receives the run's events.

    ``began`` is the start of the run on the monotonic clock. With ``restarts`` observations have those of containers.
    """

    source: FleetSource
    transports: Transports
    emit: Sink = ignore
    began: float = field(default_factory=time.monotonic)
    restarts: bool = False

    def observe(self) -> FleetObservations:
        """Return one observation of every host of the fleet; meanwhile the desired fleet is resolved.

        Raise ManifestError, SourceError, ExtensionError. An unreachable host is a value.
        """
        hosts = self.source.sound().hosts
        self.source.extensions()  # a missing one is an error before any host is contacted
        self.emit(ObservationStarted(len(hosts)))
        try:
            with ThreadPoolExecutor(max_workers=1) as beside:
                running = beside.submit(self._observe, hosts)
                fleet = self.source.fleet()
                found = running.result()
            retired = {name: fleet.hosts[name] for name in sorted(fleet.retired)}
            return FleetObservations(fleet, {**found, **self._observe(retired)})
        finally:
            self.emit(ObservationEnded())

    def observe_again(self, names: Collection[str], known: FleetObservations) -> FleetObservations:
        """Return the ``known`` observations, with fresh ones of the hosts of these names."""
        hosts = {name: known.fleet.hosts[name] for name in names}
        return FleetObservations(known.fleet, {**known.by_host, **self._observe(hosts)})

    def transport(self, name: str) -> HostTransport:
        """Return the transport of a host, created at first use."""
        return self.transports.to(self.source.sound().hosts.get(name) or self.source.fleet().hosts[name])

    def stats(self) -> Stats:
        """Return the cost of the run so far."""
        stats = self.transports.stats
        return Stats(stats.connections, stats.commands, seconds=time.monotonic() - self.began)

    def _observe(self, hosts: Mapping[str, Host]) -> dict[str, HostObservation]:
        fleet = self.source.fleet_name()
        requests = [observe_request(host, fleet, restarts=self.restarts) for host in hosts.values()]
        seen = lambda observation, seconds: self.emit(HostObserved(observation, seconds))  # noqa: E731
        return observe_hosts(requests, self.transport, self.source.extensions(), seen=seen)


@contextmanager
def open_fleet(
    root: Path,
    *,
    revision: str | None = None,
    read_secrets: bool = False,
    find_inputs: bool = True,
    request: SandboxRequest | None = None,
    remote: bool = False,
    emit: Sink = ignore,
    restarts: bool = False,
) -> Iterator[tuple[FleetSource, FleetHosts]]:
    """Yield the source of the fleet in ``root``, and its hosts; at the end every connection is closed.

    The parameters are those of FleetSource, and ``restarts`` of FleetHosts; ``emit`` receives the events of both. Raise
    InputUnavailable if a remote request's repository is not allowed.
    """
    source = FleetSource(root, revision, read_secrets, find_inputs, request, remote, emit)
    source.check_request()
    transports = Transports(root)
    try:
        yield source, FleetHosts(source, transports, emit, restarts=restarts)
    finally:
        transports.close()
