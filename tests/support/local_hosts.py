"""Operations on one sandbox on this machine, each folder a host: the real shell and the real lock, no engine."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from sandboxer.adapters.local import LocalTransport
from sandboxer.extensions.base import Operation, Provenance, Target
from sandboxer.hosts.locks import LockInspector
from sandboxer.model.lock import holder_line

if TYPE_CHECKING:
    from pathlib import Path

FLEET, ID = "acme", "0011aabb"
WHO, COMMIT = "alice@ci-7", "1f2e3d4c5a6b7788"


@dataclass
class LocalHosts:
    """Hosts below ``folder``, by name; ``close`` ends all connections."""

    folder: Path
    transports: dict[str, LocalTransport] = field(default_factory=dict)

    def transport(self, host: str) -> LocalTransport:
        """Return the transport to a host."""
        return self.transports.setdefault(host, LocalTransport(host))

    def root(self, host: str) -> Path:
        """Return the root on a host."""
        return self.folder / host

    def directory(self, host: str) -> Path:
        """Return the sandbox's folder."""
        return self.root(host) / FLEET / ID

    def lock(self, host: str) -> Path:
        """Return the file of the sandbox's lock."""
        return self.root(host) / FLEET / ".locks" / ID

    def operation(self, host: str = "one", *, who: str = WHO, timeout: float = 30.0, **given: Any) -> Operation:
        """Return an operation on the sandbox on a host."""
        target = Target(
            host, str(self.root(host)), self.transport(host), "docker", None, 1.0, 1, holder_line(who, COMMIT), timeout
        )
        values: dict[str, Any] = {
            "target": target,
            "fleet": FLEET,
            "id": ID,
            "name": "web",
            "reason": "create_because_absent",
            "expected_generation": 0,
            "expected_uid": "",
            "inputs": cast("Any", None),
            "provenance": Provenance(),
            "progress": lambda _step: None,
            "clock": lambda: datetime.now(UTC),
        }
        return Operation(**{**values, **given})

    def desk(self, *hosts: str) -> LockInspector:
        """Return the inspector of the sandbox's locks."""
        return LockInspector(FLEET, ID, {host: str(self.root(host)) for host in hosts or ("one",)}, self.transport)

    def close(self) -> None:
        """End what still runs."""
        for transport in self.transports.values():
            transport.close()
