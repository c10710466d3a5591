"""What State Hub is sent, as it stands on the wire: events, the form of older hubs, registrations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event
from jsonschema import Draft202012Validator, FormatChecker

from sandboxer.adapters.hub import StateHub
from sandboxer.errors import HubError
from sandboxer.model.event import Event, drift_event, events_of, gap_then
from sandboxer.model.fleet_manifests import StateHub as Settings
from sandboxer.model.hub import RUN_FINISHED, RUN_STARTED, RunData, cloud_event, run_event
from sandboxer.model.lifecycle import Phase
from sandboxer.model.plan import FieldChange
from tests.support.fleet import ROOT
from tests.support.handles import registration
from tests.support.hubs import TOKEN, LyingHub, says
from tests.support.planning import NOW, fleet_of, record_of
from tests.unit.hub.hubs import TOKEN as REAL_TOKEN
from tests.unit.hub.hubs import RunningHub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandboxer.model.hub import CloudEvent

CONSUMER = {"actor": "agt", "project": "checks"}
RECORD = record_of(fleet_of({"sandboxes": {"web": {"consumer": CONSUMER}}}).sandboxes["web"], "lab-1")
LIFE = (Phase.REQUESTED, Phase.PROVISIONING, Phase.READY, Phase.EXPIRED, Phase.DESTROYING, Phase.DESTROYED)
DRIFT = [FieldChange("services.web.state", "running", "exited (1)"), FieldChange("networks", ["a"], None)]
EVENTS = events_of(RECORD, LIFE, former=None, after=0, at=NOW, reason="create_because_absent")
RUN = RunData(run_id="1" * 32, fleet="acme", command="apply", commit=None, at=NOW)
READY = cloud_event(EVENTS[2])


def every_event() -> list[CloudEvent]:
    """Return one of each kind that is ever sent."""
    failed = events_of(RECORD, (Phase.FAILED,), former=Phase.PROVISIONING, after=2, at=NOW, reason="r")
    journal: list[Event] = [*EVENTS, *failed, *gap_then(RECORD, Phase.PROVISIONING, at=NOW, reason="r")]
    journal += [drift_event(RECORD, fields, at=NOW, reason="repair_because_drift") for fields in (DRIFT, [])]
    ended = RUN.model_copy(update={"seconds": 1.5, "exit_code": 0, "summary": {"created": 1}, "commit": "c" * 40})
    return [*map(cloud_event, journal), run_event(RUN_STARTED, RUN, NOW), run_event(RUN_FINISHED, ended, NOW)]


@pytest.fixture
def state_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., StateHub]]:
    """Makes the adapter for a hub."""
    monkeypatch.setenv("HUB_TOKEN", TOKEN)
    made: list[StateHub] = []

    def make(url: str, **given: Any) -> StateHub:
        made.append(StateHub(Settings.model_validate({"url": url, "token": "env:HUB_TOKEN", **given}), tmp_path))
        return made[-1]

    yield make
    for hub in made:
        hub.close()


def test_every_event_is_as_its_schema_specifies_and_a_library_of_cloudevents_reads_it(
    state_hub: Callable[..., StateHub],
) -> None:
    schema = json.loads((ROOT / "schemas/event.schema.json").read_text())
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    with LyingHub() as lying:
        hub = state_hub(lying.url)
        for event in every_event():
            hub.send(event)
    assert len(lying.requests) == len(every_event()) == 13
    for event, request in zip(every_event(), lying.requests, strict=True):
        validator.validate(request.json)
        read = from_structured_event(HTTPMessage(request.headers, request.body))
        assert (read.get_id(), read.get_source(), read.get_type()) == (event.id, event.source, event.type)
        assert (read.get_subject(), read.get_time()) == (event.subject, event.time)
        assert read.get_data() == request.json["data"]
        assert ("drift" in request.json["data"]) == (event.type == "dev.sandboxer.drift.detected")
    assert len({request.json["id"] for request in lying.requests}) == 10  # each journal here begins again


def test_the_real_hub_takes_every_event(state_hub: Callable[..., StateHub], tmp_path: Path) -> None:
    with RunningHub(tmp_path / "hub.sqlite") as running:
        hub = StateHub(Settings.model_validate({"url": running.url, "token": "file:its-token"}), _token(tmp_path))
        for event in every_event():
            hub.send(event)
            hub.send(event)
        ids = [event.id for event in every_event()]
        assert [event["id"] for event in running.events()] == list(dict.fromkeys(ids))
        hub.close()


def _token(folder: Path) -> Path:
    (folder / "its-token").write_text(REAL_TOKEN)
    return folder


def test_drift_without_end_is_no_more_than_a_hub_takes(tmp_path: Path) -> None:
    """Otherwise it would be refused, and with it all later events of its sandbox."""
    drift = [FieldChange(f"workspace.files.{number}/{'é' * 4000}", "present", None) for number in range(1000)]
    event = drift_event(RECORD, drift, at=NOW, reason="r")
    assert event.drift is not None
    assert 20 < len(event.drift) <= 100
    assert len(event.to_line().encode()) < 80 * 1024
    with RunningHub(tmp_path / "hub.sqlite") as running:
        hub = StateHub(Settings.model_validate({"url": running.url, "token": "file:its-token"}), _token(tmp_path))
        hub.send(cloud_event(event))
        hub.close()
    few = drift_event(RECORD, drift[:1], at=NOW, reason="r")
    assert few.type == "dev.sandboxer.drift.detected"
    assert len(drift_event(RECORD, DRIFT * 80, at=NOW, reason="r").drift or ()) == 100


def test_the_form_of_older_hubs(state_hub: Callable[..., StateHub]) -> None:
    schema = json.loads((ROOT / "schemas/progress.schema.json").read_text())
    with LyingHub(otherwise=says(200, b"ok")) as lying:
        hub = state_hub(lying.url, format="progress", workstream_id="ws-7")
        for event in every_event():
            hub.send(event)
        state_hub(lying.url, format="progress").send(READY)
    assert {(request.method, request.path) for request in lying.requests} == {("POST", "/progress")}
    assert {request.headers["content-type"] for request in lying.requests} == {"application/json"}
    for event, request in zip([*every_event(), READY], lying.requests, strict=True):
        Draft202012Validator(schema).validate(request.json)
        assert request.json["event_type"] == event.type
        assert request.json["detail"] == json.loads(event.data.model_dump_json())
        assert "\n" not in request.json["summary"]
    assert [request.json["workstream_id"] for request in lying.requests] == [*["ws-7"] * 13, None]
    summaries = [request.json["summary"] for request in lying.requests]
    assert summaries[0] == "web on lab-1 is requested"
    assert "web on lab-1 drifted: services.web.state, networks" in summaries
    assert "web on lab-1 is as applied again" in summaries
    assert "apply of acme finished, exit code 0" in summaries


def test_registrations(state_hub: Callable[..., StateHub]) -> None:
    identity = registration()
    with LyingHub(says(200, b"{}"), says(204), says(404), says(404), says(503, Retry_After="1")) as lying:
        hub = state_hub(lying.url)
        hub.register(identity)
        hub.forget("1f2e3d4c", "lab 1&x=", "a" * 32)
        hub.forget("1f2e3d4c", "lab-1", "a" * 32)  # absent is success
        with pytest.raises(HubError) as none:
            hub.register(identity)
        with pytest.raises(HubError) as later:
            hub.forget("1f2e3d4c", "lab-1", "a" * 32)
    assert (none.value.of_this_alone, later.value.retry_after) == (True, 1.0)
    put, delete, *_ = lying.requests
    assert (put.method, put.path, put.json) == ("PUT", "/sandboxes/1f2e3d4c", identity.to_json())
    assert (delete.method, delete.path, delete.body) == ("DELETE", "/sandboxes/1f2e3d4c", b"")
    assert delete.query in ("host=lab+1%26x%3D&uid=" + "a" * 32, "host=lab%201%26x%3D&uid=" + "a" * 32)
