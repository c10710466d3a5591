"""The expiry of a sandbox: when it is, what set it, and how far it can be extended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandboxer.errors import UsageError
from sandboxer.errors.remedy import RemedyCode, remedy_of
from sandboxer.model.quantity import format_duration, parse_duration
from sandboxer.model.text import named

if TYPE_CHECKING:
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.handle import ExpirySource
    from sandboxer.model.record import Record

_MINUTE = timedelta(minutes=1)
_AT_LIMIT = "raise ttl.max of its profile, and recreate the sandbox"


@dataclass(frozen=True, slots=True)
class Expiry:
    """The expiry of a sandbox, as in its record.

    ``source`` says what set it: the sandbox's own ``ttl``, the ``profile``'s default, ``expiresAt``, an extension by
    hand (``extended``), or its last ``activity``. ``ttl`` is the one that was applied, None under ``expiresAt``.
    ``left`` is zero once the expiry has passed by both clocks.
    """

    at: datetime
    source: ExpirySource
    ttl: str | None
    left: timedelta


def expired(expires_at: datetime, host_clock: datetime, now: datetime) -> bool:
    """Return whether it has passed by the host's clock and by the runner's: one wrong clock expires nothing early."""
    return expires_at <= host_clock and expires_at <= now


def expiry_of(desired: DesiredSandbox, created_at: datetime) -> datetime:
    """Return the expiry by the manifest: its ``expiresAt``, else ``created_at`` plus its TTL."""
    if desired.expires_at is not None:
        return desired.expires_at
    return created_at + (desired.ttl or desired.profile.spec.ttl.default)


def expiry_after(desired: DesiredSandbox, record: Record) -> datetime:
    """Return the expiry of a sandbox with a record: by git where its manifest changed since, else by the record.

    So an expiry that was extended by hand holds until the manifest has another TTL.
    """
    return expiry_of(desired, record.created_at) if says_otherwise(desired, record) else record.expires_at


def says_otherwise(desired: DesiredSandbox, record: Record) -> bool:
    """Return whether git has another ``ttl`` or ``expiresAt`` than was applied."""
    return any(record.spec.get(key) != desired.spec.get(key) for key in ("ttl", "expiresAt"))


def described_expiry(record: Record, desired: DesiredSandbox | None, host_clock: datetime, now: datetime) -> Expiry:
    """Return the expiry of a sandbox, and what set it.

    Without ``desired``, a profile's default cannot be distinguished from a TTL.
    """
    ttl, moment = record.spec.get("ttl"), record.spec.get("expiresAt")
    source: ExpirySource = "ttl" if moment is None else "expiresAt"
    if record.expires_at != _set_by(record, ttl, moment):
        source = "activity" if _counts_from_use(record) else "extended"
    elif moment is None and desired is not None and desired.ttl is None:
        source = "profile"
    left = max(record.expires_at - min(host_clock, now), timedelta())
    return Expiry(record.expires_at, source, ttl if isinstance(ttl, str) and moment is None else None, left)


def _set_by(record: Record, ttl: Any, moment: Any) -> datetime:
    """Return the expiry that the applied spec sets.

    The record's own expiry where the value on the host cannot be parsed.
    """
    try:
        return record.created_at + parse_duration(ttl) if moment is None else datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        return record.expires_at


def extended(record: Record, by: timedelta, host_clock: datetime, now: datetime) -> datetime:
    """Return the expiry extended ``by`` a duration. Raise UsageError if that is past too, or beyond the limit."""
    expires_at, room = record.expires_at + by, record.until - record.expires_at
    least = _MINUTE * max((min(host_clock, now) - record.expires_at) // _MINUTE + 1, 1)
    more = f"{format_duration(by)} more would be until {_moment(expires_at)}"
    over = None if least <= room else remedy_of(RemedyCode.RAISE_TTL, sandbox=record.name)
    if expires_at > record.until:
        raise UsageError(
            f"{named('sandbox', record.name)} may live until {_moment(record.until)} at most, by the ttl.max of its "
            f"profile; {more}",
            hint=_AT_LIMIT if over else f"extend by at most {format_duration(room)}",
            remedy=over,
        )
    if expired(expires_at, host_clock, now):
        raise UsageError(
            f"{record.name} expired at {_moment(record.expires_at)}; {more}, which is past too",
            hint=_AT_LIMIT if over else f"extend by at least {format_duration(least)}",
            remedy=over,
        )
    return expires_at


def kept_alive(record: Record, now: datetime) -> datetime:
    """Return the expiry of a sandbox that is in use ``now``.

    It is later where the TTL counts from the last use, and never earlier.
    """
    if not _counts_from_use(record):
        return record.expires_at
    try:
        ttl = parse_duration(record.spec["ttl"])
    except (KeyError, TypeError, ValueError):  # it expires at a fixed time, or the host has no valid duration
        return record.expires_at
    return max(record.expires_at, min(now.replace(microsecond=0) + ttl, record.until))


def _counts_from_use(record: Record) -> bool:
    return record.spec.get("ttlClock") == "activity"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"
