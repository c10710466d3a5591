"""Handles for people: all of them as a table, or one of them in full."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from sandboxer.model.lifecycle import Health, Phase, Sync
from sandboxer.render.lines import Lines
from sandboxer.render.words import safe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandboxer.model.jsontypes import JsonObject

_NARROW = ("NAME", "ID", "HOST", "PHASE", "SYNC", "HEALTH", "EXPIRES-IN")
_WIDE = (*_NARROW, "EXPIRES-AT", "EXPIRY-SOURCE", "PROFILE", "CONSUMER", "REACHABILITY")
_GAP = 3
_STYLES = {
    Phase.READY: "green",
    Phase.ACTIVE: "green",
    Phase.FAILED: "red",
    Phase.EXPIRED: "yellow",
    Sync.SYNCED: "green",
    Sync.OUT_OF_SYNC: "yellow",
    Sync.UNKNOWN: "red",
    Health.HEALTHY: "green",
    Health.PROGRESSING: "cyan",
    Health.DEGRADED: "red",
    Health.MISSING: "red",
    Health.SUSPENDED: "dim",
}
"""By word, whatever its column: no word stands in two lists with two meanings."""


def list_table(handles: Sequence[JsonObject], *, wide: bool) -> Lines:
    """Return the handles as columns, a line each.

    ``wide`` adds the expiry and its source, the profile, the consumer and the ways in.
    """
    out = Lines()
    if not handles:
        out.add("There are no sandboxes on the hosts.")
        return out
    titles = _WIDE if wide else _NARROW
    rows = [_cells(handle)[: len(titles)] for handle in handles]
    widths = [max(cell_len(row[at]) for row in (titles, *rows)) for at in range(len(titles))]
    out.add((_aligned(titles, widths, len(titles)), "bold"))
    for row in rows:
        parts: list[str | tuple[str, str]] = []
        for at, cell in enumerate(row):
            parts.append((cell, _STYLES.get(cell, "")))  # type: ignore[call-overload]
            if at + 1 < len(row):
                parts.append(" " * (widths[at] + _GAP - cell_len(cell)))
        out.add(*parts)
    return out


def unrecorded_text(found: Sequence[Mapping[str, Any]]) -> Lines:
    """Return what ``destroy --without-record`` is about to remove, host by host."""
    out = Lines()
    for one in found:
        out.add((f"{safe(one['sandbox'])} ({one['id']}) on {safe(one['host'])}, without a record:", "bold"))
        for kind in ("container", "network", "volume"):
            for name in one[f"{kind}s"]:
                out.add(f"  {kind} {safe(name)}")
        if one["directory"]:
            out.add(f"  directory {safe(one['directory'])}")
    return out


def _aligned(cells: Sequence[str], widths: Sequence[int], count: int) -> str:
    padded = (cell + " " * (widths[at] + _GAP - cell_len(cell)) for at, cell in enumerate(cells[: count - 1]))
    return "".join(padded) + cells[count - 1]


def _cells(handle: JsonObject) -> tuple[str, ...]:
    ways = (f"{_word(way['name'])}={_word(way['url'])} ({_word(way['via'])})" for way in _ways(handle))
    return (
        *(_word(handle.get(key)) for key in ("name", "id", "host", "phase", "sync", "health")),
        time_left(handle),
        _word(handle.get("expires_at")),
        expiry_source(handle),
        _word(handle.get("profile")),
        _consumer(handle),
        ", ".join(ways) or "-",
    )


def handle_text(handle: JsonObject, now: datetime) -> Lines:
    """Return one sandbox in full: a fact a line, and each way in with how to use it. ``now`` is aware."""
    labels: Any = handle.get("labels") or {}
    facts = {
        **{key: _word(handle.get(key)) for key in ("id", "host", "phase", "sync", "health")},
        "profile": _word(handle.get("profile")),
        "extension": _word(handle.get("extension")),
        "origin": _word(handle.get("origin")),
        "consumer": _consumer(handle),
        "labels": ", ".join(f"{safe(key)}={safe(labels[key])}" for key in sorted(labels)) or "-",
        "created": _when(handle.get("created_at"), now),
        "expires": _end(handle),
    }
    out = Lines()
    out.add((_word(handle.get("name")), "bold"))
    for name, value in facts.items():
        style = _STYLES.get(value, "") if name in ("phase", "sync", "health") else ""  # type: ignore[call-overload]
        out.add((value, style), prefix=(f"  {name:<14}", "dim"))
    for at, way in enumerate(_ways(handle)):
        out.add(*_way(way, _word(handle.get("host"))), prefix=("  reachability  " if at == 0 else " " * 16, "dim"))
    if not _ways(handle):
        out.add("-", prefix=("  reachability  ", "dim"))
    else:
        out.add((f"                `sandboxer forward {_word(handle.get('name'))}` leads there from here", "dim"))
    return out


def extended_text(handle: JsonObject) -> Lines:
    """Return the result of an extension: when the sandbox expires now, and in how long."""
    out = Lines()
    out.add((_word(handle.get("name")), "bold"), f" ends at {_end(handle)}")
    return out


def _way(way: Mapping[str, Any], host: str) -> tuple[str | tuple[str, str], ...]:
    how = "published on its loopback" if way["via"] == "published" else "of the sandbox's own network"
    told = f"  {_word(way['name'])}: port {way['port']} of {_word(way['service'])}; from {host} only, {how}"
    return (_word(way["url"]), "bold"), (told, "dim")


def _ways(handle: JsonObject) -> list[Any]:
    ways: Any = handle.get("reachability") or []
    return list(ways)


def _word(value: object) -> str:
    return "-" if value in (None, "") else safe(str(value))


def _consumer(handle: JsonObject) -> str:
    consumer: Any = handle.get("consumer")
    return f"{_word(consumer['actor'])}/{_word(consumer['project'])}" if consumer else "-"


def time_left(handle: JsonObject) -> str:
    """Return a sandbox's remaining life: ``6h05m``; ``expired`` where nothing is left, ``-`` without a record."""
    seconds: Any = handle.get("seconds_left")
    return "-" if seconds is None else age(timedelta(seconds=seconds)) if seconds else "expired"


def expiry_source(handle: JsonObject) -> str:
    """Return what set the expiry: ``ttl 8h``, ``profile, ttl 4h``, ``expiresAt``, ``extended, ttl 8h``."""
    source, ttl = handle.get("expiry_source"), handle.get("ttl")
    words = [*([_word(source)] if source != "ttl" else []), *([f"ttl {_word(ttl)}"] if ttl else [])]
    return ", ".join(words) or "-"


def _end(handle: JsonObject) -> str:
    if handle.get("expires_at") is None:
        return "-"
    left = time_left(handle)
    how = "not pruned yet" if left == "expired" else expiry_source(handle)
    return f"{_word(handle['expires_at'])} ({left if left == 'expired' else f'in {left}'}; {how})"


def _time(value: object) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def _when(value: object, now: datetime) -> str:
    moment = _time(value)
    if moment is None:
        return "-"
    relative = f"in {age(moment - now)}" if moment > now else f"{age(now - moment)} ago"
    return f"{safe(str(value))} ({relative})"


def age(span: timedelta) -> str:
    """Return a duration in its two largest units: ``3d4h``, ``2h05m``, ``12m30s``, ``45s``."""
    seconds = max(int(span.total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days}d{hours % 24}h"
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    return f"{minutes}m{seconds % 60:02}s" if minutes else f"{seconds}s"
