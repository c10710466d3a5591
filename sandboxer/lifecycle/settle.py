"""The end of an apply on each host: what a kill once left is swept, and the newest applied commit is noted.

So an older commit is told from a newer one, and no folder stays that nobody may remove.
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
from sandboxer.model.seams import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sandboxer.model.desired import Fleet
    from sandboxer.model.observed import Engine, Look
    from sandboxer.model.seams import HostTransport

SETTLE_SECONDS = 60.0
_ID = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A host to settle: its name, its root, and the engine whose containers may remove what is root's.

    ``forgotten`` are ids whose tombstones have no manifest any more.
    """

    host: str
    root: str
    engine: Engine
    forgotten: tuple[str, ...] = ()


def unsettled(fleet: Fleet, looks: Mapping[str, Look], *, forget: bool) -> list[Unsettled]:
    """The hosts where something was left over, or where another commit than the fleet's is noted.

    With ``forget``, tombstones go whose manifest is gone; without, all stay.
    """
    head, wanted = _head(fleet), {sandbox.id for sandbox in fleet.sandboxes.values()}
    found: list[Unsettled] = []
    for name, look in looks.items():
        if not isinstance(look, Reachable) or look.engine is None:
            continue
        forgotten = tuple(stone for stone in look.tombstones if forget and stone not in wanted and _ID.fullmatch(stone))
        behind = head is not None and (look.head is None or look.head.commit != head.commit)
        if look.leftovers or forgotten or behind:
            found.append(Unsettled(name, fleet.hosts[name].spec.root, look.engine, forgotten))
    return found


def settle(hosts: list[Unsettled], transport: Callable[[str], HostTransport], fleet: Fleet, holder: str) -> None:
    """Settles ``hosts`` side by side: sweeps, and notes the commit unless a newer one is noted or there is nothing.

    ``holder`` says to others who is at work. A host that cannot be told is left: the next apply tells it.
    """
    head = _head(fleet)
    noted = _json(head.commit, head.committed_at) if head else ""

    def one(host: Unsettled) -> None:
        lines = ("-", host.root, fleet.name, ".head", "0", holder, host.engine, noted, " ".join(host.forgotten))
        data = "".join(f"{line}\n" for line in lines).encode()
        crash_point("settle.before")
        try:
            transport(host.host).run(
                Command(script("root.sh", "cleaner.sh", "workbench.sh", "settle.sh"), data, timeout=SETTLE_SECONDS)
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
