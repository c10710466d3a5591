"""The locks of a sandbox for people: a line for each host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.render.lines import Lines
from sandboxer.render.words import safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.model.lock import Lock

_STYLES = {"free": "green", "held": "yellow", "unknown": "red"}


def locks_text(sandbox: str, locks: Sequence[Lock]) -> Lines:
    """Return the status of the lock on each host, and its holder, or how that holder ended."""
    out = Lines()
    out.add((safe(sandbox), "bold"))
    width = max((len(safe(lock.host)) for lock in locks), default=0)
    for lock in locks:
        where = f"  {safe(lock.host):<{width}}  "
        out.add((f"{lock.status:<7}", _STYLES[lock.status]), "  " + _description(lock), prefix=where)
    if not locks:
        out.add("no host matches its placement, and it is on none", indent=2)
    return out


def _description(lock: Lock) -> str:
    if lock.status == "unknown":
        return safe(lock.error or "")
    holder = safe(str(lock.holder)) if lock.holder else ""
    process = f", process {lock.holder.pid}" if lock.holder and lock.holder.pid else ""
    if lock.ended:
        return f"the work of {holder}{process} was ended" + (
            "; another client has it now" if lock.status == "held" else ""
        )
    if lock.status == "held":
        return f"by {holder}{process}"
    return "it lives here" if lock.here else "it is not here"
