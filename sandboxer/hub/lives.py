"""The table of lives in the hub's database: what the events and the registration of each life add up to."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from sandboxer.hub.incoming import SentHandle
from sandboxer.hub.projection import Key, Life

if TYPE_CHECKING:
    import sqlite3


def life_of(connection: sqlite3.Connection, key: Key, uid: str) -> Life | None:
    """Return a life as it is stored; None if it is not."""
    row = connection.execute(
        "SELECT life FROM lives WHERE fleet = ? AND sandbox = ? AND host = ? AND uid = ?",
        (key.fleet, key.sandbox, key.host, uid),
    ).fetchone()
    return read_life(row[0]) if row else None


def read_life(text: str) -> Life:
    """Return the life of its stored JSON."""
    given = json.loads(text)
    handle = SentHandle.model_validate(given["handle"]) if given["handle"] else None
    return Life(**{**given, "drift": tuple(given["drift"]), "handle": handle})


def _text(life: Life) -> str:
    content = asdict(replace(life, handle=None))
    return json.dumps({**content, "handle": life.handle.to_json() if life.handle else None}, ensure_ascii=False)


def keep(connection: sqlite3.Connection, key: Key, life: Life) -> None:
    """Store a life in place of the former one."""
    connection.execute(
        "INSERT INTO lives (fleet, sandbox, host, uid, begun, over, current, life) VALUES (?, ?, ?, ?, ?, ?, 0, ?)"
        " ON CONFLICT DO UPDATE SET begun = excluded.begun, over = excluded.over, life = excluded.life",
        (
            *(key.fleet, key.sandbox, key.host),
            *(life.uid, life.begun, life.over, _text(life)),
        ),
    )
    _choose(connection, key)


def forget(connection: sqlite3.Connection, key: Key, uid: str) -> None:
    """Remove a life."""
    connection.execute(
        "DELETE FROM lives WHERE fleet = ? AND sandbox = ? AND host = ? AND uid = ?",
        (key.fleet, key.sandbox, key.host, uid),
    )
    _choose(connection, key)


def _choose(connection: sqlite3.Connection, key: Key) -> None:
    """Mark the life that began last as the one that is shown."""
    where = "fleet = :fleet AND sandbox = :sandbox AND host = :host"
    newest = f"SELECT uid FROM lives WHERE {where} ORDER BY begun DESC, uid DESC LIMIT 1"  # noqa: S608 - constants
    connection.execute(f"UPDATE lives SET current = (uid = ({newest})) WHERE {where}", asdict(key))  # noqa: S608
