"""Reports of a run to State Hub: none if the fleet has no hub, and never in the way of the run."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.errors import HubError
from sandboxer.model.hub import RUN_FINISHED, RUN_STARTED, Registration, RunData, run_event
from sandboxer.model.lifecycle import Phase, Sync
from sandboxer.model.observed import ObservedDirectory
from sandboxer.model.run_events import EventWritten, RecordChanged
from sandboxer.wiring import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from sandboxer.hosts.journals import Journals
    from sandboxer.lifecycle.delivery import Delivery
    from sandboxer.model.desired import Fleet
    from sandboxer.model.hub import CloudEvent
    from sandboxer.model.observed import Container
    from sandboxer.model.protocols import HostTransport
    from sandboxer.model.record import Record
    from sandboxer.model.run_events import RunEvent
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox
    from sandboxer.wiring.observations import FleetObservations
    from sandboxer.wiring.source import FleetSource


class Reporter:
    """The sink of one run's events for State Hub; one that is not given a delivery only remembers what was made.

    ``exit_code`` and ``summary`` go into the event of the run's end. ``problems`` are sentences, complete at the end.
    ``made`` is what the run knows better than its observations, by host and id: what it has just begun, created or
    marked.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self.summary: Counter[str] = Counter()
        self.problems: list[str] = []
        self.made: dict[tuple[str, str], ObservedSandbox] = {}
        self._delivery: Delivery | None = None
        self._transport: Callable[[str], HostTransport] | None = None
        self._observations: FleetObservations | None = None
        self._lock = threading.Lock()

    @property
    def commit(self) -> str | None:
        """The commit that the run is about, once its hosts were observed."""
        return self._observations.fleet.commit if self._observations else None

    @property
    def delivers(self) -> bool:
        """Whether anything is reported to State Hub."""
        return self._delivery is not None

    @property
    def sent(self) -> int:
        """How many sandboxes were reported to State Hub."""
        return self._delivery.sent if self._delivery else 0

    def deliver(self, delivery: Delivery, transport: Callable[[str], HostTransport]) -> None:
        """Send what is reported from now on by ``delivery``; ``transport`` reaches the journals."""
        self._delivery, self._transport = delivery, transport

    def exits(self, code: int) -> int:
        """Note the exit code that the run ends with, and return it."""
        self.exit_code = code
        return code

    def count(self, words: Iterable[str] = (), **numbers: int) -> None:
        """Count words, or these numbers of them, in the summary."""
        self.summary.update(words)
        self.summary.update(numbers)

    def begin(self, observations: FleetObservations) -> None:
        """Send the unacknowledged events in the journals of the hosts that answered."""
        self._observations = observations
        if self._delivery is not None and self._transport is not None:
            self._delivery.begin(journals_of(observations.fleet, self._transport), observations.answering())

    def __call__(self, event: RunEvent) -> None:
        """Send a lifecycle event, and keep its record; register a sandbox again after a change that has no event."""
        match event:
            case EventWritten(host, written, record, containers):
                if record is not None:
                    self._keep(host, record, containers)
                if self._delivery is not None:
                    self._delivery.enqueue(written, host)
            case RecordChanged(host, record) if self._delivery is not None and self._observations is not None:
                observed = self._observations.sandbox(host, record.id)
                now = replace(observed, found=ObservedDirectory(record.id, record)) if observed else None
                if now and (registration := self._registered(now, record.uid)):
                    self._delivery.renew(host, record.id, registration)

    def _keep(self, host: str, record: Record, containers: Sequence[Container]) -> None:
        from sandboxer.reconcile.observed_sandbox import ObservedSandbox

        found = ObservedDirectory(record.id, record)
        with self._lock:
            self.made[host, record.id] = ObservedSandbox(host, record.id, found, tuple(containers))

    def registration(self, uid: str, identifier: str, host: str) -> Registration | None:
        """Return the registration of a life of a sandbox; None if it is not ready any more."""
        with self._lock:
            fresh = self.made.get((host, identifier))
        if fresh is not None:  # what has just become ready is as desired
            return self._registered(fresh, uid, Sync.SYNCED)
        observed = self._observations.sandbox(host, identifier) if self._observations else None
        return self._registered(observed, uid) if observed else None

    def announce(self, event: CloudEvent) -> None:
        """Send an event of the run itself."""
        if self._delivery is not None:
            self._delivery.announce(event)

    def finish(self, *, patience: float, most: float) -> None:
        """Wait for State Hub's acknowledgements; see ``reported``."""
        if self._delivery is not None:
            self.problems.extend(self._delivery.finish(grace=patience, most=most))

    def _registered(self, observed: ObservedSandbox, uid: str, sync: Sync | None = None) -> Registration | None:
        from sandboxer.wiring.lookup import handle_of_observed

        record = observed.record
        ready = record is not None and record.uid == uid and record.phase in (Phase.READY, Phase.ACTIVE)
        if record is None or not ready or self._observations is None:
            return None
        handle = handle_of_observed(observed, self._observations.fleet, sync)
        return Registration(**dict(handle), uid=record.uid, fleet=record.fleet)


def journals_of(fleet: Fleet, transport: Callable[[str], HostTransport]) -> Journals:
    """Return the journals on the hosts of a fleet."""
    from sandboxer.hosts.journals import Journals

    return Journals(fleet.name, {name: host.spec.root for name, host in fleet.hosts.items()}, transport)


@contextmanager
def reported(
    source: FleetSource,
    transport: Callable[[str], HostTransport],
    command: str,
    run_id: str,
    *,
    patience: float = 2.0,
    most: float = 5.0,
) -> Iterator[Reporter]:
    """Report to State Hub that ``command`` runs, the waiting events of the journals, and how the run ends.

    Afterwards the hub has ``patience`` seconds to acknowledge the rest, and as long again after each acknowledgement,
    up to ``most`` seconds; then the connections to it are closed. Errors of the hub are not raised.
    """
    reporter, fleet, began = Reporter(), source.fleet_name(), clock.now()
    with _connect(reporter, source, transport):
        if reporter.delivers:
            started = RunData(run_id=run_id, fleet=fleet, command=command, commit=None, at=began)
            reporter.announce(run_event(RUN_STARTED, started, began))
        try:
            yield reporter
            reporter.exits(reporter.exit_code or 0)
        except BaseException:
            reporter.exits(1)
            raise
        finally:
            if reporter.delivers:
                now = clock.now()
                ended = RunData(
                    run_id=run_id,
                    fleet=fleet,
                    command=command,
                    commit=reporter.commit,
                    at=now,
                    seconds=round((now - began).total_seconds(), 3),
                    exit_code=reporter.exit_code,
                    summary=dict(sorted(reporter.summary.items())),
                )
                reporter.announce(run_event(RUN_FINISHED, ended, now))
                reporter.finish(patience=patience, most=most)


def _connect(
    reporter: Reporter, source: FleetSource, transport: Callable[[str], HostTransport]
) -> AbstractContextManager[object]:
    """Let a reporter deliver to the fleet's State Hub, if it can be used, until the end of the returned context."""
    fleet = source.sound().fleet
    settings = fleet.spec.state_hub if fleet else None
    if settings is None:
        return nullcontext()
    from sandboxer.adapters.hub import StateHub
    from sandboxer.lifecycle.delivery import Delivery

    try:
        hub = StateHub(settings, source.root)
    except HubError as error:
        hint = f" ({error.hint})" if error.hint else ""
        reporter.problems.append(f"no events are sent to State Hub: {error.message}{hint}; events wait on the hosts")
        return nullcontext()
    reporter.deliver(Delivery(hub, reporter.registration), transport)
    return closing(hub)
