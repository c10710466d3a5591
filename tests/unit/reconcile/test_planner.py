"""The planner's answer as the contract's JSON, and what its fingerprints cover."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.errors.remedy import RemedyCode, remedy_of
from sandboxer.model.observed import RECORD_MISSING, EngineObservation, Reachable
from sandboxer.reconcile.planner import Options, plan
from tests.support.planning import COMMIT, NOW, fleet_of, foreign_container, observations_of, plan_of

if TYPE_CHECKING:
    from sandboxer.model.plan import Plan

CHANGED: dict[str, Any] = {
    "sandboxes": {"web": {"ttl": "8h"}},
    "found": {
        "lab-1": {
            "copies": [
                {"name": "web", "spec": {"ttl": "4h"}, "services": {"web": "exited 1"}, "volumes": ["data"]},
                {"name": "mine", "origin": "api"},
            ],
            "foreign": ["other"],
        }
    },
}
WEB = {"sandboxes": {"web": {"ttl": "8h"}}, "found": {"lab-1": {"copies": ["web"]}}}


def test_a_plan_is_the_contracts_json() -> None:
    decided = plan_of(CHANGED)
    document: dict[str, Any] = dict(decided.to_json())
    fingerprints = [change.pop("fingerprint") for change in [*document["changes"], *document["imperative"]]]
    assert all(re.fullmatch(r"[0-9a-f]{32}", fingerprint) for fingerprint in fingerprints)
    assert document == {
        "format_version": "1.0",
        "fleet": "acme",
        "commit": COMMIT,
        "dirty": False,
        "complete": True,
        "hosts": [{"name": "lab-1", "status": "reachable", "error": None}],
        "changes": [
            {
                "sandbox": "web",
                "id": "86f279ce",
                "host": "lab-1",
                "from_host": None,
                "action": "update",
                "reason": "update_because_changed",
                "sync": "OutOfSync",
                "health": "Degraded",
                "message": "ttl",
                "pending": [{"path": "spec.ttl", "old": "4h", "new": "8h"}],
                "drift": [{"path": "services.web.state", "old": "running", "new": "exited (1)"}],
                "volumes": [],
            }
        ],
        "imperative": [
            {
                "sandbox": "mine",
                "id": "50948e75",
                "host": "lab-1",
                "from_host": None,
                "action": "no-op",
                "reason": "no_op_because_synced",
                "sync": "Synced",
                "health": "Healthy",
                "message": "imperative: git leaves it alone",
                "pending": [],
                "drift": [],
                "volumes": [],
            }
        ],
        "unmanaged": [{"host": "lab-1", "kind": "compose_project", "name": "other"}],
        "warnings": [],
        "summary": {"create": 0, "update": 1, "replace": 0, "repair": 0, "delete": 0, "no-op": 0, "blocked": 0},
        "stats": {"connections": 0, "commands": 0, "seconds": 0.0},
    }


def test_a_create_shows_every_field_that_is_set_and_no_value_of_the_environment() -> None:
    decided = plan_of(
        {
            "sandboxes": {
                "web": {
                    "env": {"LEVEL": "debug"},
                    "secretRefs": [{"name": "DB_PASSWORD", "from": "env:DB_PASSWORD"}],
                    "labels": {"team": "payments"},
                }
            },
            "secrets": {"DB_PASSWORD": "hunter2"},
        }
    )
    (change,) = decided.changes
    fields = {field.path: field.new for field in change.pending}
    assert {field.old for field in change.pending} == {None}
    assert fields["spec.env.LEVEL"] == "(hidden)"
    assert fields["spec.secrets.DB_PASSWORD.from"] == "env:DB_PASSWORD"
    assert fields["spec.labels.team"] == "payments"
    assert fields["spec.ttl"] == "4h"
    assert fields["spec.network.egress"] == "deny"


def test_two_names_with_one_id_are_an_error_for_both_and_for_nobody_else() -> None:
    fleet = fleet_of({"sandboxes": {"web": {}, "shop": {}, "blog": {}}})
    twins = {**fleet.sandboxes, "shop": replace(fleet.sandboxes["shop"], id=fleet.sandboxes["web"].id)}
    decided = plan(replace(fleet, sandboxes=twins), observations_of({}), NOW)
    assert {change.sandbox: change.reason.value for change in decided.changes} == {
        "blog": "create_because_absent",
        "shop": "blocked_because_ambiguous",
        "web": "blocked_because_ambiguous",
    }


def test_a_record_of_a_newer_release_with_more_fields_is_no_difference() -> None:
    fleet, observations = fleet_of(WEB), observations_of(WEB)
    assert _fingerprint(plan(fleet, _with_spec(observations, later="field"), NOW)) == _fingerprint(
        plan(fleet, observations, NOW)
    )


def test_an_observation_and_the_planner_use_the_same_words_for_a_lost_record() -> None:
    from sandboxer.hosts.observation import _found
    from sandboxer.hosts.sections import Sections

    sections = Sections(b"\n@mark record-missing 0000abcd\n\n@mark end\n", "mark")
    assert _found("acme", sections)["0000abcd"].error == RECORD_MISSING


# --- fingerprints

OBSERVATION = observations_of(WEB)["lab-1"]
BASE = plan(fleet_of(WEB), {"lab-1": OBSERVATION}, NOW)


def _fingerprint(decided: Plan) -> str:
    return next(change.fingerprint for change in decided.changes if change.sandbox == "web")


def _with_spec(observations: Any, **more: Any) -> Any:
    return _with_record(observations, lambda record: {"spec": {**record.spec, **more}})


def _with_record(observations: Any, update: Any) -> Any:
    observation = observations["lab-1"]
    found = {
        identifier: replace(there, record=there.record.model_copy(update=update(there.record)))
        for identifier, there in observation.found.items()
    }
    return {"lab-1": replace(observation, found=found)}


def _with_container(observation: Any, **fields: Any) -> Any:
    docker = observation.engines["docker"]
    containers = tuple(replace(container, **fields) for container in docker.containers)
    return replace(observation, engines={"docker": replace(docker, containers=containers)})


@pytest.mark.parametrize(
    "observation",
    [
        _with_container(OBSERVATION, id="another"),
        _with_container(OBSERVATION, state="paused"),
        _with_record({"lab-1": OBSERVATION}, lambda _record: {"generation": 7})["lab-1"],
        _with_record({"lab-1": OBSERVATION}, lambda record: {"expires_at": record.created_at})["lab-1"],
        _with_spec({"lab-1": OBSERVATION}, ttl="9h")["lab-1"],
    ],
    ids=["container", "state", "generation", "decision", "pending"],
)
def test_a_fingerprint_changes_with_what_it_covers(observation: Any) -> None:
    assert _fingerprint(plan(fleet_of(WEB), {"lab-1": observation}, NOW)) != _fingerprint(BASE)


def test_a_fingerprint_changes_with_the_request() -> None:
    replaced = plan(fleet_of(WEB), {"lab-1": OBSERVATION}, NOW, Options(replaced=frozenset({"web"})))
    guarded = plan(fleet_of(WEB), {"lab-1": OBSERVATION}, NOW, Options(replaced=frozenset({"web"}), max_deletes=0))
    assert len({_fingerprint(decided) for decided in (BASE, replaced, guarded)}) == 3


def test_a_fingerprint_of_a_move_covers_what_is_where_it_begins() -> None:
    case = {
        "hosts": {"lab-1": {"drain": True}, "lab-2": {}},
        "sandboxes": {"web": {"ttl": "8h"}},
        "found": WEB["found"],
    }
    fleet, observations = fleet_of(case), observations_of(case)
    paused = {**observations, "lab-1": _with_container(observations["lab-1"], state="paused")}
    assert plan(fleet, observations, NOW).changes[0].from_host == "lab-1"
    assert _fingerprint(plan(fleet, observations, NOW)) != _fingerprint(plan(fleet, paused, NOW))


def test_a_fingerprint_does_not_change_with_what_changes_by_itself() -> None:
    assert isinstance(OBSERVATION, Reachable)
    docker = OBSERVATION.engines["docker"]
    imperative = observations_of({"found": {"lab-1": {"copies": [{"name": "mine", "origin": "api"}]}}})["lab-1"]
    assert isinstance(imperative, Reachable)
    more = EngineObservation(
        "docker",
        None,
        (*imperative.engines["docker"].containers, foreign_container("other"), *docker.containers),
        (*docker.resources, *imperative.engines["docker"].resources),
    )
    observation = replace(
        _with_container(OBSERVATION, health="starting"),
        clock=NOW.replace(minute=1),
        free_bytes=0,
        boot_id="another",
        found={**imperative.found, **OBSERVATION.found},
    )
    assert _fingerprint(plan(fleet_of(WEB), {"lab-1": observation}, NOW)) == _fingerprint(BASE)
    assert _fingerprint(
        plan(fleet_of(WEB), {"lab-1": replace(observation, engines={"docker": more})}, NOW)
    ) == _fingerprint(BASE)
    assert _fingerprint(plan(fleet_of(WEB), {"lab-1": OBSERVATION}, NOW.replace(minute=5))) == _fingerprint(BASE)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("cannot connect to the daemon", RemedyCode.START_ENGINE),
        ("permission denied while trying to connect to the Docker daemon socket", RemedyCode.ALLOW_ENGINE),
        ("Error: open /run/user/1001/libpod: Permission denied", RemedyCode.ALLOW_ENGINE),
    ],
)
def test_an_engine_that_the_login_may_not_use_is_not_one_that_is_down(error: str, code: RemedyCode) -> None:
    decided = plan_of(
        {"sandboxes": {"web": {}, "new": {}}, "found": {"lab-1": {"copies": ["web"], "engine_error": error}}}
    )
    assert {change.reason for change in decided.changes} == {"blocked_because_engine"}
    assert {change.remedy for change in decided.changes} == {remedy_of(code, host="lab-1")}
