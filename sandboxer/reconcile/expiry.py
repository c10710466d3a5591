"""When a sandbox ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.record import Record


def expired(expires_at: datetime, host_clock: datetime, now: datetime) -> bool:
    """Whether the time is past by the host's clock and by the runner's: one wrong clock ends nothing early."""
    return expires_at <= host_clock and expires_at <= now


def expiry_of(desired: DesiredSandbox, created_at: datetime) -> datetime:
    """When a sandbox made at ``created_at`` ends by its manifest: its ``expiresAt``, else its TTL from then."""
    if desired.expires_at is not None:
        return desired.expires_at
    return created_at + (desired.ttl or desired.profile.spec.ttl.default)


def expiry_after(desired: DesiredSandbox, record: Record) -> datetime:
    """When a sandbox that has a record ends: by git where git's word changed since, else by the record.

    So an expiry that was extended by hand stays until the manifest says another TTL.
    """
    same = all(record.spec.get(key) == desired.spec.get(key) for key in ("ttl", "expiresAt"))
    return record.expires_at if same else expiry_of(desired, record.created_at)
