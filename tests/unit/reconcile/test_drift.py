"""Live against record: what is drift, what is progress, and how a sandbox fares."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sandboxer.extensions.compose_ssh.labels import service_fields
from sandboxer.extensions.compose_ssh.policy import Service
from sandboxer.extensions.compose_ssh.records import what_runs
from sandboxer.model.lifecycle import Health
from sandboxer.reconcile.drift import drift, health, state_of
from sandboxer.reconcile.observed_sandbox import ObservedSandbox, observed_host
from tests.support.planning import FLEET, ROOT, observations_of

TWO = {"web": {"config_hash": "config-web", "image_id": "a" * 64, "replicas": 2, "one_shot": False, "completed": False}}


def observed_copy(**copy: Any) -> ObservedSandbox:
    observations: Any = observations_of({"found": {"lab-1": {"copies": [{"name": "web", **copy}]}}})
    (observed,) = observed_host(observations["lab-1"], FLEET, ROOT).copies.values()
    return observed


def drift_of(observed: ObservedSandbox) -> list[tuple[Any, ...]]:
    return [(change.path, change.old, change.new) for change in drift(observed)]


@pytest.mark.parametrize(
    ("copy", "expected", "fares"),
    [
        ({}, [], Health.HEALTHY),
        ({"services": {"web": "running healthy"}}, [], Health.HEALTHY),
        ({"services": {"web": "running starting"}}, [], Health.PROGRESSING),
        (
            {"services": {"web": "running unhealthy"}},
            [("services.web.state", "running", "running (unhealthy)")],
            Health.DEGRADED,
        ),
        ({"services": {"web": "exited 0"}}, [("services.web.state", "running", "exited (0)")], Health.DEGRADED),
        ({"services": {"web": "exited 137"}}, [("services.web.state", "running", "exited (137)")], Health.DEGRADED),
        ({"services": {"web": "paused"}}, [("services.web.state", "running", "paused")], Health.DEGRADED),
        ({"services": {"web": "restarting"}}, [("services.web.state", "running", "restarting")], Health.DEGRADED),
        ({"services": {"web": "dead"}}, [("services.web.state", "running", "dead")], Health.DEGRADED),
        ({"services": {"web": "unknown"}}, [("services.web.state", "running", "unknown")], Health.DEGRADED),
        ({"services": {"web": "missing"}}, [("services.web", "present", "missing")], Health.MISSING),
        ({"services": {"web": "repulled"}}, [("services.web.image", "a" * 12, "b" * 12)], Health.DEGRADED),
        ({"services": {"web": "reconfigured"}}, [("services.web.config", "config-web", "changed")], Health.DEGRADED),
        ({"workspace": False}, [("workspace", "present", "missing")], Health.HEALTHY),
        ({"record": "gone"}, [("directory", "present", "missing")], Health.DEGRADED),
        ({"record": "gone", "stopped": True}, [("directory", "present", "missing")], Health.MISSING),
        ({"record": {"phase": "provisioning"}}, [], Health.PROGRESSING),
        ({"record": {"phase": "destroying"}, "services": {"web": "missing"}}, None, Health.PROGRESSING),
        ({"record": {"phase": "failed"}}, [], Health.DEGRADED),
        ({"record": {"services": TWO}}, [("services.web", "2 containers", "1 container")], Health.DEGRADED),
        ({"record": {"services": {}}}, [("services.web", None, "extra")], Health.DEGRADED),
        ({"claims": {"uid": "2" * 32}}, [], Health.UNKNOWN),
        ({"record": {"engine": "podman"}}, [], Health.UNKNOWN),
        # A one-shot may still run, or have ended well before or after it was recorded; one that failed is drift.
        ({"recorded": {"web": "exited 0"}, "services": {"web": "running"}}, [], Health.HEALTHY),
        ({"recorded": {"web": "exited 1"}, "services": {"web": "exited 0"}}, [], Health.HEALTHY),
        ({"recorded": {"web": "exited 0"}, "services": {"web": "exited 0"}}, [], Health.HEALTHY),
        ({"recorded": {"web": "exited 0"}, "services": {"web": "missing"}}, [], Health.HEALTHY),
        (
            {"recorded": {"web": "exited 0"}, "services": {"web": "exited 2"}},
            [("services.web.state", "exited (0)", "exited (2)")],
            Health.DEGRADED,
        ),
    ],
)
def test_drift_and_health(copy: dict[str, Any], expected: list[tuple[Any, ...]] | None, fares: Health) -> None:
    observed = observed_copy(**copy)
    if expected is not None:
        assert drift_of(observed) == expected
    assert health(observed) is fares


def test_a_suspended_sandbox_is_suspended_whatever_it_does() -> None:
    assert health(observed_copy(services={"web": "exited 1"}), suspended=True) is Health.SUSPENDED


def test_what_a_person_runs_by_hand_is_no_drift() -> None:
    observed = observed_copy()
    (web,) = observed.containers
    by_hand = replace(web, id="by-hand", one_off=True)
    assert drift_of(replace(observed, containers=(web, by_hand))) == []


def test_two_containers_of_a_service_are_reported_once() -> None:
    observed = observed_copy(record={"services": TWO}, services={"web": "exited 1"})
    (web,) = observed.containers
    both = replace(observed, containers=(web, replace(web, id="second")))
    assert drift_of(both) == [("services.web.state", "running", "exited (1)")]


def test_composes_own_hash_comes_before_ours() -> None:
    (web,) = observed_copy().containers
    assert web.config_hash == "config-web"
    theirs = {**web.labels, "com.docker.compose.config-hash": "theirs"}
    assert service_fields(theirs, web.name)["config_hash"] == "theirs"
    assert service_fields({}, web.name)["config_hash"] == ""


def test_a_container_without_a_service_goes_by_its_own_name() -> None:
    (web,) = observed_copy().containers
    assert web.service == "web"
    assert service_fields({}, web.name)["service"] == web.name
    assert state_of(replace(web, state="exited", exit_code=3)) == "exited (3)"


def test_what_a_person_runs_by_hand_has_a_label() -> None:
    assert service_fields({"com.docker.compose.oneoff": "True"}, "web")["one_off"]
    assert not service_fields({"com.docker.compose.oneoff": "False"}, "web")["one_off"]


def test_what_a_person_runs_by_hand_is_not_recorded() -> None:
    (web,) = observed_copy().containers
    by_hand = replace(web, id="by-hand", one_off=True)
    recorded = what_runs("sbx-web", [Service("web", one_shot=False, built=False, replicas=1)], [web, by_hand])
    assert recorded["services"]["web"].replicas == 1
