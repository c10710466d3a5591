"""A container that nobody can read makes its own sandbox Unknown, and may still be removed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandboxer.model.lifecycle import Action, Health, Reason, Sync
from sandboxer.model.observed import EngineObservation, HostObservation, Reachable
from sandboxer.reconcile.observed_sandbox import observed_host
from sandboxer.reconcile.options import Options
from sandboxer.reconcile.planner import plan
from tests.support.planning import NOW, fleet_of, foreign_container, observations_of

WHY = "cannot parse the docker description of container 0123"
SYNCED: dict[str, Any] = {"sandboxes": {"web": {}, "db": {}}, "found": {"lab-1": {"copies": ["web", "db"]}}}
GONE = {**SYNCED, "sandboxes": {"db": {}}}


def _unreadable(observation: HostObservation, name: str) -> HostObservation:
    assert isinstance(observation, Reachable)
    engine = observation.engines["docker"]
    containers = tuple(
        replace(c, unreadable=WHY, state="unknown") if c.labels.get("dev.sandboxer.name") == name else c
        for c in engine.containers
    )
    return replace(observation, engines={"docker": replace(engine, containers=containers)})


def test_it_alone_is_unknown() -> None:
    observations = {name: _unreadable(observation, "web") for name, observation in observations_of(SYNCED).items()}
    decided = plan(fleet_of(SYNCED), observations, NOW, Options())
    found = {change.sandbox: change for change in decided.changes}
    assert found["db"].action is Action.NO_OP
    web = found["web"]
    assert (web.action, web.reason, web.message) == (Action.BLOCKED, Reason.BLOCKED_ENGINE, WHY)
    assert (web.sync, web.health) == (Sync.UNKNOWN, Health.UNKNOWN)
    assert [host.status for host in decided.hosts if host.name == "lab-1"] == ["reachable"]


def test_it_is_removed_where_git_has_no_more_of_it() -> None:
    observations = {name: _unreadable(observation, "web") for name, observation in observations_of(GONE).items()}
    decided = plan(fleet_of(GONE), observations, NOW, Options())
    assert {c.sandbox: c.reason for c in decided.changes}["web"] is Reason.DELETE_ORPHANED


def test_the_container_of_a_cleaner_is_nobodys() -> None:
    (observation, *_) = observations_of(SYNCED).values()
    assert isinstance(observation, Reachable)
    cleaner = replace(foreign_container("x"), labels={"dev.sandboxer.cleaner": "0a0b0c0d"})
    seen = replace(
        observation, engines={"docker": EngineObservation("docker", None, (cleaner, foreign_container("y")))}
    )
    assert [c.name for c in observed_host(seen, "acme", "/tmp/sandboxer").others] == ["y"]
