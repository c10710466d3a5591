"""The observations of a fleet's hosts as one value, for finding single sandboxes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandboxer.model.observed import Reachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.model.desired import Fleet
    from sandboxer.model.observed import HostObservation
    from sandboxer.reconcile.observed_sandbox import ObservedHost, ObservedSandbox


@dataclass(frozen=True, slots=True)
class FleetObservations:
    """The desired fleet, and one observation of each of its hosts, by name. A host is sorted by sandbox only once."""

    fleet: Fleet
    by_host: Mapping[str, HostObservation]
    _sorted: dict[str, ObservedHost] = field(default_factory=dict, init=False, repr=False, compare=False)

    def sandbox(self, host: str, identifier: str) -> ObservedSandbox | None:
        """Return the observation of one sandbox on a host; None if the host does not have it, or did not answer."""
        observation, manifest = self.by_host.get(host), self.fleet.hosts.get(host)
        if not isinstance(observation, Reachable) or manifest is None:
            return None
        if host not in self._sorted:
            from sandboxer.reconcile.observed_sandbox import observed_host

            self._sorted[host] = observed_host(observation, self.fleet.name, manifest.spec.root)
        return self._sorted[host].copies.get(identifier)

    def answering(self) -> list[str]:
        """Return the names of the hosts that answered."""
        return sorted(name for name, observation in self.by_host.items() if isinstance(observation, Reachable))

    def unreachable(self) -> dict[str, str]:
        """Return the hosts that did not answer, each with the reason."""
        return {
            name: observation.error
            for name, observation in sorted(self.by_host.items())
            if not isinstance(observation, Reachable)
        }
