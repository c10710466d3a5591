"""The hub's file: an SQLite database that belongs to one hub at a time and to one user."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sandboxer.errors import SandboxerError
from sandboxer.hub.migration import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# "sbx1", so that the file of another program is never taken for ours; and the version of the tables below.
APPLICATION, VERSION = 0x73627831, 2

# Where SQLite stores the application ID in every file.
_APPLICATION_AT = 68

_TABLES = """
CREATE TABLE about (epoch TEXT NOT NULL);
INSERT INTO about VALUES (lower(hex(randomblob(4))));
CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  source TEXT NOT NULL,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  fleet TEXT NOT NULL,
  host TEXT,
  sandbox TEXT,
  uid TEXT,
  number INTEGER,
  body TEXT NOT NULL,
  UNIQUE (source, id)
);
CREATE INDEX events_of_fleet ON events (fleet, seq);
CREATE INDEX events_of_sandbox ON events (sandbox, seq);
CREATE INDEX events_of_life ON events (uid, number);
CREATE INDEX events_of_type ON events (type, fleet);
CREATE TABLE lives (
  fleet TEXT NOT NULL,
  sandbox TEXT NOT NULL,
  host TEXT NOT NULL,
  uid TEXT NOT NULL,
  begun TEXT NOT NULL,
  over INTEGER NOT NULL,
  current INTEGER NOT NULL,
  life TEXT NOT NULL,
  PRIMARY KEY (fleet, sandbox, host, uid)
);
CREATE INDEX lives_shown ON lives (current, over);
CREATE INDEX lives_of_uid ON lives (uid);
CREATE INDEX lives_of_sandbox ON lives (sandbox);
"""


class Database:
    """The open file. ``write`` and ``read`` are separate connections, so that a reader never waits for the disk.

    ``epoch`` names this file, so that a cursor of another file is detected.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or create it if it is missing. Raise SandboxerError if that fails."""
        self.path = path
        self._lock = -1
        self._open: list[sqlite3.Connection] = []
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _locked(path)
            _private(path)
            self.write = self._connect()
            self.epoch = _prepare(self.write, path)
            self.write.execute("PRAGMA journal_mode = WAL")
            # An event is acknowledged only when it would outlive a power cut.
            self.write.execute("PRAGMA synchronous = FULL")
            self.read = self._connect()
            self.read.execute("PRAGMA query_only = ON")
        except OSError as error:
            self.close()
            raise _unusable(path, error.strerror or str(error)) from None
        except sqlite3.Error as error:
            self.close()
            raise _unusable(path, str(error)) from None
        except SandboxerError:
            self.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block in a transaction: on disk when the block ends, without a trace if the block raises."""
        self.write.execute("BEGIN IMMEDIATE")
        try:
            yield self.write
            self.write.execute("COMMIT")
        except BaseException:
            if self.write.in_transaction:
                self.write.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the file, and release it for the next hub."""
        while self._open:
            with suppress(sqlite3.Error):
                self._open.pop().close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
        self._open.append(connection)
        return connection


def _locked(path: Path) -> int:
    """Return the lock, which the system releases with the process.

    It is on a separate file: SQLite locks the database itself.
    """
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise SandboxerError(
            f"the database {path} is in use by another State Hub",
            hint="stop that State Hub, or use another file with --database",
        ) from None
    return descriptor


def _private(path: Path) -> None:
    """Create the file if it is missing, and close it to other users if it is ours.

    This comes before SQLite opens it, because SQLite gives the files beside it the same permissions.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if os.pread(descriptor, 4, _APPLICATION_AT) == APPLICATION.to_bytes(4, "big"):
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _prepare(connection: sqlite3.Connection, path: Path) -> str:
    """Create the tables in a new file, or upgrade those of an older release; return the file's epoch.

    Raise SandboxerError if another program or a later release owns the file.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables:
        mark = f"PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION};"
        connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} {mark} COMMIT;")
    elif application != APPLICATION:
        raise _unusable(path, "the database of another program")
    elif not min(MIGRATIONS) <= version <= VERSION:
        raise _unusable(path, f"table version {version}; this release supports version {VERSION}")
    elif version < VERSION:
        _upgrade(connection, version)
    (epoch,) = connection.execute("SELECT epoch FROM about").fetchone()
    return str(epoch)


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Upgrade the tables from a version, all at once: an interrupted upgrade leaves the file as it was."""
    connection.execute("BEGIN IMMEDIATE")
    for former in range(version, VERSION):
        MIGRATIONS[former](connection)
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def _unusable(path: Path, reason: str) -> SandboxerError:
    return SandboxerError(
        f"the database {path} cannot be used: {reason}", hint="choose a writable file with --database"
    )
