"""The placement of a sandbox: the first selector with capacity, then a rendezvous hash of the ID among its hosts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandboxer.model.manifest import Host


@dataclass(slots=True)
class HostCapacity:
    """The number of sandboxes on each host, planned ones included. Stable if sandboxes are placed in order of name."""

    hosts: Mapping[str, Host]
    taken: dict[str, int] = field(default_factory=dict)

    def fits(self, host: str) -> bool:
        """Return whether a host takes one more sandbox: in git, not cordoned, not draining, below its capacity."""
        manifest = self.hosts.get(host)
        if manifest is None or manifest.spec.cordon or manifest.spec.drain:
            return False
        most = manifest.spec.capacity.sandboxes
        return most is None or self.taken.get(host, 0) < most

    def place(self, identifier: str, tiers: Iterable[Iterable[str]], *, without: str | None = None) -> str | None:
        """Return the host for a sandbox, and count the sandbox there; None where no host of any tier has capacity."""
        for tier in tiers:
            fitting = [host for host in tier if host != without and self.fits(host)]
            if fitting:
                chosen = max(fitting, key=lambda host: _weight(identifier, host))
                self.taken[chosen] = self.taken.get(chosen, 0) + 1
                return chosen
        return None


def _weight(identifier: str, host: str) -> bytes:
    return hashlib.sha256(f"{identifier}/{host}".encode()).digest()
