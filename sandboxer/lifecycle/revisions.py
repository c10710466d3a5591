"""What the hosts keep of the fleet's history: a newer commit that was applied, and sandboxes under a former name."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sandboxer.model.observed import Reachable
from sandboxer.model.text import is_name

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


def renamed_from(
    observations: Mapping[str, HostObservation], had_name: Callable[[str], bool]
) -> Iterator[tuple[str, str]]:
    """Yield each host with the fleet's former name under which it has sandboxes.

    Nothing is yielded once there is a sandbox under the present name. ``had_name`` returns whether a name was once this
    fleet's; it is called only for directories beside the fleet's own.
    """
    seen = [observation for observation in observations.values() if isinstance(observation, Reachable)]
    if any(found.record for observation in seen for found in observation.found.values()):
        return
    once = cache(had_name)
    for observation in sorted(seen, key=lambda observation: observation.host):
        yield from ((observation.host, name) for name in observation.directories if is_name(name) and once(name))
