"""What is left to do on each host at the end of an apply: leftovers of killed runs, and the newest applied commit.

So a later run recognizes an older commit, and no directory stays that nobody may remove.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandboxer.hosts.cleanup import PendingCleanup
from sandboxer.model.observed import Head, Reachable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.model.desired import Fleet
    from sandboxer.model.observed import HostObservation

_ID = re.compile(r"[0-9a-f]{8}")


def pending_cleanups(
    fleet: Fleet, observations: Mapping[str, HostObservation], *, forget: bool
) -> list[PendingCleanup]:
    """Return the hosts with leftovers, or with another noted commit than the fleet's.

    With ``forget``, tombstones whose manifest is gone are removed; without it, all stay.
    """
    head, desired = head_of(fleet), {sandbox.id for sandbox in fleet.sandboxes.values()}
    found: list[PendingCleanup] = []
    for name, observation in observations.items():
        if not isinstance(observation, Reachable):
            continue
        forgotten = tuple(
            tombstone
            for tombstone in observation.tombstones
            if forget and tombstone not in desired and _ID.fullmatch(tombstone)
        )
        behind = head is not None and (observation.head is None or observation.head.commit != head.commit)
        if observation.leftovers or forgotten or behind:
            found.append(PendingCleanup(name, fleet.hosts[name].spec.root, observation.engine or "", forgotten))
    return found


def head_of(fleet: Fleet) -> Head | None:
    """Return the commit that the fleet's hosts note; None if it has none."""
    return Head(fleet.commit, fleet.committed_at) if fleet.commit and fleet.committed_at else None
