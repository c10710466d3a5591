"""Reports of a run to State Hub: none if the fleet has no hub, and never in the way of the run."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sandboxer.errors import HubError
from sandboxer.model.hub import RUN_FINISHED, RUN_STARTED, RunData, run_event
from sandboxer.model.lifecycle import Phase, Sync
from sandboxer.model.observed import ObservedDirectory, Reachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sandboxer.lifecycle.delivery import Delivery
    from sandboxer.model.event import Event
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.observed import Container, HostObservation
    from sandboxer.model.record import Record
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox
    from sandboxer.wiring.run import Run


@dataclass(slots=True)
class Reporter:
    """The reporter of one run to State Hub; does nothing if ``delivery`` is None.

    ``exit_code`` and ``summary`` go into the event of the run's end. ``problems`` are sentences, set at the end.
    ``made`` is what the run knows better than its observations, by host and id: what it has just begun, created or
    marked.
    """

    run: Run
    delivery: Delivery | None = None
    exit_code: int | None = None
    summary: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    commit: str | None = None
    made: dict[tuple[str, str], ObservedSandbox] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, observations: Mapping[str, HostObservation]) -> None:
        """Send the unacknowledged events in the journals of the hosts that answered."""
        self.commit = self.run.fleet.commit
        if self.delivery is not None:
            hosts = [name for name, observation in observations.items() if isinstance(observation, Reachable)]
            self.delivery.begin(self.run.journals, hosts)

    def told(self, host: str, event: Event, record: Record, containers: Sequence[Container]) -> None:
        """Send an event that is in the journal, and keep its record, and on ``ready`` the containers."""
        from sandboxer.reconcile.observed_sandbox import ObservedSandbox

        with self._lock:
            self.made[host, record.id] = ObservedSandbox(
                host, record.id, ObservedDirectory(record.id, record), tuple(containers)
            )
        if self.delivery is not None:
            self.delivery.tell(event, host)

    def noted(self, host: str, event: Event) -> None:
        """Send an event of drift that is in the journal."""
        if self.delivery is not None:
            self.delivery.tell(event, host)

    def renewed(self, host: str, record: Record) -> None:
        """Register a sandbox again after a change of its record that has no event."""
        observed = self.run.observed(host, record.id)
        if self.delivery is None or observed is None:
            return
        if registration := self._registered(replace(observed, found=ObservedDirectory(record.id, record)), record.uid):
            self.delivery.renew(host, record.id, registration)

    def registration(self, uid: str, identifier: str, host: str) -> JsonObject | None:
        """Return the registration of a life of a sandbox; None if it is not ready any more."""
        with self._lock:
            fresh = self.made.get((host, identifier))
        if fresh is not None:  # what has just become ready is as desired
            return self._registered(fresh, uid, Sync.SYNCED)
        observed = self.run.observed(host, identifier)
        return self._registered(observed, uid) if observed else None

    def _registered(self, observed: ObservedSandbox, uid: str, sync: Sync | None = None) -> JsonObject | None:
        from sandboxer.wiring.lookup import handle_of_observed

        record = observed.record
        if record is None or record.uid != uid or record.phase not in (Phase.READY, Phase.ACTIVE):
            return None
        return {**handle_of_observed(self.run, observed, sync), "uid": record.uid, "fleet": record.fleet}


@contextmanager
def reported(run: Run, command: str, *, patience: float = 2.0, most: float = 5.0) -> Iterator[Reporter]:
    """Report to State Hub that ``command`` runs, the waiting events of the journals, and how the run ends.

    Afterwards the hub has ``patience`` seconds to acknowledge the rest, and as long again after each acknowledgement,
    up to ``most`` seconds. Errors of the hub are not raised.
    """
    reporter = run.reporter = Reporter(run)
    reporter.delivery = _delivery(run, reporter)
    began = run.now()
    if reporter.delivery is not None:
        started = RunData(run_id=run.run_id, fleet=run.fleet_name, command=command, commit=None, at=began)
        reporter.delivery.announce(run_event(RUN_STARTED, started, began))
    try:
        yield reporter
        reporter.exit_code = reporter.exit_code or 0
    except BaseException:
        reporter.exit_code = 1
        raise
    finally:
        run.reporter = Reporter(run, made=reporter.made)
        if reporter.delivery is not None:
            now = run.now()
            ended = RunData(
                run_id=run.run_id,
                fleet=run.fleet_name,
                command=command,
                commit=reporter.commit,
                at=now,
                seconds=round((now - began).total_seconds(), 3),
                exit_code=reporter.exit_code,
                summary=dict(sorted(reporter.summary.items())),
            )
            reporter.delivery.announce(run_event(RUN_FINISHED, ended, now))
            reporter.problems.extend(reporter.delivery.finish(grace=patience, most=most))


def _delivery(run: Run, reporter: Reporter) -> Delivery | None:
    fleet = run.sound().fleet
    settings = fleet.spec.state_hub if fleet else None
    if settings is None:
        return None
    from sandboxer.adapters.hub import StateHub
    from sandboxer.lifecycle.delivery import Delivery

    try:
        hub = StateHub(settings, run.root)
    except HubError as error:
        hint = f" ({error.hint})" if error.hint else ""
        reporter.problems.append(f"State Hub is told nothing: {error.message}{hint}; events wait on the hosts")
        return None
    return Delivery(hub, reporter.registration)
