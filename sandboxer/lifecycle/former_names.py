"""Detection of a renamed fleet: sandboxes applied under its former name would stay, and be created a second time."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sandboxer.model.observed import Reachable
from sandboxer.model.text import is_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sandboxer.model.observed import HostObservation


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
