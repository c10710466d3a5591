"""Records come back from hosts as bytes of anybody's: what does not fit is refused, and nothing else happens."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.model.record import MAX_BYTES, Record, RecordRefused, parse_record
from sandboxer.reconcile.planner import plan
from tests.support.planning import FLEET, NOW, fleet_of, observations_of, record_of

CASE: dict[str, Any] = {
    "sandboxes": {
        "web": {
            "env": {"LEVEL": "debug"},
            "labels": {"team": "x"},
            "consumer": {"actor": "agt", "project": "checks"},
            "secretRefs": [{"name": "DB_PASSWORD", "from": "env:DB_PASSWORD"}],
        }
    },
    "profile": {"reachability": {"ports": [{"name": "http", "service": "web", "port": 80}]}},
    "secrets": {"DB_PASSWORD": "hunter2"},
    "found": {"lab-1": {"copies": ["web"]}},
}
WEB = fleet_of(CASE).sandboxes["web"]
SERVICE = {"config_hash": "c", "image_id": "i", "replicas": 1, "one_shot": False, "completed": False}
GOOD = record_of(WEB, "lab-1", services={"web": SERVICE})
DATA = json.loads(GOOD.to_bytes())
ERROR: dict[str, Any] = {
    "code": "service-exited",
    "message": 'service "web" exited with code 3',
    "hint": "read its log with `sandboxer logs`",
    "at": "2026-11-24T11:00:00Z",
    "step": "start",
    "service": "web",
}


def parse(data: bytes) -> Record:
    return parse_record(data, fleet=FLEET, identifier=WEB.id)


def with_field(path: str, value: Any) -> bytes:
    data = json.loads(GOOD.to_bytes())
    *parents, last = path.split(".")
    part = data
    for key in parents:
        part = part[key]
    part[last] = value
    return json.dumps(data).encode()


def test_a_record_comes_back_as_it_was_written() -> None:
    assert parse(GOOD.to_bytes()) == GOOD
    assert parse(GOOD.to_bytes()).to_bytes() == GOOD.to_bytes()


def test_what_a_newer_release_added_lives_through_a_rewrite() -> None:
    record = parse(with_field("later", {"deep": [1, 2.5, None]}))
    again = record.model_copy(update={"generation": 9})
    assert json.loads(again.to_bytes())["later"] == {"deep": [1, 2.5, None]}


def test_a_record_shows_no_value() -> None:
    assert b"debug" not in GOOD.to_bytes()
    assert b"hunter2" not in GOOD.to_bytes()


def test_a_record_holds_why_its_last_operation_failed() -> None:
    assert GOOD.error is None
    record = parse(with_field("error", ERROR))
    assert record.error is not None
    assert record.error.model_dump(mode="json") == ERROR
    assert parse(record.to_bytes()) == record
    assert parse(with_field("error", {**ERROR, "service": None, "later": 1})).error is not None


def test_a_record_cut_short_anywhere_is_refused() -> None:
    whole = GOOD.to_bytes().rstrip(b"\n")
    for length in range(len(whole)):
        with pytest.raises(RecordRefused):
            parse(whole[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"{}",
        b"[]",
        b"null",
        b"NaN",
        b'"text"',
        b"\xff\xfe{}",
        GOOD.to_bytes().decode().encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b" " * (MAX_BYTES + 1),
        with_field("spec", {"deep": json.loads("[" * 150 + "]" * 150)}).replace(b"[[", b"[" * 2000),
        GOOD.to_bytes().replace(b'"generation":2', b'"generation":' + b"9" * 10_000),
        GOOD.to_bytes().replace(b'"last_event":0', b'"last_event":0,"later":' + b"9" * 10_000),
        GOOD.to_bytes().replace(b'"cpus":2.0', b'"cpus":NaN'),
        GOOD.to_bytes().replace(b'"cpus":2.0', b'"cpus":-Infinity'),
        GOOD.to_bytes().replace(b'"cpus":2.0', b'"cpus":1e999'),
        GOOD.to_bytes().replace(b'"cpus":2.0', rb'"cpus":"\ud800"'),
        with_field("id", "00000000"),
        with_field("fleet", "other"),
        with_field("format_version", "2.0"),
        with_field("phase", "destroyed"),
        with_field("phase", "READY"),
        with_field("origin", "hand"),
        with_field("name", "../../etc"),
        with_field("name", "web\n"),
        with_field("uid", "z" * 32),
        with_field("uid", None),
        with_field("generation", 0),
        with_field("generation", "2"),
        with_field("generation", 2.0),
        with_field("generation", True),
        with_field("engine", "docker; reboot"),
        with_field("labels", {"a": 1}),
        with_field("labels", []),
        with_field("sync_policy", {"prune": "yes"}),
        with_field("attempt", {"digest": "sha256:0"}),
        with_field("created_at", "2026-11-24T11:00:00"),
        with_field("created_at", "2026-11-24T11:00:00+01:00"),
        with_field("created_at", 1_700_000_000),
        with_field("created_at", "9999-12-31T23:59:59Z"),
        with_field("expires_at", "0001-01-01T00:00:00Z"),
        with_field("salt", "not hex"),
        with_field("spec", []),
        with_field("spec.env", {"LEVEL": "debug"}),
        with_field("spec.env", ["LEVEL"]),
        with_field("spec.secrets", []),
        with_field("spec.secrets", {"DB_PASSWORD": "hunter2"}),
        with_field("spec.secrets.DB_PASSWORD.version", "one"),
        with_field("spec.reachability", {"ports": [{"name": "http"}]}),
        with_field("spec.reachability", []),
        with_field("services", {"web": {"replicas": -1}}),
        with_field("networks", [1]),
        with_field("anonymous_volumes", ["theirs"]),
        with_field("anonymous_volumes", ["a" * 64, "--all"]),
        with_field("error", "failed"),
        with_field("error", {**ERROR, "code": "Build Failed"}),
        with_field("error", {**ERROR, "message": "two\nlines"}),
        with_field("error", {**ERROR, "message": "x" * 1001}),
        with_field("error", {**ERROR, "message": None}),
        with_field("error", {**ERROR, "hint": "\x1b[2J"}),
        with_field("error", {**ERROR, "at": "2026-11-24T11:00:00"}),
        with_field("error", {**ERROR, "step": "x" * 41}),
        with_field("error", {**ERROR, "service": "x" * 256}),
    ],
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(RecordRefused) as refused:
        parse(data)
    assert 0 < len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.just("9999-12-31T23:59:59Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def paths(value: Any, path: str = "") -> list[str]:
    below = (
        [found for key, item in value.items() for found in paths(item, f"{path}.{key}")]
        if isinstance(value, dict)
        else []
    )
    return [path.removeprefix("."), *below] if path else below


@given(st.sampled_from(paths(DATA)), json_values)
@settings(max_examples=200, deadline=None)
def test_whatever_stands_in_a_field_it_is_refused_or_the_planner_copes(path: str, value: Any) -> None:
    try:
        record = parse(with_field(path, value))
    except RecordRefused:
        return
    fleet, observations = fleet_of(CASE), observations_of(CASE)
    observation: Any = observations["lab-1"]
    found = {record.id: type(observation.found[record.id])(record.id, record)}
    decided = plan(fleet, {"lab-1": _replaced(observation, found)}, NOW)
    json.dumps(decided.to_json(), allow_nan=False).encode()
    assert "hunter2" not in json.dumps(decided.to_json())


def _replaced(observation: Any, found: Any) -> Any:
    from dataclasses import replace

    return replace(observation, found=found)


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(max_examples=200, deadline=None)
def test_bytes_of_anybodys_are_refused(data: bytes) -> None:
    with pytest.raises(RecordRefused):
        parse(data)
