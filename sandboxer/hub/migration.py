"""Upgrades of the hub's tables, each from one version to the next. Events stay as they are; only lives change."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

from sandboxer.hub.incoming import SandboxData, SentHandle
from sandboxer.hub.lives import keep, read_life
from sandboxer.hub.projection import Key, after_event

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping
    from typing import Any

# Keys of a handle, and of an event's data, that version 1 stored without checks.
_UNCHECKED = ("labels", "services", "inputs", "commit", "error")
_UNCHECKED_DATA = ("input_commit", "error")


def _with_causes(connection: sqlite3.Connection) -> None:
    """Add to each life what its stored events and its handle already have: cause, commit and input."""
    connection.execute("CREATE INDEX IF NOT EXISTS lives_of_sandbox ON lives (sandbox)")
    lives = connection.execute("SELECT fleet, sandbox, host, uid, life FROM lives").fetchall()
    for fleet, sandbox, host, uid, text in lives:
        life = read_life(_checked(text))
        events = connection.execute(
            "SELECT type, body FROM events WHERE uid = ? AND fleet = ? AND sandbox = ? AND host = ? ORDER BY number",
            (uid, fleet, sandbox, host),
        )
        for kind, body in events:
            # Only the new fields change: the numbers of the others are already those of the last events.
            life = after_event(life, kind, _data(json.loads(body)["data"]))
        keep(connection, Key(fleet, sandbox, host), life)


def _checked(text: str) -> str:
    """Return a stored life without the keys of its handle that this release could not read."""
    life: dict[str, Any] = json.loads(text)
    handle = life["handle"]
    for name in [name for name in _UNCHECKED if handle and name in handle]:
        try:
            SentHandle.model_validate(
                {key: value for key, value in handle.items() if key not in _UNCHECKED or key == name}
            )
        except ValidationError:
            del handle[name]
    return json.dumps(life)


def _data(given: dict[str, Any]) -> SandboxData:
    """Return the data of a stored event, without additional fields that this release could not read."""
    try:
        return SandboxData.model_validate(given)
    except ValidationError:
        return SandboxData.model_validate({key: value for key, value in given.items() if key not in _UNCHECKED_DATA})


#: From which version: what changes in the tables for the next one.
MIGRATIONS: Mapping[int, Callable[[sqlite3.Connection], None]] = {1: _with_causes}
