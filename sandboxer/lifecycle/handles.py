"""Handles: what a person or a program is told of a sandbox that exists, and how to reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandboxer.reconcile.drift import service_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.observed import Container
    from sandboxer.model.plan import Change
    from sandboxer.model.record import Record
    from sandboxer.reconcile.sight import Sight


def handle(change: Change, sight: Sight | None) -> JsonObject:
    """The contract's handle of one sandbox: what the plan says of it, its record, and the way in, read live.

    Times are RFC 3339 in UTC. Without a record, what only a record tells is None.
    """
    record = sight.record if sight else None
    return {
        "id": change.id,
        "name": change.sandbox,
        "phase": record.phase.value if record else None,
        "sync": change.sync.value,
        "health": change.health.value,
        "profile": record.profile if record else None,
        "extension": record.extension if record else None,
        "host": sight.host if sight else change.host,
        "created_at": _time(record, "created_at"),
        "expires_at": _time(record, "expires_at"),
        "consumer": _consumer(record),
        "reachability": list(reachability(sight, record)) if sight and record else [],
        "labels": dict(record.labels) if record else {},
        "origin": change.origin,
    }


def _time(record: Record | None, name: str) -> str | None:
    return getattr(record, name).strftime("%Y-%m-%dT%H:%M:%SZ") if record else None


def _consumer(record: Record | None) -> JsonObject | None:
    return {"actor": record.consumer.actor, "project": record.consumer.project} if record and record.consumer else None


def reachability(sight: Sight, record: Record) -> Iterator[JsonObject]:
    """The ways in, from the live containers: a published loopback port, else an address that only the host reaches."""
    for port in record.spec.get("reachability", {}).get("ports", ()):
        for container in sight.containers:
            if service_of(container) == port["service"] and container.state == "running":
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
