"""The end of an apply on each host: remove leftovers of killed runs, and note the newest applied commit.

So a later run recognizes an older commit, and no directory stays that nobody may remove.
"""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors import HostError
from sandboxer.extensions.crash import crash_point
from sandboxer.extensions.scripts import script
from sandboxer.model.observed import Head, Reachable
from sandboxer.model.protocols import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sandboxer.model.desired import Fleet
    from sandboxer.model.observed import Engine, HostObservation
    from sandboxer.model.protocols import HostTransport

CLEANUP_SECONDS = 60.0
_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class PendingCleanup:
    """A host to clean up: its name, its root, and the engine whose containers may remove root's files; empty without.

    ``forgotten`` are the ids of tombstones whose manifest is gone.
    """

    host: str
    root: str
    engine: Engine
    forgotten: tuple[str, ...] = ()


def pending_cleanups(
    fleet: Fleet, observations: Mapping[str, HostObservation], *, forget: bool
) -> list[PendingCleanup]:
    """Return the hosts with leftovers, or with another noted commit than the fleet's.

    With ``forget``, tombstones whose manifest is gone are removed; without it, all stay.
    """
    head, wanted = _head(fleet), {sandbox.id for sandbox in fleet.sandboxes.values()}
    found: list[PendingCleanup] = []
    for name, observation in observations.items():
        if not isinstance(observation, Reachable):
            continue
        forgotten = tuple(
            tombstone
            for tombstone in observation.tombstones
            if forget and tombstone not in wanted and _ID.fullmatch(tombstone)
        )
        behind = head is not None and (observation.head is None or observation.head.commit != head.commit)
        if observation.leftovers or forgotten or behind:
            found.append(PendingCleanup(name, fleet.hosts[name].spec.root, observation.engine or "", forgotten))
    return found


def clean_up(hosts: list[PendingCleanup], transport: Callable[[str], HostTransport], fleet: Fleet, holder: str) -> None:
    """Clean up ``hosts`` in parallel: remove leftovers, and note the commit.

    The commit is not noted if the host has a newer one, or if the fleet has no commit. ``holder`` tells other clients
    who holds the lock. A host that cannot be cleaned up is skipped: the next apply does it.
    """
    head = _head(fleet)
    noted = _json(head.commit, head.committed_at) if head else ""

    def one(host: PendingCleanup) -> None:
        lines = ("-", host.root, fleet.name, ".head", "0", holder, host.engine, noted, " ".join(host.forgotten))
        data = "".join(f"{line}\n" for line in lines).encode()
        crash_point("settle.before")
        try:
            transport(host.host).run(
                Command(script("root.sh", "cleaner.sh", "host_session.sh", "cleanup.sh"), data, timeout=CLEANUP_SECONDS)
            )
        except HostError:
            return
        crash_point("settle.after")

    if hosts:
        with ThreadPoolExecutor(max_workers=min(16, len(hosts))) as pool:
            list(pool.map(one, hosts))


def _head(fleet: Fleet) -> Head | None:
    return Head(fleet.commit, fleet.committed_at) if fleet.commit and fleet.committed_at else None


def _json(commit: str, committed_at: datetime) -> str:
    return json.dumps({"commit": commit, "committed_at": committed_at.isoformat()}, separators=(",", ":"))
