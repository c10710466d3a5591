"""Many sandboxes for a State Hub: the events and registrations of a fleet in all the states that a page shows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandboxer.hub.incoming import event_of, registration_of
from sandboxer.hub.store import Store
from tests.unit.hub.hubs import event, registration

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CAUSES = (
    ("service-exited", "service web exited (3)\nweb: no such file: /app/main", "web", "start"),
    (
        "build-failed",
        'the image of service "worker" cannot be built\nstep 4/7: RUN make: exit code 2',
        "worker",
        "build",
    ),
    ("port-in-use", "port 8080 of lab-3 is in use by another process", None, "start"),
)
TEAMS = ("payments", "search", "checkout", "platform")


def sent(index: int, *, now: datetime | None = None, **more: Any) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """Return the events of a sandbox and its registration, None if it never was ready.

    Its state follows from its index.
    """
    now = now or datetime.now(UTC)
    expires = (now + timedelta(minutes=20 + 37 * (index % 40))).strftime("%Y-%m-%dT%H:%M:%SZ")
    identity = {"uid": f"{index:032x}", "host": f"lab-{index % 20 + 1}", "name": f"web-{index:04}", **more}
    inputs = {"repo": "https://git.example/shop.git", "ref": "main", "commit": f"{index * 7919:08x}" * 5}
    data = {"sandbox_id": f"{index:08x}", "consumer": TEAMS[index % 4], "expires_at": expires, **identity}
    events = [event(1, "sandbox.requested", **data), event(2, "sandbox.provisioning", **data)]
    if index % 11 == 10:
        return events, None
    events.append(event(3, "sandbox.ready", **data))
    services = [_service("web"), _service("db", image="postgres:16")]
    given: dict[str, Any] = {"id": data["sandbox_id"], "services": services, "inputs": inputs, "expires_at": expires}
    given |= {"labels": {"team": TEAMS[index % 4], "branch": f"feature-{index}"}, "commit": "d" * 40, **identity}
    if index % 7 == 6:
        code, message, service, step = CAUSES[index % 3]
        error = {
            "code": code,
            "message": message,
            "service": service,
            "step": step,
            "hint": "read its output with `sandboxer logs`",
        }
        events.append(event(4, "sandbox.failed", error={**error, "at": "2026-11-24T12:04:00Z"}, **data))
        services[0] |= {"state": "exited", "health": None, "exit_code": 3, "restarts": 2}
        given |= {"health": "Degraded", "phase": "failed"}
    elif index % 5 == 4:
        drift = [
            {"path": "services.db.state", "old": "running", "new": "exited"},
            {"path": "files", "old": 4, "new": 5},
        ]
        events.append(event(4, "drift.detected", drift=drift, **data))
        given |= {"sync": "OutOfSync", "health": "Degraded"}
    return events, registration(**given)


def _service(name: str, *, image: str = "shop-web:1") -> dict[str, Any]:
    running = {"state": "running", "health": "healthy", "restarts": 0, "exit_code": None}
    return {"name": name, "image": image, **running}


def stored(path: Path, sandboxes: Iterable[tuple[list[dict[str, Any]], dict[str, Any] | None]]) -> None:
    """Store sandboxes in the database of a hub that does not run."""
    store = Store(path)
    try:
        for events, given in sandboxes:
            for one in events:
                store.add(event_of(json.dumps(one).encode()))
            if given is not None:
                store.register(registration_of(json.dumps(given).encode(), given["id"]))
    finally:
        store.close()
