"""A trace of a run, for OpenTelemetry: kept as plain values while it runs, and sent over OTLP/HTTP at its end.

Only the sending needs the extra, and imports it: a run without a requested trace has none of its cost.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sandboxer.errors import extra_hint
from sandboxer.model.run_events import (
    ChangeEnded,
    ChangeProgressed,
    ChangeStarted,
    DriftCompared,
    FleetRead,
    HostObserved,
    Message,
    RunFailed,
    RunFinished,
    RunStarted,
    status_of,
)
from sandboxer.model.text import printable
from sandboxer.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan

    from sandboxer.model.drift import DriftReport
    from sandboxer.model.observed import HostObservation
    from sandboxer.model.outcome import Outcome
    from sandboxer.model.plan import Change
    from sandboxer.model.run_events import RunEvent

# With the time to load the SDK, a collector that hangs costs a run less than a second.
SEND_SECONDS = 0.7
_REQUEST_SECONDS = 0.6
MOST_SPANS = 10_000
_OF_ONE_REQUEST = 1_000
_LONGEST = 10_000
_ENDPOINT, _TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_ATTRIBUTE = "sandboxer."

Attributes = dict[str, str | int]

# Our own sentence reports what the SDK logs about a collector.
logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
logging.getLogger("opentelemetry").propagate = False


def configured(environ: Mapping[str, str]) -> bool:
    """Return whether the environment requests traces."""
    off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none"
    return not off and bool(_endpoint(environ))


def _endpoint(environ: Mapping[str, str]) -> str:
    return environ.get(_TRACES_ENDPOINT) or environ.get(_ENDPOINT, "")


def _collector(environ: Mapping[str, str]) -> str:
    """Return the address of the collector, without the parts that may be secret."""
    parts = urlsplit(_endpoint(environ))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@dataclass(slots=True)
class _Span:
    """An operation with a duration; times are in nanoseconds since 1970, as in OpenTelemetry."""

    name: str
    began: int
    ended: int = 0
    attributes: Attributes = field(default_factory=dict)
    events: list[tuple[str, int, Attributes]] = field(default_factory=list)
    error: str | None = None

    def note(self, name: str, **attributes: str | int | None) -> None:
        """Add an event with the current time."""
        self.events.append((name, time.time_ns(), _named(attributes)))

    def describe(self, attributes: Attributes) -> None:
        """Add attributes, in place of those of the same names."""
        self.attributes |= attributes

    def fail(self, error: str | None) -> None:
        """Mark it as failed with an error, or as not failed with None."""
        self.error = error

    def end(self, moment: int | None = None) -> None:
        """End it, at the current time by default."""
        self.ended = time.time_ns() if moment is None else moment


class Trace:
    """A sink of events that sends each run as a trace, if the environment requests it.

    A run is a span; below it is one for each observation and each change, with the steps as events. ``TRACEPARENT`` of
    the environment is the parent of the run.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._lock = threading.Lock()
        self._root = _Span("sandboxer", time.time_ns())
        self._spans: list[_Span] = []
        self._working: dict[tuple[str, str | None], _Span] = {}

    def __call__(self, event: RunEvent) -> None:
        """Add the event to the trace."""
        match event:
            case RunStarted():
                self._begin(event)
            case FleetRead(fleet):
                self._root.describe(_named({"fleet": fleet}))
            case HostObserved(observation, seconds):
                self._observed(observation, seconds)
            case DriftCompared(report):
                self._compared(report)
            case ChangeStarted(change):
                self._started(change)
            case ChangeProgressed(change, step):
                self._progressed(change, step)
            case ChangeEnded(outcome):
                self._ended(outcome)
            case Message("error", text):
                self._root.fail(self._root.error or text)
            case Message("warning", text, host):
                self._root.note("warning", message=text, host=host)
            case RunFailed(error):
                self._root.fail(error.message)
            case RunFinished(exit_code):
                self._finish(exit_code)

    def _begin(self, beginning: RunStarted) -> None:
        """Begin the run's span."""
        name = f"sandboxer {beginning.command}".rstrip()
        attributes = _named({"run_id": beginning.run_id, "command": beginning.command})
        with self._lock:
            self._root = _Span(name, int(beginning.at.timestamp() * 1e9), attributes=attributes)
            self._spans, self._working = [], {}

    def _observed(self, observation: HostObservation, seconds: float) -> None:
        """Add a span for the observation."""
        ended = time.time_ns()
        attributes = _named({"host": observation.host, "outcome": status_of(observation)})
        self._add(
            _Span(f"look {observation.host}", ended - int(seconds * 1e9), ended, attributes, error=observation.error)
        )

    def _compared(self, report: DriftReport) -> None:
        """Add events to the run; paths alone, and never values."""
        for change in report.drifted:
            paths = ", ".join(found.path for found in change.drift)
            self._root.note("drift.found", host=change.host, sandbox=change.sandbox, paths=paths)
        for one in report.resolved:
            self._root.note("drift.resolved", host=one.host, sandbox=one.sandbox, paths=", ".join(one.paths))

    def _started(self, change: Change) -> None:
        """Begin a span for the change."""
        span = _Span(f"change {change.sandbox}", time.time_ns(), attributes=_of_change(change))
        self._add(span)
        with self._lock:
            self._working[change.id, change.host] = span

    def _progressed(self, change: Change, step: str) -> None:
        """Add an event to the change's span; without one, to the run's."""
        span = self._span_of(change)
        if span is None:
            self._root.note("step", step=step, host=change.host, sandbox=change.sandbox)
        else:
            span.note("step", step=step)

    def _ended(self, outcome: Outcome) -> None:
        """End the change's span, as an error if the change failed."""
        change, span = outcome.change, self._span_of(outcome.change, last=True)
        if span is None:  # blocked from the start, so never started
            span = _Span(f"change {change.sandbox}", time.time_ns())
            self._add(span)
        # A change that was planned again under the lock may have another action than the one that began.
        span.describe(_of_change(change) | _named({"outcome": outcome.word}))
        span.fail(None if outcome.ok else outcome.error or change.message or outcome.word)
        span.end()

    def _finish(self, exit_code: int) -> None:
        """End the run's span and every interrupted one. ``send`` sends them."""
        root = self._root
        root.end()
        root.describe(_named({"exit_code": exit_code}))
        if exit_code == 1:
            root.fail(root.error or "exit code 1")
        with self._lock:
            for span in self._working.values():
                span.fail("interrupted")
                span.describe(_named({"outcome": "interrupted"}))
                span.end(root.ended)
            self._working = {}

    def send(self) -> str:
        """Send the trace, and wait less than a second for the collector; return an error sentence, or an empty one."""
        with self._lock:
            spans, self._spans = self._spans, []
        try:
            return _send(self._root, spans, self._environ)
        except ModuleNotFoundError as error:
            return f"no trace is sent: {error.name} is missing; {extra_hint('otel')}"
        except Exception as error:  # noqa: BLE001 - a trace only reports, and never fails the run
            return f"no trace is sent: {type(error).__name__} in the OpenTelemetry SDK; check the OTEL_ variables"

    def _add(self, span: _Span) -> None:
        with self._lock:
            if len(self._spans) < MOST_SPANS:
                self._spans.append(span)

    def _span_of(self, change: Change, *, last: bool = False) -> _Span | None:
        """Return the span of a change in progress.

        Planned again under the lock, it may be on another host than at its start.
        """
        with self._lock:
            keys = [key for key in self._working if key == (change.id, change.host)]
            keys = keys or [key for key in self._working if key[0] == change.id]
            if len(keys) != 1:
                return None
            return self._working.pop(keys[0]) if last else self._working[keys[0]]


def _named(attributes: Mapping[str, str | int | None]) -> Attributes:
    """Return the attributes that have a value, as text that any collector accepts."""
    return {
        _ATTRIBUTE + key: _text(value) if isinstance(value, str) else value
        for key, value in attributes.items()
        if value is not None and value != ""
    }


def _text(value: str) -> str:
    return "\n".join(printable(line, _LONGEST) for line in value.rstrip().splitlines())


def _of_change(change: Change) -> Attributes:
    attrs = {"host": change.host, "sandbox": change.sandbox, "sandbox_id": change.id, "action": change.action.value}
    return _named({**attrs, "reason": change.reason.value, "from_host": change.from_host})


def _send(root: _Span, spans: Sequence[_Span], environ: Mapping[str, str]) -> str:
    ready = _as_otel(root, spans, environ)
    return _export(ready, _collector(environ)) if ready else ""


def _as_otel(root: _Span, spans: Sequence[_Span], environ: Mapping[str, str]) -> list[ReadableSpan]:
    """Return our spans as the SDK's; none if the sampler of the environment, or of the parent, drops them."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
    from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    ready: list[ReadableSpan] = []

    class Kept(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            ready.append(span)

    def finish(made: Span, span: _Span) -> None:
        for name, moment, attributes in span.events:
            made.add_event(name, attributes, timestamp=moment)
        if span.error is not None:
            made.set_status(Status(StatusCode.ERROR, _text(span.error)))
        made.end(end_time=span.ended or root.ended)

    ours = Resource({"service.name": "sandboxer", "service.version": __version__})
    resource = Resource.create().merge(ours).merge(OTELResourceDetector().detect())  # the environment has the last word
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(Kept())
    tracer = provider.get_tracer("sandboxer", __version__)
    carried = {key.lower(): environ[key] for key in ("TRACEPARENT", "TRACESTATE") if environ.get(key)}
    parent = TraceContextTextMapPropagator().extract(carried)
    run = tracer.start_span(root.name, parent, attributes=root.attributes, start_time=root.began)
    below = set_span_in_context(run)
    for span in spans:
        finish(tracer.start_span(span.name, below, attributes=span.attributes, start_time=span.began), span)
    finish(run, root)
    return ready


def _export(ready: Sequence[ReadableSpan], collector: str) -> str:
    """Send spans in a daemon thread with a limited wait: no name resolver keeps to a time limit."""
    import requests
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    answers: list[int] = []
    taken: list[bool] = []
    session = requests.Session()
    session.hooks["response"].append(lambda answer, **_: answers.append(answer.status_code))
    exporter = OTLPSpanExporter(timeout=_REQUEST_SECONDS, session=session)

    def export() -> None:
        for at in range(0, len(ready), _OF_ONE_REQUEST):
            result = exporter.export(ready[at : at + _OF_ONE_REQUEST])
            taken.append(result is SpanExportResult.SUCCESS and answers[-1:] < [300])

    thread = threading.Thread(target=export, name="trace", daemon=True)
    began = time.monotonic()
    thread.start()
    thread.join(SEND_SECONDS)
    if thread.is_alive() or (not answers and time.monotonic() - began > _REQUEST_SECONDS - 0.1):
        return f"the trace is lost: {collector} did not accept it within {SEND_SECONDS:g} s"
    if all(taken):
        return ""
    why = f"answered {answers[-1]}" if answers else "cannot be reached"
    return f"the trace is lost: {collector} {why}; use a collector with OTLP over HTTP"
