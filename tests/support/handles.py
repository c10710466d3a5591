"""Handles and registrations as values."""

from __future__ import annotations

from typing import Any

from sandboxer.model.handle import Handle
from sandboxer.model.hub import Registration

READY: dict[str, Any] = {
    "id": "1f2e3d4c",
    "name": "web",
    "phase": "ready",
    "sync": "Synced",
    "health": "Healthy",
    "profile": "profile.web",
    "extension": "ext.compose-ssh",
    "host": "lab-1",
    "created_at": "2026-11-24T12:01:00Z",
    "expires_at": "2026-11-24T14:00:00Z",
    "expiry_source": "ttl",
    "ttl": "2h",
    "seconds_left": 7000,
    "consumer": None,
    "reachability": [],
    "labels": {},
    "origin": "api",
    "requested_by": "alice@laptop",
}


def handle(**more: Any) -> Handle:
    """Return the handle of a sandbox that is ready, but for what is given."""
    return Handle.model_validate({**READY, **more})


def registration(**more: Any) -> Registration:
    """Return the registration of a sandbox that is ready, but for what is given."""
    return Registration.model_validate({**READY, "uid": "a" * 32, "fleet": "acme", **more})
