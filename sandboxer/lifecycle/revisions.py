"""Hosts to which a newer commit of the fleet was applied than the present one."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sandboxer.model.observed import Reachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sandboxer.model.desired import Fleet
    from sandboxer.model.observed import Head, HostObservation


def newer_on_hosts(
    fleet: Fleet, observations: Mapping[str, HostObservation], is_ancestor: Callable[[str, str], bool | None]
) -> Iterator[str]:
    """Yield the hosts whose noted commit is newer: the fleet's commit is a strict ancestor of it.

    None from ``is_ancestor`` means unknown; then an earlier committer time decides. Git is queried once for each noted
    commit, however many hosts share it.
    """

    @cache
    def older_than(head: Head) -> bool:
        if fleet.commit is None or head.commit == fleet.commit:
            return False
        older = is_ancestor(fleet.commit, head.commit)
        if older is None:
            return fleet.committed_at is not None and fleet.committed_at < head.committed_at
        return older

    for name, observation in observations.items():
        if isinstance(observation, Reachable) and observation.head is not None and older_than(observation.head):
            yield name
