"""Events come in once, are kept as they came, and are read back in the order of arrival."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

from tests.support.problems import assert_problem
from tests.unit.hub.hubs import CLOUDEVENT, SANDBOX, RunningHub, event, run_event


def test_a_new_event_is_accepted_and_a_repetition_is_reported_as_one(hub: RunningHub) -> None:
    first, again = hub.post(event(1)), hub.post(event(1))
    assert (first.status_code, first.json()) == (201, {"id": event(1)["id"], "status": "accepted"})
    assert (again.status_code, again.json()) == (200, {"id": event(1)["id"], "status": "duplicate"})
    assert hub.events() == [event(1)]


def test_the_same_id_of_another_source_is_another_event(hub: RunningHub) -> None:
    hub.take(event(1), event(1, host="lab-2"))
    assert [one["source"] for one in hub.events()] == ["/fleets/acme/hosts/lab-1", "/fleets/acme/hosts/lab-2"]


def test_of_many_that_send_one_event_at_once_exactly_one_brings_it(hub: RunningHub) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(1, 6):
            answers = list(pool.map(hub.post, [event(number)] * 8))
            assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert [one["data"]["number"] for one in hub.events()] == [1, 2, 3, 4, 5]


def test_what_the_library_of_cloudevents_writes_is_taken_and_what_is_given_it_reads(hub: RunningHub) -> None:
    given = event(1)
    data = given.pop("data")
    given["time"] = datetime.fromisoformat(given["time"])
    message = to_structured_event(CloudEvent(attributes=given, data=data))
    answer = hub.client.post("/events", content=message.body, headers=dict(message.headers))
    assert answer.status_code == 201, answer.text
    (kept,) = hub.events()
    read = from_structured_event(HTTPMessage({"content-type": CLOUDEVENT}, json.dumps(kept).encode()))
    assert read.get_id() == given["id"]
    assert read.get_data() == data


def test_plain_json_is_taken_too_with_a_charset(hub: RunningHub) -> None:
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert hub.client.post("/events", content=json.dumps(event(1)), headers=headers).status_code == 201


@pytest.mark.parametrize("kind", ["text/plain", "application/cloudevents-batch+json", ""])
def test_another_content_type_is_refused(refusing_hub: RunningHub, kind: str) -> None:
    answer = refusing_hub.client.post("/events", content=json.dumps(event(1)), headers={"Content-Type": kind})
    assert_problem(answer, 415, "Content-Type")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' + b"9" * 5000 + b"}",
        "﻿{}".encode(),
    ],
)
def test_what_is_no_json_object_is_refused(refusing_hub: RunningHub, body: bytes) -> None:
    assert_problem(refusing_hub.client.post("/events", content=body, headers={"Content-Type": CLOUDEVENT}), 400)
    assert refusing_hub.events() == []


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("specversion", {"specversion": "0.3"}),
    ("id", {"id": "1"}),
    ("id", {"id": "A" * 64}),
    ("id", {"id": "a" * 64 + "\n"}),
    ("source", {"source": "/elsewhere"}),
    ("source", {"source": "/fleets/acme/hosts/"}),
    ("type", {"type": "com.example.thing"}),
    ("type", {"type": "dev.sandboxer."}),
    ("time", {"time": "yesterday"}),
    ("time", {"time": "2026-11-24T12:00:00+01:00"}),
    ("time", {"time": "2026-13-24T12:00:00Z"}),
    ("time", {"time": 5}),
    ("datacontenttype", {"datacontenttype": "text/plain"}),
    ("data", {"data": "text"}),
    ("data_base64", {"data_base64": "AAAA"}),
    ("data.host", {"source": "/fleets/acme/hosts/lab-2"}),
    ("data.host", {"source": "/fleets/acme"}),
    ("data.fleet", {"source": "/fleets/other/hosts/lab-1"}),
    ("data.sandbox_id", {"subject": "00000000"}),
    ("data.phase", {"type": "dev.sandboxer.sandbox.failed"}),
]
WRONG_DATA: list[tuple[str, dict[str, Any]]] = [
    ("data.number", {"number": 0}),
    ("data.number", {"number": "1"}),
    ("data.number", {"number": 2**63}),
    ("data.number", {"number": True}),
    ("data.uid", {"uid": ""}),
    ("data.sandbox_id", {"sandbox_id": "web"}),
    ("data.name", {"name": None}),
    ("data.phase", {"phase": "well"}),
    ("data.from_phase", {"from_phase": "well"}),
    ("data.actor_type", {"actor_type": "someone"}),
    ("data.at", {"at": "2026-11-24"}),
    ("data.expires_at", {"expires_at": "soon"}),
    ("data.reason", {"reason": 7}),
]


@pytest.mark.parametrize(("field", "change"), WRONG)
def test_a_wrong_attribute_is_named(refusing_hub: RunningHub, field: str, change: dict[str, Any]) -> None:
    assert_problem(refusing_hub.post({**event(1), **change}), 400, field)
    assert refusing_hub.events() == []


@pytest.mark.parametrize(("field", "change"), WRONG_DATA)
def test_a_wrong_field_of_the_data_is_named(refusing_hub: RunningHub, field: str, change: dict[str, Any]) -> None:
    given = event(1)
    given["data"] |= change
    assert_problem(refusing_hub.post(given), 400, field)


@pytest.mark.parametrize("field", ["specversion", "id", "source", "type", "time", "data"])
def test_a_missing_attribute_is_named(refusing_hub: RunningHub, field: str) -> None:
    given = event(1)
    del given[field]
    assert_problem(refusing_hub.post(given), 400, field)


def test_a_detection_without_drift_is_refused(refusing_hub: RunningHub) -> None:
    assert_problem(refusing_hub.post(event(1, "drift.detected", drift=[])), 400, "data.drift")
    assert_problem(refusing_hub.post(event(1, "drift.detected", drift=[{"old": 1}])), 400, "data.drift.0.path")


def test_a_body_that_is_too_large_is_refused_also_where_its_length_is_not_announced(hub: RunningHub) -> None:
    large = json.dumps({**event(1), "data": {**event(1)["data"], "more": "x" * 256 * 1024}}).encode()
    assert_problem(hub.client.post("/events", content=large, headers={"Content-Type": CLOUDEVENT}), 413)
    parts = iter([large[:1000], large[1000:]])
    assert_problem(hub.client.post("/events", content=parts, headers={"Content-Type": CLOUDEVENT}), 413)
    assert hub.post(event(1)).status_code == 201


def test_a_body_just_small_enough_is_taken(hub: RunningHub) -> None:
    given = event(1, more="")
    given["data"]["more"] = "x" * (256 * 1024 - len(json.dumps(given).encode()))
    assert len(json.dumps(given).encode()) == 256 * 1024
    assert hub.post(given).status_code == 201


def test_types_that_are_not_known_are_kept_and_change_nothing(hub: RunningHub) -> None:
    strange = {**event(1), "type": "dev.sandboxer.sandbox.paused", "data": {"any": ["thing"]}, "extension1": "x"}
    hub.take(strange)
    assert hub.events() == [strange]
    assert hub.sandboxes() == []


def test_runs_are_kept(hub: RunningHub) -> None:
    hub.take(run_event("started"), run_event("finished"))
    assert [one["type"] for one in hub.events(type="dev.sandboxer.run.*")] == [
        "dev.sandboxer.run.started",
        "dev.sandboxer.run.finished",
    ]
    assert_problem(hub.post(run_event(run_id="run-2", exit_code="no")), 400, "data.exit_code")
    assert_problem(hub.post({**run_event(run_id="run-3"), "source": "/fleets/acme/hosts/lab-1"}), 400, "source")


def test_events_are_filtered_by_subject(hub: RunningHub) -> None:
    other = {"fleet": "other", "host": "lab-2", "sandbox_id": "0" * 8, "uid": "b" * 32}
    hub.take(event(1, "sandbox.requested"), event(2), event(1, "sandbox.failed", **other), run_event())
    assert len(hub.events()) == 4
    assert len(hub.events(fleet="acme")) == 3
    assert len(hub.events(host="lab-2")) == 1
    assert len(hub.events(sandbox=SANDBOX)) == 2
    assert len(hub.events(type="dev.sandboxer.sandbox.*")) == 3
    assert len(hub.events(type="dev.sandboxer.sandbox.ready", fleet="acme")) == 1
    assert len(hub.events(type="dev.sandboxer.sandbox")) == 0
    assert len(hub.events(type="*")) == 4
    assert hub.events(fleet="%") == []


def test_pages_follow_each_other_without_loss_or_repetition(hub: RunningHub) -> None:
    hub.take(*(event(number) for number in range(1, 8)))
    seen, after, pages = [], None, 0
    while True:
        query: dict[str, Any] = {"limit": 3} | ({"after": after} if after else {})
        page = hub.client.get("/events", params=query).json()
        seen += [one["data"]["number"] for one in page["events"]]
        pages += 1
        after = page["next"]
        if after is None:
            break
        if pages == 1:
            hub.take(event(8))  # what arrives meanwhile comes at the end
    assert (seen, pages) == ([1, 2, 3, 4, 5, 6, 7, 8], 3)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"after": "1"}, "after"),
        ({"after": "00000000-1"}, "after"),
        ({"fleets": "acme"}, "fleets"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(refusing_hub: RunningHub, query: dict[str, Any], field: str) -> None:
    assert_problem(refusing_hub.client.get("/events", params=query), 400, field)


def test_addresses_and_methods_that_are_none_are_problems_too(refusing_hub: RunningHub) -> None:
    assert_problem(refusing_hub.client.get("/nowhere"), 404)
    answer = refusing_hub.client.delete("/events")
    assert_problem(answer, 405)
    assert "Allow" in answer.headers


def test_the_description_of_the_api_has_every_address(refusing_hub: RunningHub) -> None:
    paths = refusing_hub.client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/events", "/sandboxes", "/sandboxes/{identifier}", "/stream", "/metrics", "/healthz"}


def test_what_is_in_an_event_comes_back_as_it_was(hub: RunningHub) -> None:
    given = event(1, reason="ünï — \u2028 </script> 'x' \"y\" 𝄞 \x00", more={"deep": [1, None, 1.5, {"a": False}]})
    hub.take(given)
    assert hub.events() == [given]
