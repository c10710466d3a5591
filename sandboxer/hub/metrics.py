"""The hub's metrics, for Prometheus: its state, read from the database at each scrape, and the received events."""

from __future__ import annotations

from collections import Counter as Tally
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from sandboxer.hub.incoming import moment
from sandboxer.model.lifecycle import Phase

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric
    from starlette.types import Scope

    from sandboxer.hub.store import Store

STATUSES = ("accepted", "duplicate", "refused")


class Metrics:
    """Metrics in a separate registry: without those of the process or of other libraries."""

    def __init__(self, store: Store) -> None:
        """Count from zero; values from the store outlive the process."""
        self._registry = CollectorRegistry()
        # Every status has a series from the start, so that an alert sees zero rather than no data.
        self._answers = Tally(dict.fromkeys(STATUSES, 0))
        self._registry.register(_Numbers(store, self._answers))

    def answered(self, scope: Scope, status: int) -> None:
        """Count a response to an event. The hub's own errors do not count: they say nothing about the event."""
        if (scope["method"], scope["path"]) == ("POST", "/events") and status < 500:
            self._answers[{201: "accepted", 200: "duplicate"}.get(status, "refused")] += 1

    def text(self) -> bytes:
        """Return all metrics, in the text format."""
        return generate_latest(self._registry)


class _Numbers(Collector):
    def __init__(self, store: Store, answers: Tally[str]) -> None:
        self._store = store
        self._answers = answers

    def describe(self) -> list[Metric]:
        """Return nothing, so that registration does not query the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the current values."""
        there, failures, now = self._store.sandboxes(over=False), self._store.failures(), datetime.now(UTC)
        fleets = sorted({key.fleet for key, _ in there} | failures.keys())
        phases = Tally((key.fleet, life.phase or "unknown") for key, life in there)
        sandboxes = GaugeMetricFamily("sandboxer_sandboxes", "Existing sandboxes, by phase.", labels=["fleet", "phase"])
        for fleet in fleets:
            for phase in [*(phase.value for phase in Phase if phase is not Phase.DESTROYED), "unknown"]:
                sandboxes.add_metric([fleet, phase], phases[fleet, phase])
        yield sandboxes
        drifted = Tally(key.fleet for key, life in there if life.drift)
        drift = GaugeMetricFamily("sandboxer_drift_open", "Sandboxes with open drift.", labels=["fleet"])
        for fleet in fleets:
            drift.add_metric([fleet], drifted[fleet])
        yield drift
        oldest = GaugeMetricFamily(
            "sandboxer_oldest_sandbox_age_seconds", "The age of the oldest sandbox; 0 without any.", labels=["fleet"]
        )
        for fleet in fleets:
            begun = min((life.begun for key, life in there if key.fleet == fleet), default=None)
            oldest.add_metric([fleet], max(0.0, (now - moment(begun)).total_seconds()) if begun else 0.0)
        yield oldest
        failed = CounterMetricFamily(
            "sandboxer_hub_failed",
            "Events of failed sandboxes since the database was created.",
            labels=["fleet"],
        )
        for fleet in fleets:
            failed.add_metric([fleet], failures.get(fleet, 0))
        yield failed
        events = CounterMetricFamily(
            "sandboxer_hub_events", "Events received since the hub started, by response.", labels=["status"]
        )
        for status in STATUSES:
            events.add_metric([status], self._answers[status])
        yield events
