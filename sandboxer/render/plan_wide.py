"""The hosts of a plan as a table, for those who want to see all of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sandboxer.render.lines import Lines
from sandboxer.render.listing import aligned
from sandboxer.render.words import safe

if TYPE_CHECKING:
    from sandboxer.model.plan import Plan

_TITLES = ("HOST", "STATUS", "SANDBOXES", "UNMANAGED")
_STYLES = {"reachable": "green", "unreachable": "bold red", "unknown": "bold red"}


def hosts_text(plan: Plan) -> Lines:
    """Return each host with its status, its sandboxes in the plan, and the things there that are not ours."""
    sandboxes = Counter(change.host for change in (*plan.changes, *plan.imperative))
    things = Counter(thing.host for thing in plan.unmanaged)
    rows = [(safe(host.name), host.status, str(sandboxes[host.name]), str(things[host.name])) for host in plan.hosts]
    out = Lines()
    for at, cells in enumerate(aligned([_TITLES, *rows], spacing=3)):
        styles = ["bold"] * 4 if at == 0 else ["", _STYLES[rows[at - 1][1]], "", ""]
        out.add(*zip(cells, styles, strict=True))
    out.blank()
    return out
