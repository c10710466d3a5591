"""Handles and registrations, as values and as the JSON that is written and sent."""

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
    "services": [],
    "inputs": None,
    "commit": None,
    "labels": {},
    "origin": "api",
    "requested_by": "alice@laptop",
    "error": None,
}
UID = "a" * 32


def handle_json(**more: Any) -> dict[str, Any]:
    """Return the JSON of the handle of a ready sandbox; ``more`` overrides its fields."""
    return {**READY, **more}


def registration_json(**more: Any) -> dict[str, Any]:
    """Return the JSON of the registration of a ready sandbox; ``more`` overrides its fields."""
    return {**READY, "uid": UID, "fleet": "acme", **more}


def handle(**more: Any) -> Handle:
    """Return the handle of a ready sandbox; ``more`` overrides its fields."""
    return Handle.model_validate(handle_json(**more))


def registration(**more: Any) -> Registration:
    """Return the registration of a ready sandbox; ``more`` overrides its fields."""
    return Registration.model_validate(registration_json(**more))
