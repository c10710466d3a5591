"""The newest commit that was applied, noted on each host, so that an older one is told from a newer."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from sandboxer.errors import HostError
from sandboxer.extensions.scripts import script
from sandboxer.model.seams import Command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from sandboxer.model.seams import HostTransport


def record_heads(
    hosts: Sequence[tuple[str, str]],
    transport: Callable[[str], HostTransport],
    fleet: str,
    commit: str,
    committed_at: datetime,
) -> None:
    """Notes ``commit`` on each of ``hosts`` (name and root) where the fleet has anything, unless a newer one is noted.

    A host that cannot be told is left: the next apply tells it.
    """
    head = json.dumps({"commit": commit, "committed_at": committed_at.isoformat()}, separators=(",", ":"))

    def note(host: tuple[str, str]) -> None:
        name, root = host
        data = f"{root}\n{fleet}\n{head}\n".encode()
        try:
            transport(name).run(Command(script("head.sh"), data))
        except HostError:
            return

    if hosts:
        with ThreadPoolExecutor(max_workers=min(16, len(hosts))) as pool:
            list(pool.map(note, hosts))
