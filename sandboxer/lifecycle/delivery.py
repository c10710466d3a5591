"""Delivery to State Hub in the background of a run: unacknowledged events of the hosts' journals, and the run's own.

The journals are the source, the hub is a projection. Each sandbox's events go in their order, one at a time; the hub's
acknowledgements are noted on the hosts at the end. Nothing here slows a run or fails it: the threads are daemons, and
whatever was not acknowledged stays in the journals for the next run, from any machine.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from sandboxer.errors import HostError, HubError
from sandboxer.model.event import DESTROYED_EVENT, DRIFT_DETECTED, DRIFT_RESOLVED, JOURNAL_GAP, SANDBOX_EVENT, Event
from sandboxer.model.hub import CloudEvent, cloud_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sandboxer.hosts.journals import Journals
    from sandboxer.model.hub import Registration

AT_ONCE = 4
ATTEMPTS = 4
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
# After each of these events, the sandbox is registered with its current state.
_REGISTERING = frozenset({SANDBOX_EVENT + "ready", DRIFT_DETECTED, DRIFT_RESOLVED})


class Hub(Protocol):
    """A State Hub. A method raises HubError if the hub does not acknowledge; none takes more than some seconds."""

    @property
    def address(self) -> str:
        """The hub's address, for messages."""

    def send(self, event: CloudEvent) -> None:
        """Send an event; once it returns, the hub has acknowledged it."""

    def register(self, registration: Registration) -> None:
        """Register the identity of a ready sandbox."""

    def forget(self, identifier: str, host: str, uid: str) -> None:
        """Remove the registration of one life of a sandbox."""


_Waiting: TypeAlias = "Event | CloudEvent | Registration"


@dataclass(slots=True)
class _EventQueue:
    """The queue of one sandbox on one host: waiting events in order, and the last known number of each life."""

    host: str
    waiting: deque[_Waiting] = field(default_factory=deque)
    last: dict[str, int] = field(default_factory=dict)
    at_work: bool = False
    refused: HubError | None = None

    def add(self, event: Event, *, read: bool) -> None:
        """Add an event that is not there yet; one that was ``read`` may leave numbers out.

        Of the run's own events, only the direct successor is added: an acknowledgement covers all earlier numbers, so a
        missing one before it would count as acknowledged.
        """
        last = self.last.get(event.uid)
        begins = event.number == 1 or event.type == JOURNAL_GAP
        if (last is not None and event.number <= last) or not (read or begins or event.number == (last or 0) + 1):
            return
        if last is None and not (read or begins):
            return
        self.last[event.uid] = event.number
        self.waiting.append(event)

    def begin(self) -> None:
        """Note that a thread sends its events."""
        self.at_work = True

    def end(self) -> None:
        """Note that no thread sends its events any more."""
        self.at_work = False

    def refuse(self, error: HubError) -> None:
        """Send nothing more of it: the hub rejects what is in it."""
        self.refused = error


class Delivery:
    """The delivery of one run's events to ``hub``.

    ``registration`` takes the uid of a life of a sandbox, the sandbox's id and the host, and returns its registration,
    or None if it is not ready any more.

    Every method may be called from any thread, and only ``finish`` waits.
    """

    def __init__(self, hub: Hub, registration: Callable[[str, str, str], Registration | None]) -> None:
        self._hub = hub
        self._journals: Journals | None = None
        self._registration = registration
        self._queues: dict[tuple[str, str], _EventQueue] = {}
        self._early: dict[str, list[Event]] = {}
        self._reading: set[str] = set()
        self._delivered: dict[str, dict[tuple[str, str], int]] = {}
        self._problems: list[str] = []
        self._failures = 0
        self._failed: HubError | None = None
        self._resume = self._since = time.monotonic()
        self._given_up: HubError | None = None
        self._over = False
        self._changed = threading.Condition()
        self._workers = 0

    @property
    def sent(self) -> int:
        """The number of sandboxes of which the hub has acknowledged an event."""
        with self._changed:
            return sum(len(delivered) for delivered in self._delivered.values())

    def announce(self, event: CloudEvent) -> None:
        """Send an event that is in no journal: it is sent once, or never."""
        with self._changed:
            self._add(_EventQueue(""), ("", event.subject)).waiting.append(event)
            self._work()

    def begin(self, journals: Journals, hosts: Iterable[str]) -> None:
        """Read the journals of hosts, and send their unacknowledged events."""
        with self._changed:
            self._journals = journals
            fresh = [host for host in hosts if host not in self._reading and host not in self._early]
            self._reading.update(fresh)
            self._early.update({host: [] for host in fresh})
            self._since = time.monotonic()
        for host in fresh:
            threading.Thread(target=self._read, args=(journals, host), name=f"journals-{host}", daemon=True).start()

    def enqueue(self, event: Event, host: str) -> None:
        """Send an event that is already in the journal of a sandbox on ``host``."""
        with self._changed:
            if host in self._reading:
                self._early[host].append(event)
            elif host in self._early:
                self._queue(host, event.sandbox_id).add(event, read=False)
                self._work()

    def renew(self, host: str, identifier: str, registration: Registration) -> None:
        """Register a sandbox again, after all waiting events of its journal."""
        with self._changed:
            self._queue(host, identifier).waiting.append(registration)
            self._work()

    def finish(self, *, grace: float = 2.0, most: float = 5.0) -> list[str]:
        """Wait for the hub as long as it answers, note its acknowledgements on the hosts, and return the problems.

        The wait ends ``grace`` seconds after its last acknowledgement while more is waiting, and after ``most`` seconds
        in any case.
        """
        deadline = time.monotonic() + most
        with self._changed:
            while not self._over and self._outstanding():
                now = time.monotonic()
                left = min(deadline, self._since + grace) - now
                if left <= 0 or (self._given_up and not self._reading):
                    break
                self._changed.wait(left)
            self._over = True
            self._changed.notify_all()
            delivered = {
                host: [(identifier, uid, number) for (identifier, uid), number in each.items()]
                for host, each in self._delivered.items()
            }
            problems = self._unfinished(grace)
        noted = self._journals.acknowledge_all(delivered) if self._journals else []
        return [*self._problems, *problems, *noted]

    # --- with the condition held

    def _queue(self, host: str, identifier: str) -> _EventQueue:
        return self._add(_EventQueue(host), (host, identifier))

    def _add(self, queue: _EventQueue, key: tuple[str, str]) -> _EventQueue:
        return self._queues.setdefault(key, queue)

    def _outstanding(self) -> bool:
        return bool(self._reading) or any(queue.waiting and queue.refused is None for queue in self._queues.values())

    def _work(self) -> None:
        """Ensure that a thread sends the waiting events."""
        waiting = sum(1 for queue in self._queues.values() if queue.waiting and not queue.at_work)
        if waiting and not any(queue.at_work for queue in self._queues.values()):
            self._since = time.monotonic()
        for _ in range(min(AT_ONCE - self._workers, waiting)):
            self._workers += 1
            threading.Thread(target=self._send_all, name="state-hub", daemon=True).start()
        self._changed.notify_all()

    def _next(self) -> _EventQueue | None:
        """Return the next sandbox with something to send.

        None if nothing is left to do, or the hub was given up.
        """
        while not self._over and self._given_up is None:
            free = [one for one in self._queues.values() if one.waiting and not one.at_work and one.refused is None]
            pause = self._resume - time.monotonic()
            if free and pause <= 0:
                free[0].begin()
                return free[0]
            if not free:
                return None
            self._changed.wait(pause)
        return None

    def _unfinished(self, grace: float) -> list[str]:
        waiting = sum(isinstance(one, Event) for queue in self._queues.values() for one in queue.waiting)
        refused = next((queue.refused for queue in self._queues.values() if queue.refused), None)
        error = self._given_up or refused or self._failed
        if error is None and not self._outstanding():
            return []
        why = error.message if error else f"no answer within {grace:g} s"
        hint = f" ({error.hint})" if error and error.hint else ""
        waits = f"; {waiting} event{'' if waiting == 1 else 's'} {'waits' if waiting == 1 else 'wait'} on the hosts"
        rest = f"{waits} (sent by the next run, or by `sandboxer hub flush`)" if waiting else ""
        return [f"State Hub at {self._hub.address}: {why}{hint}{rest}"]

    # --- the threads

    def _read(self, journals: Journals, host: str) -> None:
        try:
            backlogs = journals.read(host)
        except HostError as error:
            with self._changed:
                self._problems.append(f"the journals of {host} cannot be read: {error.message}")
                self._reading.discard(host)
                del self._early[host]
                self._changed.notify_all()
            return
        with self._changed:
            for backlog in backlogs:
                queue = self._queue(host, backlog.id)
                queue.last[backlog.uid] = max(backlog.cursor, queue.last.get(backlog.uid, 0))
                for event in backlog.events:
                    queue.add(event, read=True)
            for event in self._early[host]:
                self._queue(host, event.sandbox_id).add(event, read=False)
            self._early[host] = []
            self._reading.discard(host)
            self._work()

    def _send_all(self) -> None:
        while True:
            with self._changed:
                queue = self._next()
                if queue is None:
                    self._workers -= 1
                    self._changed.notify_all()
                    return
                event = queue.waiting[0]
            try:
                self._send(event, queue.host)
            except HubError as error:
                failed: HubError | None = error
            except Exception as error:  # noqa: BLE001 - the run continues, and other sandboxes are delivered
                failed = HubError(f"{type(error).__name__} in this program", of_this_alone=True)
            else:
                failed = None
            with self._changed:
                queue.end()
                if not self._over:
                    self._took(queue, event) if failed is None else self._refused(queue, failed)
                self._changed.notify_all()

    def _send(self, event: _Waiting, host: str) -> None:
        if isinstance(event, CloudEvent):
            self._hub.send(event)
            return
        if isinstance(event, Event):
            self._hub.send(cloud_event(event))
        try:
            if not isinstance(event, Event):
                self._hub.register(event)
            elif event.type == DESTROYED_EVENT:
                self._hub.forget(event.sandbox_id, host, event.uid)
            elif event.type in _REGISTERING and (registration := self._registration(event.uid, event.sandbox_id, host)):
                self._hub.register(registration)
        except HubError as error:
            if not error.of_this_alone:
                raise  # a hub without registrations still has the events

    def _took(self, queue: _EventQueue, event: _Waiting) -> None:
        queue.waiting.popleft()
        self._failures, self._failed, self._since = 0, None, time.monotonic()
        if isinstance(event, Event):
            self._delivered.setdefault(queue.host, {})[event.sandbox_id, event.uid] = event.number

    def _refused(self, queue: _EventQueue, error: HubError) -> None:
        if error.of_this_alone:
            queue.refuse(error)
            return
        self._failed = error
        now = time.monotonic()
        if now >= self._resume:  # a failure beside another one is the same attempt
            self._failures += 1
        pause = max(error.retry_after or 0.0, FIRST_PAUSE * 2**self._failures)
        if error.retry_after is None or self._failures >= ATTEMPTS or pause > LONGEST_PAUSE:
            self._given_up = error
        self._resume = max(self._resume, now + pause)
