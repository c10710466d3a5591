"""The table of fields, sealing, digests and differences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sandboxer.model.desired import SecretValue
from sandboxer.model.hidden import Hidden
from sandboxer.reconcile.fields import EFFECTS, Effect, differences, digest_of, effect_of, seal, unsealed
from tests.support.planning import fleet_of

SALT, OTHER_SALT = "0" * 32, "1" * 32
FULL: dict[str, Any] = {
    "ttl": "8h",
    "env": {"LEVEL": "debug"},
    "labels": {"team": "payments"},
    "consumer": {"actor": "agt", "project": "checks"},
    "secretRefs": [{"name": "DB_PASSWORD", "from": "env:DB_PASSWORD"}],
}
PORT = {"name": "http", "service": "web", "port": 80}


def desired(profile: dict[str, Any] | None = None, **spec: Any) -> Any:
    case = {"sandboxes": {"web": spec}, "profile": profile or {}, "secrets": {"DB_PASSWORD": "hunter2"}}
    return fleet_of(case).sandboxes["web"]


def test_every_field_has_an_effect_and_no_other_has_one() -> None:
    end = "2026-12-01T00:00:00Z"
    in_use = desired({"ttl": {"clock": "activity"}})
    keys = {key for each in (desired(**FULL), desired(expiresAt=end), in_use) for key in seal(each, SALT)}
    # The engine is no word of a sandbox's manifest: the record adds it.
    assert keys | {"runtime"} == set(EFFECTS)


@pytest.mark.parametrize(
    ("effect", "keys"),
    [
        (
            Effect.RECORD,
            "ttl ttlClock expiresAt labels consumer syncPolicy suspend profile inputs scope readiness costClass",
        ),
        (Effect.IN_PLACE, "network workspace compose resources setup reachability env secrets"),
        (Effect.REPLACE, "extension isolation runtime"),
    ],
)
def test_the_table(effect: Effect, keys: str) -> None:
    assert {key for key, given in EFFECTS.items() if given is effect} == set(keys.split())


def test_a_path_has_the_effect_of_its_first_key() -> None:
    assert effect_of("spec.labels.app.kubernetes.io/name") is Effect.RECORD
    assert effect_of("spec.network.egress") is Effect.IN_PLACE
    assert effect_of("spec.runtime") is Effect.REPLACE
    assert max(Effect.RECORD, Effect.REPLACE, Effect.IN_PLACE) is Effect.REPLACE


@pytest.mark.parametrize(
    ("changed", "profile"),
    [
        ({"ttl": "9h"}, {}),
        ({"labels": {"team": "other"}}, {}),
        ({"consumer": {"actor": "adm", "project": "checks"}}, {}),
        ({"syncPolicy": {"prune": False}}, {}),
        ({"suspend": True}, {}),
        ({}, {"readiness": {"timeout": "5m"}}),
        ({}, {"costClass": "cheap"}),
        ({}, {"placement": {"prefer": [{}]}}),
    ],
)
def test_what_the_record_alone_holds_is_in_no_digest(changed: dict[str, Any], profile: dict[str, Any]) -> None:
    assert digest_of(seal(desired(profile, **{**FULL, **changed}), SALT)) == digest_of(seal(desired(**FULL), SALT))


@pytest.mark.parametrize(
    ("changed", "profile"),
    [
        ({"env": {"LEVEL": "info"}}, {}),
        ({"env": {}}, {}),
        ({"secretRefs": []}, {}),
        ({"inputs": {"ref": "v2"}}, {}),
        ({}, {"network": {"egress": "allow"}}),
        ({}, {"resources": {"pids": 100}}),
        ({}, {"compose": {"files": ["e2e/compose.yaml"]}}),
        ({}, {"reachability": {"ports": [PORT]}}),
    ],
)
def test_what_reaches_the_containers_is_in_the_digest(changed: dict[str, Any], profile: dict[str, Any]) -> None:
    assert digest_of(seal(desired(profile, **{**FULL, **changed}), SALT)) != digest_of(seal(desired(**FULL), SALT))


def test_a_sealed_spec_reveals_nothing_of_its_values() -> None:
    sealed = seal(desired(**FULL), SALT)
    assert "debug" not in str(sealed)
    assert "hunter2" not in str(sealed)
    assert sealed["env"]["LEVEL"] != seal(desired(**FULL), OTHER_SALT)["env"]["LEVEL"]
    assert "debug" not in str(unsealed(desired(**FULL)))
    assert unsealed(desired(**FULL))["env"] == {"LEVEL": "(hidden)"}


def _secret(value: str | None, *, present: bool = True) -> Any:
    secret = SecretValue("DB_PASSWORD", "env:DB_PASSWORD", present, Hidden(value) if value is not None else None)
    return replace(desired(**FULL), secrets=(secret,))


def _version(value: str | None, former: dict[str, Any] | None) -> tuple[int, str | None]:
    sealed = seal(_secret(value), SALT, former)["secrets"]["DB_PASSWORD"]
    return sealed["version"], sealed["hmac"]


def test_a_secrets_version_goes_up_where_its_value_is_another() -> None:
    first = seal(_secret("one"), SALT)
    assert first["secrets"]["DB_PASSWORD"]["version"] == 1
    assert _version("one", first) == (1, first["secrets"]["DB_PASSWORD"]["hmac"])
    second = seal(_secret("two"), SALT, first)
    assert second["secrets"]["DB_PASSWORD"]["version"] == 2
    assert _version("one", second)[0] == 3


def test_a_value_that_this_run_does_not_have_is_no_change() -> None:
    first = seal(_secret("one"), SALT)
    assert seal(_secret(None), SALT, first) == first
    assert seal(_secret(None, present=False), SALT, first) == first
    assert _version(None, None) == (1, None)
    assert _version("one", seal(_secret(None), SALT))[0] == 2


@pytest.mark.parametrize("value", ["", "\udcff", "\x00", "\U0001f600"])
def test_any_value_is_a_value(value: str) -> None:
    assert _version(value, None)[1] is not None


def test_differences_are_leaves_in_order() -> None:
    old = {"b": {"x": 1, "y": 2}, "a": "same", "list": [1], "gone": {"deep": {"er": 1}}, "empty": {}}
    new = {"b": {"x": 1, "y": 3}, "a": "same", "list": [1, 2], "fresh": {}, "empty": {}}
    assert [(change.path, change.old, change.new) for change in differences(old, new)] == [
        ("spec.b.y", 2, 3),
        ("spec.gone.deep.er", 1, None),
        ("spec.list", [1], [1, 2]),
    ]
    assert differences(new, new) == ()


def test_differences_of_another_shape_are_reported_whole() -> None:
    (change,) = differences({"setup": "text"}, {"setup": {"a": 1}})
    assert (change.path, change.old, change.new) == ("spec.setup", "text", {"a": 1})


def test_digests_show_in_short() -> None:
    (change,) = differences({"k": "sha256:" + "a" * 64}, {"k": "hmac:" + "b" * 64})
    assert (change.old, change.new) == ("sha256:aaaaaaaaaaaa", "hmac:bbbbbbbbbbbb")
