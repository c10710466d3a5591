"""The log for programs: each line of standard error is one JSON object that names its run, and reveals no secret."""

from __future__ import annotations

import io
import re
import threading
from dataclasses import replace
from typing import Any

import pytest

from sandboxer.cli.session import Session
from sandboxer.errors import HostUnreachable, ManifestError, ProvisionFailed
from sandboxer.errors.diagnostic import Diagnostic, Location
from sandboxer.model.desired import SecretValue
from sandboxer.model.drift import DriftReport, Resolved
from sandboxer.model.hidden import Hidden
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
    ServiceProgressed,
    redacted,
)
from sandboxer.render.live import PlainView
from sandboxer.render.log_json import JsonLog, Lines
from sandboxer.wiring.secrecy import Redaction
from tests.support.fleet import ROOT
from tests.support.planning import NOW, fleet_of, observations_of
from tests.support.plans import change, fields, plan_of
from tests.support.unreachable import lines_of

WEB = change("web", Reason.CREATE_ABSENT)
BEGINNING = RunStarted("1" * 32, "apply", NOW)


class Log:
    """A log in memory, of a run that has begun, by a clock that stands still."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.log = JsonLog(self.stream, lambda: NOW)
        self.log(BEGINNING)

    def entries(self) -> list[dict[str, Any]]:
        """Return the lines after the first, without what each of them has."""
        lines = lines_of(self.stream.getvalue())
        assert lines[0]["event"] == "run.started"
        assert {(line["run_id"], line["command"]) for line in lines} == {("1" * 32, "apply")}
        common = ("time", "run_id", "command")
        return [{key: value for key, value in line.items() if key not in common} for line in lines[1:]]


@pytest.fixture
def log() -> Log:
    return Log()


# --- the lines


def test_a_line_stands_exactly_so(log: Log) -> None:
    log.log(FleetRead("acme", lambda _, text: text))
    log.log(ChangeProgressed(WEB, "starting"))
    moment = NOW.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    assert log.stream.getvalue().splitlines()[1] == (
        f'{{"time": "{moment}", "level": "info", "event": "change.progressed", "run_id": "{"1" * 32}", '
        '"command": "apply", "fleet": "acme", "host": "lab-1", "sandbox": "web", "id": "00000003", '
        '"action": "create", "step": "starting"}'
    )


def test_a_service_is_a_line_without_secrets(log: Log) -> None:
    event = ServiceProgressed(WEB, "api", "building", "2/4 RUN hunter2")
    log.log(redacted(event, lambda _id, text: text.replace("hunter2", "(hidden)")))
    (line,) = log.entries()
    assert (line["event"], line["sandbox"], line["service"], line["state"]) == (
        "service.progressed",
        "web",
        "api",
        "building",
    )
    assert line["detail"] == "2/4 RUN (hidden)"


def test_an_apply_is_reported_step_by_step_with_what_came_of_it(log: Log) -> None:
    log.log(ChangeStarted(WEB))
    log.log(ChangeProgressed(WEB, "delivering"))
    log.log(ChangeEnded(Outcome(WEB, seconds=2.12345)))
    log.log(
        ChangeEnded(Outcome(WEB, error="\x1b[31mno\x1b[0m image\nno\x07 luck\u2028\x85", hint="pull it", seconds=1))
    )
    locked = change("busy", Reason.BLOCKED_LOCKED, message="another client holds its lock")
    log.log(ChangeEnded(Outcome(locked)))
    of_web = {"host": "lab-1", "sandbox": "web", "id": "00000003", "action": "create"}
    began, _, well, badly, blocked = log.entries()
    assert began == {"level": "info", "event": "change.started", **of_web, "reason": "create_because_absent"}
    ended = {"event": "change.ended", **of_web, "reason": "create_because_absent"}
    assert well == {"level": "info", **ended, "outcome": "created", "seconds": 2.123}
    assert badly.pop("message").splitlines()[:2] == ["no image", "no\\x07 luck"]
    assert badly == {"level": "error", **ended, "outcome": "failed", "hint": "pull it", "seconds": 1}
    assert (blocked["level"], blocked["outcome"]) == ("warning", "blocked")
    assert blocked["message"] == "another client holds its lock"
    assert "apply again" in blocked["hint"]


def test_observations_are_logged_with_their_outcome(log: Log) -> None:
    observations = observations_of({"hosts": {"lab-1": {}}})
    log.log(HostObserved(observations["lab-1"], 0.25))
    log.log(HostObserved(replace(observations["lab-1"], error="the engine does not answer"), 0.5))  # type: ignore[type-var]
    log.log(HostObserved(Unreachable("far", "connection refused"), 1.0))
    log.log(HostObserved(Unreachable("near", "half an answer", answered=True), 2.0))
    assert [(line["host"], line["level"], line["outcome"], line["seconds"]) for line in log.entries()] == [
        ("lab-1", "info", "reachable", 0.25),
        ("lab-1", "warning", "unknown", 0.5),
        ("far", "error", "unreachable", 1.0),
        ("near", "warning", "unknown", 2.0),
    ]
    assert log.entries()[2]["message"] == "connection refused"


def test_drift_is_reported_by_path_and_never_by_value(log: Log) -> None:
    drifted = change(
        "web", Reason.REPAIR_DRIFT, drift=fields(services__web__state=("running", "VALUE"), workspace=(1, 2))
    )
    resolved = Resolved("old", "0badcafe", "lab-2", ("workspace",), NOW)
    log.log(DriftCompared(DriftReport(plan_of(drifted, WEB), NOW, compared=3, resolved=(resolved,))))
    found, over = log.entries()
    assert (found["event"], found["message"]) == ("drift.found", "services.web.state, workspace")
    assert over == {
        "level": "info",
        "event": "drift.resolved",
        "host": "lab-2",
        "sandbox": "old",
        "message": "workspace",
    }
    assert "VALUE" not in log.stream.getvalue()


def test_errors_name_what_they_are_about(log: Log) -> None:
    finding = Diagnostic("error", "bad-value", "no such ttl", Location("a.yaml", 3, 7), hint="say 2h")
    for error in (
        HostUnreachable("lab-1", "refused", hint="start it"),
        ProvisionFailed("web", "no image"),
        ManifestError([finding]),
    ):
        log.log(RunFailed(error))
    assert log.entries() == [
        {"level": "error", "event": "error", "host": "lab-1", "message": "refused", "hint": "start it"},
        {"level": "error", "event": "error", "sandbox": "web", "message": "no image"},
        {
            "level": "error",
            "event": "manifest.finding",
            "code": "bad-value",
            "file": "a.yaml",
            "line": 3,
            "column": 7,
            "message": "no such ttl",
            "hint": "say 2h",
        },
        {"level": "error", "event": "error", "message": "1 error in the manifests"},
    ]


def test_nothing_is_logged_after_the_end_until_another_begins(log: Log) -> None:
    log.log(RunFinished(2))
    log.log(ChangeEnded(Outcome(WEB)))
    assert [(line["event"], line["level"], line["exit_code"]) for line in log.entries()] == [
        ("run.finished", "info", 2)
    ]
    log.log(BEGINNING._replace(run_id="2" * 32))
    log.log(RunFinished(1))
    assert [line["run_id"][0] for line in lines_of(log.stream.getvalue())] == ["1", "1", "2", "2"]


def test_lines_of_many_threads_stay_whole(log: Log) -> None:
    def operation(number: int) -> None:
        for step in range(50):
            log.log(ChangeProgressed(WEB, f"{number}-{step}" * 20))

    threads = [threading.Thread(target=operation, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(log.entries()) == 400


def test_a_reader_that_has_gone_stops_nothing() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    log = JsonLog(Gone())
    log(BEGINNING)
    log(RunFinished(0))


def test_what_others_write_is_cut_into_lines() -> None:
    written: list[str] = []
    lines = Lines(written.append)
    print("one\n\ntwo ", end="", file=lines)
    lines.write("goes on\nthree")
    assert written == ["one", "two goes on"]
    lines.finish()
    assert written == ["one", "two goes on", "three"]
    assert not lines.isatty()


def test_the_page_lists_every_event_and_every_key(log: Log) -> None:
    finding = Diagnostic("error", "bad-value", "no", Location("a.yaml"), hint="say 2h")
    drifted = change("web", Reason.REPAIR_DRIFT, drift=fields(workspace=(1, 2)))
    log.log(FleetRead("acme", lambda _, text: text))
    log.log(HostObserved(Unreachable("far", "refused"), 1.0))
    log.log(ChangeStarted(WEB))
    log.log(ChangeProgressed(WEB, "starting"))
    log.log(ServiceProgressed(WEB, "api", "building", "2/4 RUN make"))
    log.log(ChangeEnded(Outcome(WEB, error="no", hint="yes")))
    log.log(
        DriftCompared(
            DriftReport(plan_of(drifted), NOW, 1, resolved=(Resolved("old", "0badcafe", "lab-2", ("workspace",), NOW),))
        )
    )
    log.log(RunFailed(ManifestError([finding])))
    log.log(RunFailed(ProvisionFailed("web", "no", hint="yes")))
    for level in ("info", "warning"):
        log.log(Message(level, "a sentence"))  # type: ignore[arg-type]
    log.log(RunFinished(0))
    lines = lines_of(log.stream.getvalue())
    page = (ROOT / "docs/observability.md").read_text(encoding="utf-8").split("## Traces")[0]
    keys, listed = page.split("| event | when |")
    assert set(re.findall(r"^\| `([a-z.]+)` \|", listed, re.MULTILINE)) == {line["event"] for line in lines}
    named = {key for row in re.findall(r"^\| (`[^|]*`) \|", keys, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)}
    assert named == {key for line in lines for key in line}


# --- what is hidden


def test_no_hidden_value_comes_into_a_log_whoever_writes_it() -> None:
    known = fleet_of({"sandboxes": {"web": {"env": {"LEVEL": "verbose", "DB_PASSWORD": "tulip"}}}})
    secret = SecretValue("KEY", "env:KEY", present=True, value=Hidden("hunter2"))
    desired = replace(known.sandboxes["web"], secrets=(secret,))
    fleet = replace(known, sandboxes={"web": desired})
    outcome = Outcome(
        replace(WEB, id=desired.id, message="tulip hunter2"),
        error="hunter2 at level verbose, 1 time",
        hint="unset hunter2",
    )
    log, redact = Log(), Redaction(lambda: fleet)
    events = ChangeProgressed(outcome.change, "trying hunter2"), ChangeEnded(outcome)
    for event in events:
        log.log(redacted(event, redact))
    progressed, ended = log.entries()
    assert progressed["step"] == "trying (hidden)"
    assert ended["message"] == "(hidden) at level verbose, 1 time"
    assert ended["hint"] == "unset (hidden)"
    assert events[1].outcome == outcome, "people see what they saw before"
    assert "hunter2" not in log.stream.getvalue()


def test_no_secret_comes_into_a_log_with_an_error_of_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    known = fleet_of({"sandboxes": {"web": {"env": {"HOST": "lab-1"}}}})
    secret = SecretValue("KEY", "env:KEY", present=True, value=Hidden("hunter2"))
    fleet = replace(known, sandboxes={"web": replace(known.sandboxes["web"], secrets=(secret,))})
    session = Session({})
    session.use_log_format("json")
    session.receive(FleetRead("acme", Redaction(lambda: fleet)))
    session.failed(HostUnreachable("lab-1", "lab-1 sent hunter2", hint="not hunter2"))
    session.notify("warning", "lab-1 sent hunter2")
    run_id = session.run_id
    session.close(1)
    _, error, warning, _ = lines_of(capsys.readouterr().err)
    assert (error["message"], error["hint"], error["host"]) == ("lab-1 sent (hidden)", "not (hidden)", "lab-1")
    assert warning["message"] == "lab-1 sent (hidden)"
    assert run_id == error["run_id"]


def test_outcomes_that_nobody_worked_on_are_reported_too_and_to_programs_alone(log: Log) -> None:
    blocked = ChangeEnded(Outcome(change("busy", Reason.BLOCKED_UNREACHABLE, message="silent")), begun=False)
    shown = io.StringIO()
    with PlainView(shown) as view:
        for event in (ChangeEnded(Outcome(WEB)), blocked):
            log.log(event)
            view(event)
    assert [line["sandbox"] for line in log.entries()] == ["web", "busy"]
    assert "web" in shown.getvalue()
    assert "busy" not in shown.getvalue()
