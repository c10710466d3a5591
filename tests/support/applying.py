"""Applying plans to values: what the hosts would show after an apply without failures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.model.lifecycle import Action, Reason
from sandboxer.model.observed import EngineObservation, Reachable, Resource, Tombstone
from sandboxer.reconcile.expiry import expiry_after
from sandboxer.reconcile.fields import digest_of, seal
from tests.support.planning import container_of, copy_with, ownership, record_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.model.desired import DesiredSandbox, Fleet
    from sandboxer.model.observed import HostObservation, ObservedDirectory
    from sandboxer.model.plan import Plan
    from sandboxer.model.record import Record


def after_apply(decided: Plan, fleet: Fleet, observations: Mapping[str, HostObservation]) -> dict[str, HostObservation]:
    """Return the observations after every change of the plan was carried out."""
    after = dict(observations)
    by_id = {sandbox.id: sandbox for sandbox in fleet.sandboxes.values()}
    for change in decided.changes:
        if not change.acts or change.host is None:
            continue
        host, desired = change.host, by_id.get(change.id)
        if change.action is Action.DELETE or desired is None:
            tombstoned = desired if change.reason is Reason.DELETE_EXPIRED else None
            after[host] = _without(after[host], change.id, tombstoned)
            continue
        before = _reachable(after[host]).found.get(change.id)
        lives_on = change.action in (Action.UPDATE, Action.REPAIR)
        after[host] = _with(_without(after[host], change.id), desired, before if lives_on else None)
        if change.from_host is not None:
            after[change.from_host] = _without(after[change.from_host], change.id)
    return after


def _reachable(observation: HostObservation) -> Reachable:
    assert isinstance(observation, Reachable), f"nobody may act on {observation.host}: {observation.error}"
    return observation


def _without(observation: HostObservation, identifier: str, tombstoned: DesiredSandbox | None = None) -> Reachable:
    there = _reachable(observation)
    engines = {
        name: replace(
            engine,
            containers=tuple(c for c in engine.containers if c.labels.get("dev.sandboxer.id") != identifier),
            resources=tuple(r for r in engine.resources if not r.owner or r.owner.id != identifier),
        )
        for name, engine in there.engines.items()
    }
    tombstones = {
        **there.tombstones,
        **({tombstoned.id: Tombstone(tombstoned.id, tombstoned.spec_digest)} if tombstoned else {}),
    }
    found = {known: what for known, what in there.found.items() if known != identifier}
    return replace(there, engines=engines, found=found, tombstones=tombstones)


def _with(observation: Reachable, desired: DesiredSandbox, before: ObservedDirectory | None) -> Reachable:
    engine = observation.engines[observation.engine] if observation.engine else EngineObservation("docker")
    made = record_of(desired, observation.host, engine=engine.engine, age="1s", services={"web": _SERVICE})
    record = _continued(before.record, desired, made) if before and before.record else made
    owner = ownership(record)
    network = Resource("network", "net", record.networks[0] if record.networks else "net", engine.engine, owner)
    record = record.model_copy(update={"networks": (network.name,), "volumes": ()})
    engines = {
        **observation.engines,
        engine.engine: replace(
            engine,
            containers=(*engine.containers, container_of(record, owner, "web", "running")),
            resources=(*engine.resources, network),
        ),
    }
    return replace(observation, engines=engines, found={**observation.found, record.id: copy_with(record)})


def _continued(record: Record, desired: DesiredSandbox, made: Record) -> Record:
    sealed = {**seal(desired, record.salt, record.spec), "runtime": made.engine}
    return record.model_copy(
        update={
            "phase": made.phase,
            "attempt": None,
            "generation": record.generation + 2,
            "engine": made.engine,
            "spec": sealed,
            "spec_digest": desired.spec_digest,
            "desired_digest": digest_of(sealed),
            "expires_at": expiry_after(desired, record),
            "services": made.services,
        }
    )


_SERVICE = {"config_hash": "config-web", "image_id": "a" * 64, "replicas": 1, "one_shot": False, "completed": False}
