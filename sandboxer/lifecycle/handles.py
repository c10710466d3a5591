"""Handles: the description of an existing sandbox for people and programs, and how to reach it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sandboxer.model.lifecycle import Phase
from sandboxer.reconcile.expiry import expiry_told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.observed import Container
    from sandboxer.model.plan import Change
    from sandboxer.model.record import Record
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox


def handle(
    change: Change, observed: ObservedSandbox, desired: DesiredSandbox | None, host_clock: datetime, now: datetime
) -> JsonObject:
    """Return the contract's handle of one sandbox, from the plan, its record and its live containers.

    Times are RFC 3339 in UTC; ``seconds_left`` counts to the expiry by both clocks. Without a record, values that only
    a record has are None. A sandbox that still exists after its expiry is in phase ``expired``.
    """
    record = observed.record
    expiry = expiry_told(record, desired, host_clock, now) if record else None
    over = expiry is not None and not expiry.left
    return {
        "id": change.id,
        "name": change.sandbox,
        "phase": _phase(record, over=over),
        "sync": change.sync.value,
        "health": change.health.value,
        "profile": record.profile if record else None,
        "extension": record.extension if record else None,
        "host": observed.host,
        "created_at": _time(record, "created_at"),
        "expires_at": _time(record, "expires_at"),
        "expiry_source": expiry.source if expiry else None,
        "ttl": expiry.ttl if expiry else None,
        "seconds_left": math.ceil(expiry.left.total_seconds()) if expiry else None,
        "consumer": _consumer(record),
        "reachability": list(reachability(observed, record)) if record else [],
        "labels": dict(record.labels) if record else {},
        "origin": change.origin,
        "requested_by": record.requested.by if record and record.requested else None,
    }


def _phase(record: Record | None, *, over: bool) -> str | None:
    if record is None:
        return None
    return Phase.EXPIRED if over and record.phase in (Phase.READY, Phase.ACTIVE) else record.phase.value


def _time(record: Record | None, name: str) -> str | None:
    return getattr(record, name).strftime("%Y-%m-%dT%H:%M:%SZ") if record else None


def _consumer(record: Record | None) -> JsonObject | None:
    return {"actor": record.consumer.actor, "project": record.consumer.project} if record and record.consumer else None


def reachability(observed: ObservedSandbox, record: Record) -> Iterator[JsonObject]:
    """Yield how each port is reached, by the live containers.

    It is a published loopback port, or else an address that only the host reaches.
    """
    for port in record.spec.get("reachability", {}).get("ports", ()):
        for container in observed.containers:
            if container.service == port["service"] and container.state == "running":
                way = _published(container, port["port"]) or _tunnel(container)
                if way is not None:
                    yield {"name": port["name"], "service": port["service"], "port": port["port"], **_url(port, way)}
                    break


def _published(container: Container, number: int) -> dict[str, Any] | None:
    for port in container.ports:
        if port.container_port == number and port.protocol == "tcp":
            return {"address": port.host_address, "host_port": port.host_port, "via": "published"}
    return None


def _tunnel(container: Container) -> dict[str, Any] | None:
    address = next((container.addresses[network] for network in sorted(container.addresses)), None)
    return {"address": address, "host_port": None, "via": "tunnel"} if address else None


def _url(port: dict[str, Any], way: dict[str, Any]) -> dict[str, Any]:
    scheme = port["name"] if port["name"] in ("http", "https") else "http" if "http" in port["name"] else "tcp"
    return {**way, "url": f"{scheme}://{way['address']}:{way['host_port'] or port['port']}"}
