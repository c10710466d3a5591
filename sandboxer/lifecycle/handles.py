"""The handle of an observed sandbox: its description for people and programs, and how to reach it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from sandboxer.model.handle import AppliedInput, Consumer, Endpoint, Handle, ServiceStatus
from sandboxer.model.lifecycle import Phase
from sandboxer.model.text import redact_urls
from sandboxer.reconcile.expiry import described_expiry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.observed import Container
    from sandboxer.model.plan import Change
    from sandboxer.model.record import Record
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox


def handle(
    change: Change, observed: ObservedSandbox, desired: DesiredSandbox | None, host_clock: datetime, now: datetime
) -> Handle:
    """Return the handle of one sandbox, from the plan, its record and its live containers.

    ``seconds_left`` counts to the expiry by both clocks. Without a record, values that only a record has are None. A
    sandbox that still exists after its expiry is in phase ``expired``.
    """
    record = observed.record
    expiry = described_expiry(record, desired, host_clock, now) if record else None
    over = expiry is not None and not expiry.left
    return Handle(
        id=change.id,
        name=change.sandbox,
        phase=_phase(record, over=over),
        sync=change.sync,
        health=change.health,
        profile=record.profile if record else None,
        extension=record.extension if record else None,
        host=observed.host,
        created_at=record.created_at if record else None,
        expires_at=record.expires_at if record else None,
        expiry_source=expiry.source if expiry else None,
        ttl=expiry.ttl if expiry else None,
        seconds_left=math.ceil(expiry.left.total_seconds()) if expiry else None,
        consumer=_consumer(record),
        reachability=tuple(endpoints(observed, record)) if record else (),
        services=tuple(services(observed, record)),
        inputs=_inputs(record),
        commit=record.fleet_commit if record else None,
        labels=dict(record.labels) if record else {},
        origin=change.origin,
        requested_by=record.requested.by if record and record.requested else None,
        error=record.error if record else None,
    )


def _phase(record: Record | None, *, over: bool) -> Phase | None:
    if record is None:
        return None
    return Phase.EXPIRED if over and record.phase in (Phase.READY, Phase.ACTIVE) else record.phase


def _consumer(record: Record | None) -> Consumer | None:
    given = record.consumer if record else None
    return Consumer(actor=given.actor, project=given.project) if given else None


def _inputs(record: Record | None) -> AppliedInput | None:
    given = record.inputs if record else None
    return AppliedInput(repo=redact_urls(given.repo), ref=given.ref, commit=given.commit) if given else None


def services(observed: ObservedSandbox, record: Record | None) -> Iterator[ServiceStatus]:
    """Yield each service that is recorded or has a container, by name. What a person runs beside them is none."""
    by_name: dict[str, list[Container]] = {name: [] for name in (record.services if record else ())}
    for container in observed.containers:
        if not container.one_off:
            by_name.setdefault(container.service, []).append(container)
    for name, containers in sorted(by_name.items()):
        shown = min(containers, key=_wellness, default=None)
        counts = [container.restarts for container in containers if container.restarts is not None]
        yield ServiceStatus(
            name=name,
            state=shown.state if shown else "missing",
            health=shown.health if shown else None,
            image=shown.image or None if shown else None,
            restarts=sum(counts) if counts else None,
            exit_code=shown.exit_code if shown and shown.state in ("exited", "dead") else None,
        )


def _wellness(container: Container) -> tuple[int, int]:
    """Return how far a container is from failed, for a choice among those of one service."""
    ended_well = (container.state, container.exit_code) == ("exited", 0)
    state = 2 if container.state == "running" else 1 if ended_well else 0
    return state, ("unhealthy", "starting", None, "healthy").index(container.health)


def endpoints(observed: ObservedSandbox, record: Record) -> Iterator[Endpoint]:
    """Yield where each port of the reachability is, by the live containers.

    It is at a published loopback port, or else at an address that only the host reaches.
    """
    for port in record.spec.get("reachability", {}).get("ports", ()):
        for container in observed.containers:
            if container.service == port["service"] and container.state == "running":
                endpoint = _published(container, port) or _tunnel(container, port)
                if endpoint is not None:
                    yield endpoint
                    break


def _published(container: Container, port: Mapping[str, Any]) -> Endpoint | None:
    for one in container.ports:
        if one.container_port == port["port"] and one.protocol == "tcp":
            return _endpoint(port, "published", one.host_address, one.host_port)
    return None


def _tunnel(container: Container, port: Mapping[str, Any]) -> Endpoint | None:
    address = next((container.addresses[network] for network in sorted(container.addresses)), None)
    return _endpoint(port, "tunnel", address, None) if address else None


def _endpoint(
    port: Mapping[str, Any], via: Literal["published", "tunnel"], address: str, host_port: int | None
) -> Endpoint:
    name = port["name"]
    scheme = name if name in ("http", "https") else "http" if "http" in name else "tcp"
    return Endpoint(
        name=name,
        service=port["service"],
        port=port["port"],
        address=address,
        host_port=host_port,
        url=f"{scheme}://{address}:{host_port or port['port']}",
        via=via,
    )
