"""Handles for people: all of them as a table, or one of them in full."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

from sandboxer.model.lifecycle import Health, Phase, Sync
from sandboxer.render.failures import add_failure, failure_line
from sandboxer.render.lines import Lines
from sandboxer.render.words import safe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sandboxer.model.handle import Endpoint, Handle, ServiceStatus

_NARROW = ("NAME", "HOST", "STATUS", "SYNC", "ORIGIN", "LEFT")
_WIDE = (
    *("NAME", "ID", "HOST", "PHASE", "SYNC", "HEALTH", "ORIGIN", "COMMIT", "EXPIRES-IN", "EXPIRES-AT", "EXPIRY-SOURCE"),
    *("PROFILE", "CONSUMER", "REACHABILITY", "ERROR"),
)
_SHORT, _LISTED = 12, 7  # digits of a commit, alone and in a list
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


def list_table(handles: Sequence[Handle], *, wide: bool) -> Lines:
    """Return the handles as columns, a line each.

    Names of usual length fit 60 columns. ``wide`` has phase and health apart, the expiry and its source, the profile,
    the consumer, the ways in, and the cause of a failure.
    """
    out = Lines()
    if not handles:
        out.add("There are no sandboxes on the hosts.")
        return out
    rows = [_wide(handle) if wide else _narrow(handle) for handle in handles]
    titles, *lines = aligned([_WIDE if wide else _NARROW, *rows], spacing=3 if wide else 2)
    out.add(("".join(titles), "bold"))
    for cells in lines:
        words = (cell.rstrip() for cell in cells)
        pairs = ((word, cell[len(word) :]) for word, cell in zip(words, cells, strict=True))
        out.add(*(part for word, blanks in pairs for part in ((word, _STYLES.get(word, "")), blanks)))  # type: ignore[call-overload]
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


def aligned(rows: Sequence[Sequence[str]], spacing: int = 2) -> Iterator[list[str]]:
    """Yield the cells of each row, padded so that they stand in columns; nothing follows the last text of a row."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        last = max((at for at, cell in enumerate(row) if cell), default=0)
        padded = [
            cell + " " * (width + spacing - cell_len(cell)) for cell, width in zip(row[:last], widths, strict=False)
        ]
        yield [*padded, row[last]]


def _narrow(handle: Handle) -> tuple[str, ...]:
    """Return the cells of the short list: of what is ready the health, of all else the phase."""
    status = handle.health if handle.phase in (Phase.READY, Phase.ACTIVE, None) else handle.phase
    origin = f"{_word(handle.origin)}@{_commit(handle)}" if handle.inputs else _word(handle.origin)
    left = "0s" if handle.seconds_left == 0 else time_left(handle)
    return _word(handle.name), _word(handle.host), _word(status), _word(handle.sync), origin, left


def _wide(handle: Handle) -> tuple[str, ...]:
    endpoints = (f"{_word(one.name)}={_word(one.url)} ({one.via})" for one in handle.reachability)
    return (
        _word(handle.name),
        *_state(handle).values(),
        _word(handle.origin),
        _commit(handle),
        time_left(handle),
        _time(handle.expires_at),
        expiry_source(handle),
        _word(handle.profile),
        _word(handle.consumer),
        ", ".join(endpoints) or "-",
        failure_line(handle.error) if handle.error else "-",
    )


def _commit(handle: Handle) -> str:
    """Return the commit of the input as git shortens it."""
    return _word(handle.inputs.commit)[:_LISTED] if handle.inputs else "-"


def _state(handle: Handle) -> dict[str, str]:
    return {
        "id": _word(handle.id),
        "host": _word(handle.host),
        "phase": _word(handle.phase),
        "sync": _word(handle.sync),
        "health": _word(handle.health),
    }


def handle_text(handle: Handle, now: datetime, error_text: str = "") -> Lines:
    """Return one sandbox in full: a fact a line, and each way in with how to use it. ``now`` is aware.

    ``error_text`` is the whole text of its last failure.
    """
    facts = {
        **_state(handle),
        "profile": _word(handle.profile),
        "extension": _word(handle.extension),
        "origin": _word(handle.origin),
        "consumer": _word(handle.consumer),
        "input": _input(handle),
        "commit": f"{_word(handle.commit)[:_SHORT]} of the fleet" if handle.commit else "-",
        "labels": ", ".join(f"{safe(key)}={safe(value)}" for key, value in sorted(handle.labels.items())) or "-",
        "created": _when(handle.created_at, now),
        "expires": _end(handle),
    }
    out = Lines()
    out.add((_word(handle.name), "bold"))
    for name, value in facts.items():
        style = _STYLES.get(value, "") if name in ("phase", "sync", "health") else ""  # type: ignore[call-overload]
        out.add((value, style), prefix=(f"  {name:<14}", "dim"))
    for at, cells in enumerate(aligned([_service(one) for one in handle.services])):
        out.add(*cells, prefix=("  services      " if at == 0 else " " * 16, "dim"))
    for at, endpoint in enumerate(handle.reachability):
        prefix = "  reachability  " if at == 0 else " " * 16
        out.add(*_endpoint(endpoint, _word(handle.host)), prefix=(prefix, "dim"))
    if not handle.reachability:
        out.add("-", prefix=("  reachability  ", "dim"))
    else:
        out.add((f"                `sandboxer forward {_word(handle.name)}` leads there from here", "dim"))
    if handle.error is not None:
        add_failure(out, handle.error, _when(handle.error.at, now), error_text)
    return out


def _input(handle: Handle) -> str:
    given = handle.inputs
    return f"{_word(given.repo)} {_word(given.ref)} at {_word(given.commit)[:_SHORT]}" if given else "-"


def extended_text(handle: Handle) -> Lines:
    """Return the result of an extension: when the sandbox expires now, and in how long."""
    out = Lines()
    out.add((_word(handle.name), "bold"), f" ends at {_end(handle)}")
    return out


def _endpoint(endpoint: Endpoint, host: str) -> tuple[str | tuple[str, str], ...]:
    route = "published on its loopback" if endpoint.via == "published" else "of the sandbox's own network"
    port = f"port {endpoint.port} of {_word(endpoint.service)}"
    return (_word(endpoint.url), "bold"), (f"  {_word(endpoint.name)}: {port}; from {host} only, {route}", "dim")


def _service(service: ServiceStatus) -> tuple[str, ...]:
    """Return a service's cells: its name, its state, its image, and its restarts if there are any."""
    state = _word(service.state)
    if service.exit_code is not None:
        state += f" ({service.exit_code})"
    elif service.state == "running" and service.health:
        state += f" ({service.health})"
    restarts = f"{service.restarts} restart{'s' if service.restarts > 1 else ''}" if service.restarts else ""
    return _word(service.name), state, _word(service.image), restarts


def _word(value: object) -> str:
    return "-" if value in (None, "") else safe(str(value))


def time_left(handle: Handle) -> str:
    """Return a sandbox's remaining life: ``6h05m``; ``expired`` where nothing is left, ``-`` without a record."""
    seconds = handle.seconds_left
    return "-" if seconds is None else age(timedelta(seconds=seconds)) if seconds else "expired"


def expiry_source(handle: Handle) -> str:
    """Return what set the expiry: ``ttl 8h``, ``profile, ttl 4h``, ``expiresAt``, ``extended, ttl 8h``."""
    source, ttl = handle.expiry_source, handle.ttl
    words = [*([_word(source)] if source != "ttl" else []), *([f"ttl {_word(ttl)}"] if ttl else [])]
    return ", ".join(words) or "-"


def _end(handle: Handle) -> str:
    if handle.expires_at is None:
        return "-"
    left = time_left(handle)
    note = "not pruned yet" if left == "expired" else expiry_source(handle)
    return f"{_time(handle.expires_at)} ({left if left == 'expired' else f'in {left}'}; {note})"


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else "-"


def _when(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return "-"
    relative = f"in {age(moment - now)}" if moment > now else f"{age(now - moment)} ago"
    return f"{_time(moment)} ({relative})"


def age(span: timedelta) -> str:
    """Return a duration in its two largest units: ``3d4h``, ``2h05m``, ``12m30s``, ``45s``."""
    seconds = max(int(span.total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days}d{hours % 24}h"
    if hours:
        return f"{hours}h{minutes % 60:02}m"
    return f"{minutes}m{seconds % 60:02}s" if minutes else f"{seconds}s"
