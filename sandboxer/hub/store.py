"""The hub's store: every event in the order of arrival, and the state that a sandbox's events add up to."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sandboxer.hub.database import Database
from sandboxer.hub.incoming import DetectedData, ResolvedData
from sandboxer.hub.lives import forget, keep, life_of, read_life
from sandboxer.hub.projection import (
    DRIFTS,
    Key,
    Life,
    after_event,
    after_registration,
    with_drift,
    without_registration,
)
from sandboxer.model.event import DRIFT_DETECTED, SANDBOX_EVENT
from sandboxer.model.lifecycle import Phase
from sandboxer.web.problems import HttpProblem, ProblemKind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sandboxer.hub.incoming import Incoming, Registration, SandboxData

_CURSOR = re.compile(r"([0-9a-f]{8})-(\d{1,18})")


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Filter of events: None matches any. ``type`` may end in ``*``."""

    fleet: str | None = None
    host: str | None = None
    sandbox: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """An event with its position in the order of arrival, and its JSON as received, in one line."""

    seq: int
    body: str


class Store:
    """The database, usable from any thread. One writes and one reads at a time, and neither waits for the other."""

    def __init__(self, path: Path) -> None:
        """Open the database. Raise SandboxerError if that fails."""
        self._database = Database(path)
        self._writing, self._reading = threading.Lock(), threading.Lock()

    def close(self) -> None:
        """Close the database after current reads and writes."""
        with self._writing, self._reading:
            self._database.close()

    def add(self, event: Incoming) -> bool:
        """Store an event and its effects; both are on disk on return. Return False if the event is already stored."""
        data = event.data
        row = (
            event.source,
            event.id,
            event.type,
            event.fleet,
            event.host,
            event.sandbox,
            data.uid if data else None,
            data.number if data else None,
            event.body,
        )
        with self._writing, self._database.transaction() as connection:
            done = connection.execute(
                "INSERT INTO events (source, id, type, fleet, host, sandbox, uid, number, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (source, id) DO NOTHING",
                row,
            )
            if not done.rowcount:
                return False
            if data is not None:
                self._project(connection, event.type, data)
            return True

    def register(self, given: Registration) -> bool:
        """Store a sandbox's identity. Return False if this life was already registered: its handle is replaced."""
        key = Key(given.fleet, given.id, given.host)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with self._writing, self._database.transaction() as connection:
            life = life_of(connection, key, given.uid)
            keep(connection, key, after_registration(life, given, now))
        return life is None or life.handle is None

    def unregister(self, sandbox: str, host: str, uid: str) -> bool:
        """Remove the registration of this life. Return False if there is none; another life's stays."""
        with self._writing, self._database.transaction() as connection:
            found = connection.execute(
                "SELECT fleet, life FROM lives WHERE uid = ? AND sandbox = ? AND host = ?", (uid, sandbox, host)
            ).fetchall()
            registered = [
                (Key(fleet, sandbox, host), life) for fleet, text in found if (life := read_life(text)).handle
            ]
            for key, life in registered:
                left = without_registration(life)
                if left is None:
                    forget(connection, key, uid)
                else:
                    keep(connection, key, left)
        return bool(registered)

    def events(self, after: int, limit: int, event_filter: EventFilter = EventFilter()) -> list[Stored]:
        """Return at most ``limit`` matching events that arrived after this position, oldest first."""
        conditions: list[str] = ["seq > ?"]
        given: list[Any] = [after]
        for column in ("fleet", "host", "sandbox"):
            if (value := getattr(event_filter, column)) is not None:
                conditions.append(f"{column} = ?")
                given.append(value)
        if event_filter.type is not None and event_filter.type.endswith("*"):
            conditions.append("substr(type, 1, ?) = ?")
            given += [len(event_filter.type) - 1, event_filter.type[:-1]]
        elif event_filter.type is not None:
            conditions.append("type = ?")
            given.append(event_filter.type)
        query = f"SELECT seq, body FROM events WHERE {' AND '.join(conditions)} ORDER BY seq LIMIT ?"  # noqa: S608
        with self._reading:
            return [Stored(*row) for row in self._database.read.execute(query, [*given, limit])]

    def sandboxes(self, *, over: bool, ids: Sequence[str] = ()) -> list[tuple[Key, Life]]:
        """Return the current life of each sandbox on each host, by fleet, host and name.

        With ``over``, include those that are gone; with ``ids``, only those with these IDs.
        """
        query = "SELECT fleet, sandbox, host, life FROM lives WHERE current = 1 AND over <= ?"
        if ids:
            query += f" AND sandbox IN ({', '.join('?' * len(ids))})"
        with self._reading:
            rows = self._database.read.execute(query, (int(over), *ids)).fetchall()
        found = [(Key(fleet, sandbox, host), read_life(text)) for fleet, sandbox, host, text in rows]
        return sorted(found, key=lambda one: (one[0].fleet, one[0].host, one[1].name, one[0].sandbox))

    def failures(self) -> dict[str, int]:
        """Return each fleet's number of events that report a failed sandbox, since the database was created."""
        query = "SELECT fleet, count(*) FROM events WHERE type = ? GROUP BY fleet"
        with self._reading:
            return dict(self._database.read.execute(query, (SANDBOX_EVENT + Phase.FAILED,)).fetchall())

    def newest(self) -> int:
        """Return the position of the event that arrived last; 0 if there is none."""
        with self._reading:
            (seq,) = self._database.read.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        return int(seq)

    def cursor(self, seq: int) -> str:
        """Return the cursor of a position, for clients to send back."""
        return f"{self._database.epoch}-{seq}"

    def position(self, cursor: str, field: str) -> int:
        """Return the position of a cursor. Raise HttpProblem if the cursor is not of this database."""
        match = _CURSOR.fullmatch(cursor)
        if match is None:
            raise HttpProblem(ProblemKind.INVALID_REQUEST, "is not a cursor", field=field)
        if match[1] != self._database.epoch:
            raise HttpProblem(
                ProblemKind.INVALID_REQUEST, "is a cursor of another database: start without a cursor", field=field
            )
        return int(match[2])

    def _project(self, connection: sqlite3.Connection, kind: str, data: SandboxData) -> None:
        key = Key(data.fleet, data.sandbox_id, data.host)
        life = after_event(life_of(connection, key, data.uid), kind, data)
        if kind in DRIFTS:
            life = with_drift(life, _drifts(connection, key, data.uid))
        keep(connection, key, life)


def _drifts(connection: sqlite3.Connection, key: Key, uid: str) -> list[DetectedData | ResolvedData]:
    rows = connection.execute(
        "SELECT type, body FROM events WHERE uid = ? AND fleet = ? AND sandbox = ? AND host = ? AND type IN (?, ?)"
        " ORDER BY number, seq",
        (uid, key.fleet, key.sandbox, key.host, *DRIFTS),
    )
    models: dict[str, Callable[[Any], DetectedData | ResolvedData]] = {
        kind: DetectedData.model_validate if kind == DRIFT_DETECTED else ResolvedData.model_validate for kind in DRIFTS
    }
    return [models[kind](json.loads(body)["data"]) for kind, body in rows]
