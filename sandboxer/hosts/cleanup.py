"""The end of an apply on hosts, in parallel: remove leftovers of killed runs, and note the newest applied commit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.hosts.crash import crash_point
from sandboxer.hosts.parallel import on_hosts
from sandboxer.hosts.scripts import host_command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandboxer.model.observed import Engine, Head
    from sandboxer.model.protocols import HostTransport

AT_ONCE = 16
CLEANUP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class PendingCleanup:
    """A host to clean up: its name, its root, and the engine whose containers may remove root's files; empty without.

    ``forgotten`` are the ids of tombstones whose manifest is gone.
    """

    host: str
    root: str
    engine: Engine
    forgotten: tuple[str, ...] = ()


def clean_up(
    hosts: Sequence[PendingCleanup],
    transport: Callable[[str], HostTransport],
    fleet: str,
    head: Head | None,
    removal_scripts: Sequence[str] = (),
) -> None:
    """Clean up ``hosts`` in parallel: remove leftovers, and note the commit.

    ``removal_scripts`` are those of the backends that may have sandboxes there. The commit is not noted if the host has
    a newer one, or if ``head`` is None. A host that cannot be cleaned up is skipped: the next apply does it.
    """
    noted = _json(head) if head else ""

    def one(host: PendingCleanup) -> None:
        command = host_command(
            "prelude.sh",
            "session.sh",
            *removal_scripts,
            "cleanup.sh",
            timeout=CLEANUP_SECONDS,
            root=host.root,
            fleet=fleet,
            engine=host.engine,
            head=noted,
            forgotten=" ".join(host.forgotten),
        )
        crash_point("settle.before")
        transport(host.host).run(command)
        crash_point("settle.after")

    on_hosts(one, hosts, name="cleanup", at_once=AT_ONCE, failed=lambda _host, _error: None)


def _json(head: Head) -> str:
    value = {"commit": head.commit, "committed_at": head.committed_at.isoformat()}
    return json.dumps(value, separators=(",", ":"))
