"""Whether the fleet had another name before: what was applied under that one would stay, and be made a second time."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sandboxer.model.observed import Reachable
from sandboxer.model.text import is_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sandboxer.model.observed import Look


def left_behind(looks: Mapping[str, Look], had_name: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """Each host, with the fleet's former name that it has sandboxes of; none once there is one of the present name.

    ``had_name`` tells whether a name was once this fleet's; it is asked only for folders beside the fleet's own.
    """
    seen = [look for look in looks.values() if isinstance(look, Reachable)]
    if any(found.record for look in seen for found in look.found.values()):
        return
    once = cache(had_name)
    for look in sorted(seen, key=lambda look: look.host):
        yield from ((look.host, name) for name in look.directories if is_name(name) and once(name))
