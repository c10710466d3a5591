"""The holder of a sandbox's lock, queried on hosts in parallel; on request, the holder is ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors import ObservationIncomplete
from sandboxer.hosts.parallel import on_hosts
from sandboxer.hosts.scripts import host_command
from sandboxer.model.lock import Holder, Lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandboxer.model.protocols import HostTransport

QUERY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class LockInspector:
    """An inspector of one sandbox's lock on hosts. ``roots`` are the hosts' roots, by name."""

    fleet: str
    id: str
    roots: Mapping[str, str]
    transport: Callable[[str], HostTransport]

    def inspect(self, host: str, *, end: bool = False) -> Lock:
        """Return the lock on one host, in one command.

        With ``end`` its holder is ended: first terminated, and killed after 5 s. Raise what a transport raises, and
        ObservationIncomplete if the answer cannot be parsed.
        """
        command = host_command(
            "prelude.sh",
            "session.sh",
            "lock.sh",
            timeout=QUERY_SECONDS,
            root=self.roots[host],
            fleet=self.fleet,
            id=self.id,
            wish="end" if end else "ask",
        )
        result = self.transport(host).run(command)
        head, _, body = result.stdout.decode("utf-8", "replace").partition("\n")
        match head.split():
            case [("free" | "held") as status, ("here" | "away") as here, ("ended" | "kept") as ended]:
                holder = Holder.parse(body) or (Holder("an unknown client") if status == "held" else None)
                return Lock(host, status, here == "here", holder, ended == "ended")
            case _:
                why = result.stderr.decode("utf-8", "replace").strip() or f"exit code {result.exit_code}"
                raise ObservationIncomplete(
                    host, f"cannot read the lock on {host}: {why}", hint="check the host with `sandboxer doctor`"
                )

    def inspect_all(self, hosts: list[str], *, end: bool = False) -> list[Lock]:
        """Return the locks on these hosts, read in parallel; an unreadable one is ``unknown``, with the reason."""
        return on_hosts(
            lambda host: self.inspect(host, end=end),
            hosts,
            name="lock",
            failed=lambda host, error: Lock(host, "unknown", error=error.message),
        )
