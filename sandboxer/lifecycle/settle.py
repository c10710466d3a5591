"""The end of an apply on each host: what a kill once left is swept, and the newest applied commit is noted.

So an older commit is told from a newer one, and no folder stays that nobody may remove.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors import HostError
from sandboxer.extensions.crash import crash_point
from sandboxer.extensions.scripts import script
from sandboxer.model.observed import Reachable
from sandboxer.model.seams import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sandboxer.model.observed import Engine, Head, Look
    from sandboxer.model.seams import HostTransport

SETTLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A host to settle: its name, its root, and the engine whose containers may remove what is root's."""

    host: str
    root: str
    engine: Engine


def unsettled(looks: Mapping[str, Look], roots: Mapping[str, str], head: Head | None) -> list[Unsettled]:
    """The hosts where something was left over, or where another commit than ``head`` is noted."""
    return [
        Unsettled(name, roots[name], look.engine)
        for name, look in looks.items()
        if isinstance(look, Reachable)
        and look.engine is not None
        and (look.leftovers or (head is not None and (look.head is None or look.head.commit != head.commit)))
    ]


def settle(
    hosts: list[Unsettled], transport: Callable[[str], HostTransport], fleet: str, head: Head | None, holder: str
) -> None:
    """Settles ``hosts`` side by side: sweeps, and notes ``head`` unless a newer one is noted or the fleet has nothing.

    ``holder`` says to others who is at work. A host that cannot be told is left: the next apply tells it.
    """
    noted = _json(head.commit, head.committed_at) if head else ""

    def one(host: Unsettled) -> None:
        lines = ("-", host.root, fleet, ".head", "0", holder, host.engine, noted)
        data = "".join(f"{line}\n" for line in lines).encode()
        crash_point("settle.before")
        try:
            transport(host.host).run(Command(script("workbench.sh", "settle.sh"), data, timeout=SETTLE_SECONDS))
        except HostError:
            return
        crash_point("settle.after")

    if hosts:
        with ThreadPoolExecutor(max_workers=min(16, len(hosts))) as pool:
            list(pool.map(one, hosts))


def _json(commit: str, committed_at: datetime) -> str:
    return json.dumps({"commit": commit, "committed_at": committed_at.isoformat()}, separators=(",", ":"))
