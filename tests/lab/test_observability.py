"""What programs see of an apply on real hosts: the log line by line, and the trace in a collector."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.collector import Collector
from tests.support.e2e import service, stack

if TYPE_CHECKING:
    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab

APP = stack(app=service(environment=["LEVEL=${LEVEL_TOKEN}"]))
FAILS = stack(app=service("sh", "-c", "echo the level is $LEVEL; exit 3", environment=["LEVEL=${LEVEL_TOKEN}"]))
LEVEL = "a-level-that-nobody-repeats"


def log_of(output: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]
    assert len({line["run_id"] for line in lines}) == 1
    assert (lines[0]["event"], lines[-1]["event"]) == ("run.started", "run.finished")
    return lines


def test_an_apply_is_reported_in_a_log_and_a_trace_without_values(fleet: FleetRepo) -> None:
    fleet.sandbox("good", APP, env={"LEVEL_TOKEN": LEVEL})
    fleet.sandbox("bad", FAILS, env={"LEVEL_TOKEN": LEVEL})
    fleet.commit()
    with Collector() as collector:
        env = {**collector.environment, "SANDBOXER_LOG_FORMAT": "json"}
        fleet.run("apply", "-y", code=1, env=env)
        output, spans = fleet.output[-1], collector.spans
        assert LEVEL.encode() not in b"".join(request.body for request in collector.requests)
    assert LEVEL not in output
    lines = log_of(output)
    assert {line["fleet"] for line in lines[1:]} == {lines[-1]["fleet"]}
    of_good = [line for line in lines if line.get("sandbox") == "good"]
    assert [of_good[0]["event"], of_good[-1]["event"]] == ["change.started", "change.ended"]
    steps = [line["step"] for line in of_good if line["event"] == "change.progressed"]
    assert "starting" in steps
    assert (of_good[-1]["outcome"], of_good[-1]["host"]) == ("created", "lab-1")
    (bad,) = [line for line in lines if line["event"] == "change.ended" and line["sandbox"] == "bad"]
    assert (bad["level"], bad["outcome"]) == ("error", "failed")
    assert bad["message"]
    assert lines[-1]["exit_code"] == 1

    (root,) = [span for span in spans if not span.parent]
    assert (root.name, root.attributes["sandboxer.run_id"]) == ("sandboxer apply", lines[0]["run_id"])
    named = {span.name: span for span in spans}
    assert named["change good"].error is None
    assert [event["sandboxer.step"] for _, event in named["change good"].events] == steps
    assert named["change bad"].error == bad["message"]
    hosts_observed = {line["host"] for line in lines if line["event"] == "look.done"}
    assert {f"look {host}" for host in hosts_observed} <= set(named)
    assert sum(span.seconds for span in spans if span.name == "change good") <= root.seconds


def test_drift_is_an_event_of_the_run(fleet: FleetRepo) -> None:
    fleet.sandbox("one", APP, env={"LEVEL_TOKEN": LEVEL})
    fleet.commit()
    fleet.apply()
    for container in fleet.ids("lab-1", "one").values():
        fleet.engine("lab-1", "kill", container)
    with Collector() as collector:
        env = {**collector.environment, "SANDBOXER_LOG_FORMAT": "json"}
        fleet.run("drift", code=2, env=env, drifts=True)
        (root,) = [span for span in collector.spans if not span.parent]
    (found,) = [line for line in log_of(fleet.output[-1]) if line["event"] == "drift.found"]
    assert (found["sandbox"], found["host"], found["message"]) == ("one", "lab-1", "services.app.state")
    assert [(name, event["sandboxer.paths"]) for name, event in root.events] == [("drift.found", "services.app.state")]
    assert root.error is None
    fleet.apply(drifts=True)
    fleet.assert_synced()
