"""The transports of a fleet's hosts: each is created at first use, and all are closed together."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxer.errors import HostUnreachable
from sandboxer.model.protocols import TransportStats

if TYPE_CHECKING:
    from sandboxer.adapters.ssh import JumpPool
    from sandboxer.model.manifest import Host
    from sandboxer.model.protocols import HostTransport


class Transports:
    """One transport for each host, safe to use from several threads. Key files are relative to ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._made: dict[str, HostTransport] = {}
        self._jumps: JumpPool | None = None

    def to(self, host: Host) -> HostTransport:
        """Return the transport of a host; it connects at first use.

        Raise HostUnreachable if nothing connects to hosts in the way that the host's manifest names.
        """
        name = host.metadata.name
        with self._lock:
            if name not in self._made:
                self._made[name] = self._make(name, host)
            return self._made[name]

    @property
    def stats(self) -> TransportStats:
        """The connections and commands of all transports together."""
        each = [transport.stats for transport in self._made.values()]
        return TransportStats(sum(stats.connections for stats in each), sum(stats.commands for stats in each))

    def close(self) -> None:
        """Close every connection that was opened."""
        if self._made:
            with ThreadPoolExecutor(max_workers=len(self._made)) as pool:
                list(pool.map(lambda transport: transport.close(), self._made.values()))
        if self._jumps is not None:
            self._jumps.close()

    def _make(self, name: str, host: Host) -> HostTransport:
        if host.spec.connection == "local":
            from sandboxer.adapters.local import LocalTransport

            return LocalTransport(name)
        if host.spec.connection != "ssh":
            raise HostUnreachable(
                name,
                f"Sandboxer has no transport for `connection: {host.spec.connection}` of {name}",
                hint="set `connection: ssh` or `connection: local` on the Host",
            )
        from sandboxer.adapters.ssh import JumpPool, SshTarget, SshTransport

        self._jumps = self._jumps or JumpPool()
        spec = host.spec
        identity = str(self._root / Path(spec.identity_file).expanduser()) if spec.identity_file else None
        target = SshTarget(name, spec.address or name, spec.port, spec.user, identity, spec.host_key)
        return SshTransport(target, jumps=self._jumps)
