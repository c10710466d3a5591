"""The server's metrics, for Prometheus: its requests, and the outcomes of its operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import Scope

OUTCOMES = ("done", "failed", "left")

_SECONDS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)


class Metrics:
    """Metrics in a separate registry: without those of the process or of other libraries."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "sandboxer_api_requests",
            "Requests, by route and status.",
            ["method", "route", "status"],
            registry=self._registry,
        )
        self._operations = Counter(
            "sandboxer_api_operations",
            "Finished operations, by outcome: done, failed, or left for a retry.",
            ["kind", "outcome"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "sandboxer_api_operation_seconds",
            "Duration of operations.",
            ["kind"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._running = self._gauge("sandboxer_api_operations_running", "Running operations.")
        self._waiting = self._gauge("sandboxer_api_operations_queued", "Queued operations.")
        self._streams = self._gauge("sandboxer_api_streams", "Open streams of events or logs.")

    def follow(self, counts: Callable[[], tuple[int, int]], streams: Callable[[], int]) -> None:
        """Read the current counts of operations and streams from these functions at each scrape."""
        self._running.set_function(lambda: counts()[0])
        self._waiting.set_function(lambda: counts()[1])
        self._streams.set_function(streams)

    def answered(self, scope: Scope, status: int) -> None:
        """Count a response. Unknown paths share one label, so that clients cannot create labels."""
        route = getattr(scope.get("route"), "path", None) or (
            scope["path"] if scope["path"] in ("/healthz", "/readyz") else "none"
        )
        method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "DELETE") else "other"
        self._requests.labels(method, route, str(status)).inc()

    def ended(self, kind: str, outcome: str, seconds: float) -> None:
        """Count a finished operation."""
        self._operations.labels(kind, outcome).inc()
        self._seconds.labels(kind).observe(seconds)

    def begin(self, kinds: tuple[str, ...]) -> None:
        """Create a series for each outcome at the start, so that an alert sees zero rather than no data."""
        for kind in kinds:
            for outcome in OUTCOMES:
                self._operations.labels(kind, outcome)

    def text(self) -> bytes:
        """Return all metrics, in the text format."""
        return generate_latest(self._registry)

    def _gauge(self, name: str, words: str) -> Gauge:
        return Gauge(name, words, registry=self._registry)
