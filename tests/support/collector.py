"""An OpenTelemetry collector for tests: it accepts OTLP over HTTP on 127.0.0.1, and returns spans as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.hubs import Answer, LyingHub, says

if TYPE_CHECKING:
    from collections.abc import Iterable

# The parent in the standard's example.
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TAKES_SPANS = says(200, b"", Content_Type="application/x-protobuf")


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    """A span as received; ``parent`` is a span's ID, ``error`` is None if the span has no error status."""

    name: str
    trace: str
    id: str
    parent: str
    seconds: float
    attributes: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    error: str | None


class Collector(LyingHub):
    """The collector; ``answers`` are its first responses, ``otherwise`` is every later one."""

    def __init__(self, *answers: Answer, otherwise: Answer = TAKES_SPANS) -> None:
        super().__init__(*answers, otherwise=otherwise)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make a program send its traces here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}

    @property
    def resources(self) -> list[dict[str, Any]]:
        """The resource attributes of each request's sender."""
        return [_values(group.resource.attributes) for group in self._groups()]

    @property
    def spans(self) -> list[ReceivedSpan]:
        """All received spans, by start time."""
        found = [span for group in self._groups() for scope in group.scope_spans for span in scope.spans]
        return [_received_span(span) for span in sorted(found, key=lambda span: span.start_time_unix_nano)]

    def _groups(self) -> Iterable[Any]:
        for request in self.requests:
            assert (request.method, request.path) == ("POST", "/v1/traces")
            yield from ExportTraceServiceRequest.FromString(request.body).resource_spans


def _received_span(span: Any) -> ReceivedSpan:
    return ReceivedSpan(
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
        attributes=_values(span.attributes),
        events=[(event.name, _values(event.attributes)) for event in span.events],
        error=span.status.message if span.status.code == 2 else None,
    )


def _values(attributes: Iterable[Any]) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}
