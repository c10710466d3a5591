"""Placement of a new life on one host, so that two clients never place it on two.

The client that begins it holds the sandbox's lock on that host, and, until its first record is written there, the lock
on the first host where it may exist as well; and it checks once more that no other host has it. Two clients that chose
different hosts meet at the first one. Every client locks the chosen host first and the first by name last, so that no
two wait for each other.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from sandboxer.errors import SandboxLocked
from sandboxer.hosts.parallel import on_hosts
from sandboxer.hosts.presence import must_be_away
from sandboxer.hosts.session import LONGEST_SECONDS, HostSession
from sandboxer.model.text import named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandboxer.extensions.base import Operation

# A connection carries 8 sessions: 4 of sandboxes on the host itself, this many of others that are placed elsewhere, and
# one left for observations. Those end by themselves, so whoever holds a session comes to its end.
AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Placements:
    """The placements of one run."""

    _gates: dict[str, threading.BoundedSemaphore] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def begin(self, chosen: Operation, others: Sequence[Operation], *, name_id: str = "") -> Iterator[None]:
        """Keep every other client from placing the sandbox, until its first record is written.

        ``others`` are the operations on each other host where it may exist. ``name_id`` is given if the sandbox's own
        id is not derived from its name: it is the derived one, whose lock then stands for the name, which no other
        sandbox may have either. Raise StaleChange if another host has the sandbox, unknown to the plan; SandboxLocked
        if another client holds the lock on the first host; and what a transport raises if a host cannot be queried.
        """
        first = min((chosen, *others), key=lambda operation: operation.target.host)
        with ExitStack() as held:
            if name_id or first is not chosen:
                held.enter_context(self._gate(first))
                held.enter_context(HostSession(replace(first, id=name_id or first.id)))
            request = [operation for operation in others if not operation.expected_uid]
            on_hosts(partial(must_be_away, by_name=bool(name_id)), request, name="placement")
            yield

    @contextmanager
    def _gate(self, operation: Operation) -> Iterator[None]:
        with self._lock:
            gate = self._gates.setdefault(operation.target.host, threading.BoundedSemaphore(AT_ONCE))
        if not gate.acquire(timeout=LONGEST_SECONDS):
            raise SandboxLocked(
                operation.name,
                f"{named('sandbox', operation.name)} was not started on {operation.target.host}: too many operations",
                hint="apply again",
            )
        try:
            yield
        finally:
            gate.release()
