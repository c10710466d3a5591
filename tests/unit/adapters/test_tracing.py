"""Traces over OTLP: what a real collector gets of a run, and that none ever harms one."""

from __future__ import annotations

import os
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.tracing import MOST_SPANS, SEND_SECONDS, Trace, configured
from sandboxer.errors import UsageError
from sandboxer.model.drift import DriftReport
from sandboxer.model.lifecycle import Reason
from sandboxer.model.observed import Unreachable
from sandboxer.model.outcome import Outcome
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
)
from tests.support.collector import PARENT, TAKES_SPANS, Collector
from tests.support.fleet import ROOT
from tests.support.hubs import CUTS, HANGS, HANGS_UNREAD, Answer, says
from tests.support.planning import NOW, observations_of
from tests.support.plans import change, fields, plan_of

if TYPE_CHECKING:
    from collections.abc import Iterator

WEB = change("web", Reason.CREATE_ABSENT)
FAR = change("far", Reason.REPAIR_DRIFT, host="lab-2")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that the environment of this process names."""
    with Collector() as collector:
        name_it(monkeypatch, collector)
        yield collector


def name_it(monkeypatch: pytest.MonkeyPatch, collector: Collector, **more: str) -> None:
    for name in [name for name in os.environ if name.startswith(("OTEL_", "TRACE"))]:
        monkeypatch.delenv(name)
    for name, value in {**collector.environment, **more}.items():
        monkeypatch.setenv(name, value)


def begun() -> Trace:
    trace = Trace(os.environ)
    trace(RunStarted("1" * 32, "apply", datetime.now(UTC)))
    return trace


# --- what it contains


def test_a_run_is_one_trace_with_a_span_for_each_observation_and_each_change(collector: Collector) -> None:
    trace = begun()
    trace(FleetRead("acme", lambda _, text: text))
    trace(HostObserved(observations_of({"hosts": {"lab-1": {}}})["lab-1"], 0.25))
    trace(HostObserved(Unreachable("far", "connection refused"), 1.0))
    trace(ChangeStarted(WEB))
    trace(ChangeStarted(FAR))
    trace(ChangeProgressed(WEB, "recording"))
    trace(ChangeProgressed(WEB, "starting"))
    trace(ChangeEnded(Outcome(WEB, seconds=1)))
    trace(ChangeEnded(Outcome(FAR, error="no\x07 image\nno luck\ud800")))
    trace(ChangeEnded(Outcome(change("busy", Reason.BLOCKED_LOCKED, message="another client"))))
    trace(Message("warning", "State Hub is slow", ""))
    trace(RunFinished(1))
    assert trace.send() == ""

    spans = {span.name: span for span in collector.spans}
    root = spans["sandboxer apply"]
    assert set(spans) == {"sandboxer apply", "look lab-1", "look far", "change web", "change far", "change busy"}
    assert {span.trace for span in collector.spans} == {root.trace}
    assert {span.parent for span in collector.spans} == {"", root.id}
    assert root.parent == ""
    assert root.attributes == {
        "sandboxer.run_id": "1" * 32,
        "sandboxer.command": "apply",
        "sandboxer.fleet": "acme",
        "sandboxer.exit_code": 1,
    }
    assert root.error == "exit code 1"
    assert root.events == [("warning", {"sandboxer.message": "State Hub is slow"})]
    assert spans["look lab-1"].attributes == {"sandboxer.host": "lab-1", "sandboxer.outcome": "reachable"}
    assert spans["look lab-1"].seconds == pytest.approx(0.25, abs=0.01)
    assert (spans["look lab-1"].error, spans["look far"].error) == (None, "connection refused")
    web = spans["change web"]
    assert web.attributes == {
        "sandboxer.host": "lab-1",
        "sandboxer.sandbox": "web",
        "sandboxer.sandbox_id": WEB.id,
        "sandboxer.action": "create",
        "sandboxer.reason": "create_because_absent",
        "sandboxer.outcome": "created",
    }
    assert web.events == [("step", {"sandboxer.step": "recording"}), ("step", {"sandboxer.step": "starting"})]
    assert web.error is None
    assert spans["change far"].error == "no\\x07 image\nno luck\\ud800"
    assert (spans["change busy"].attributes["sandboxer.outcome"], spans["change busy"].error) == (
        "blocked",
        "another client",
    )
    (resource,) = collector.resources
    assert resource["service.name"] == "sandboxer"
    assert resource["telemetry.sdk.name"] == "opentelemetry"


def test_an_error_is_the_status_and_what_was_cut_off_is_interrupted(collector: Collector) -> None:
    trace = begun()
    trace(ChangeStarted(WEB))
    trace(RunFailed(UsageError("no such host")))
    trace(RunFinished(1))
    assert trace.send() == ""
    root, web = collector.spans
    assert (root.error, web.error) == ("no such host", "interrupted")
    assert web.attributes["sandboxer.outcome"] == "interrupted"


@pytest.mark.parametrize("code", [0, 2])
def test_a_run_that_went_well_is_no_error(collector: Collector, code: int) -> None:
    trace = begun()
    trace(RunFinished(code))
    assert trace.send() == ""
    (root,) = collector.spans
    assert (root.error, root.attributes["sandboxer.exit_code"]) == (None, code)


def test_a_change_that_came_to_another_host_under_the_lock_is_one_span(collector: Collector) -> None:
    trace = begun()
    trace(ChangeStarted(WEB))
    trace(ChangeProgressed(replace(WEB, host="lab-3"), "recording"))
    trace(ChangeEnded(Outcome(replace(WEB, host="lab-3"))))
    trace(RunFinished(0))
    assert trace.send() == ""
    _, web = collector.spans
    assert (web.attributes["sandboxer.host"], len(web.events), web.error) == ("lab-3", 1, None)


def test_drift_is_reported_by_path_and_never_by_value(collector: Collector) -> None:
    drifted = change("web", Reason.REPAIR_DRIFT, drift=fields(services__web__state=("running", "VALUE")))
    trace = begun()
    trace(DriftCompared(DriftReport(plan_of(drifted), NOW, compared=1)))
    trace(RunFinished(2))
    assert trace.send() == ""
    (root,) = collector.spans
    expected = {"sandboxer.host": "lab-1", "sandboxer.sandbox": "web", "sandboxer.paths": "services.web.state"}
    assert root.events == [("drift.found", expected)]
    assert b"VALUE" not in collector.requests[0].body


def test_each_run_of_a_watch_is_a_trace_of_its_own(collector: Collector) -> None:
    trace = begun()
    for number in range(2):
        trace(RunStarted(f"{number}" * 32, "drift", datetime.now(UTC)))
        trace(HostObserved(Unreachable("far", "refused"), 0.1))
        trace(RunFinished(0))
        assert trace.send() == ""
    assert len({span.trace for span in collector.spans}) == 2
    assert len(collector.spans) == 4


def test_a_fleet_however_large_is_bounded(collector: Collector) -> None:
    trace = begun()
    for number in range(MOST_SPANS + 5):
        trace(HostObserved(Unreachable(f"h{number}", "refused"), 0.1))
    assert len(trace._spans) == MOST_SPANS


def test_the_page_lists_every_attribute(collector: Collector) -> None:
    trace = begun()
    trace(FleetRead("acme", lambda _, text: text))
    trace(HostObserved(Unreachable("far", "refused"), 0.1))
    trace(ChangeStarted(replace(WEB, from_host="lab-2")))
    trace(ChangeEnded(Outcome(replace(WEB, from_host="lab-2"))))
    trace(RunFinished(0))
    assert trace.send() == ""
    page = (ROOT / "docs/observability.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(sandboxer\.\w+)`", page)) == {key for span in collector.spans for key in span.attributes}
    assert f"at most {MOST_SPANS:,} observations and changes" in page.replace("\n", " ")


# --- the environment


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://[::1"}, True),
    ],
)
def test_traces_are_enabled_by_the_environment(environ: dict[str, str], expected: bool) -> None:
    assert configured(environ) is expected


@pytest.mark.parametrize(
    ("given", "trace_id", "parent"),
    [
        (PARENT, "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"),
        ("00-" + "0" * 32 + "-b7ad6b7169203331-01", None, ""),
        ("nonsense", None, ""),
    ],
)
def test_traceparent_is_what_the_run_is_a_part_of_where_it_is_valid(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, given: str, trace_id: str | None, parent: str
) -> None:
    monkeypatch.setenv("TRACEPARENT", given)
    trace = begun()
    trace(RunFinished(0))
    assert trace.send() == ""
    (root,) = collector.spans
    assert root.parent == parent
    assert (root.trace == trace_id) is (trace_id is not None)


def test_a_parent_that_is_not_sampled_has_no_children(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", PARENT[:-1] + "0")
    trace = begun()
    trace(RunFinished(0))
    assert trace.send() == ""
    assert collector.requests == []


def test_name_and_headers_of_the_environment_count(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    name_it(
        monkeypatch,
        collector,
        OTEL_SERVICE_NAME="nightly",
        OTEL_RESOURCE_ATTRIBUTES="team=payments",
        OTEL_EXPORTER_OTLP_HEADERS="x-key=hunter2",
    )
    trace = begun()
    trace(RunFinished(0))
    assert trace.send() == ""
    (resource,) = collector.resources
    assert (resource["service.name"], resource["team"]) == ("nightly", "payments")
    assert collector.requests[0].headers["x-key"] == "hunter2"


# --- what goes wrong


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (HANGS, f"did not accept it within {SEND_SECONDS:g} s"),
        (HANGS_UNREAD, f"did not accept it within {SEND_SECONDS:g} s"),
        (CUTS, "cannot be reached"),
        (says(401), "answered 401"),
        (says(503, Retry_After="60"), "answered 503"),
        (says(302, Location="http://127.0.0.1:1/"), "answered 302"),
    ],
)
def test_a_collector_that_does_not_take_it_is_one_sentence_within_a_second(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, why: str
) -> None:
    with Collector(otherwise=answer) as collector:
        name_it(monkeypatch, collector)
        trace = begun()
        trace(RunFinished(0))
        trace._environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url.replace("//", "//user:hunter2@")}
        from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: F401 - its import is not the wait

        began = time.monotonic()
        message = trace.send()
        assert time.monotonic() - began < SEND_SECONDS + 1
        assert message.startswith("the trace is lost: ")
        assert why in message
        assert "hunter2" not in message
        assert collector.url in message


def test_what_failed_once_is_not_sent_with_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector(says(400), otherwise=TAKES_SPANS) as collector:
        name_it(monkeypatch, collector)
        trace = begun()
        trace(RunFinished(0))
        assert "answered 400" in trace.send()
        trace(RunStarted("2" * 32, "drift", datetime.now(UTC)))
        trace(RunFinished(0))
        assert trace.send() == ""
        assert [span.name for span in collector.spans] == ["sandboxer apply", "sandboxer drift"]


@pytest.mark.parametrize("endpoint", ["http://[::1", "collector:4317", "http://127.0.0.1:1", "http://\x00/"])
def test_an_address_that_is_none_is_one_sentence(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    monkeypatch.setenv("NO_PROXY", "*")
    if "\x00" not in endpoint:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    trace = Trace(environ)
    trace(RunFinished(0))
    message = trace.send()
    assert message
    assert "\n" not in message
