"""The lock of a sandbox on a host: its holder, and since when, as in the lock's file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from sandboxer.model.text import printable

if TYPE_CHECKING:
    from sandboxer.model.jsontypes import JsonObject

_COMMIT = 12  # digits
_LONGEST = 200  # characters in the name of the holder


def holder_line(who: str, commit: str | None) -> str:
    """Return how a client identifies itself when it requests a lock.

    ``alice@ci-7 1f2e3d4c5a6b``, one line whatever ``who`` is.
    """
    return f"{printable(who, _LONGEST)} {(commit or 'none')[:_COMMIT]}"


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a lock. ``since`` is by the host's clock, ``pid`` its process there; None if missing."""

    who: str
    commit: str | None = None
    since: datetime | None = None
    pid: int | None = None

    @classmethod
    def parse(cls, text: str) -> Holder | None:
        """Return the lock holder from a lock's file, in the lines that the host wrote.

        None where the file does not name one (yet).
        """
        line, since, pid, *_ = [part.strip() for part in text.split("\n")[:3]] + ["", "", ""]
        who, _, commit = line.rpartition(" ")
        if not who:
            return None
        try:
            began = datetime.fromisoformat(since)
        except ValueError:
            began = None
        commit = printable(commit, _COMMIT)
        number = int(pid) if pid.isdecimal() and len(pid) < _COMMIT else None
        return cls(printable(who, _LONGEST), None if commit == "none" else commit, began, number)

    def __str__(self) -> str:
        """Return ``alice@ci-7, commit 1f2e3d4c5a6b, since 12:03:10Z``."""
        commit = f", commit {self.commit}" if self.commit else ""
        return f"{self.who}{commit}" + (f", since {self.since:%H:%M:%SZ}" if self.since else "")

    def to_json(self) -> JsonObject:
        """Return it as ``unlock -o json`` shows it."""
        since = f"{self.since:%Y-%m-%dT%H:%M:%SZ}" if self.since else None
        return {"who": self.who, "commit": self.commit, "since": since, "pid": self.pid}


@dataclass(frozen=True, slots=True)
class Lock:
    """The lock of one sandbox on one host. ``here`` says whether the sandbox has a directory there.

    ``holder`` has the lock, or had it until it was ``ended``. ``error`` says why the status is ``unknown``.
    """

    host: str
    status: Literal["free", "held", "unknown"]
    here: bool = False
    holder: Holder | None = None
    ended: bool = False
    error: str | None = None

    def to_json(self) -> JsonObject:
        """Return it as ``unlock -o json`` shows it."""
        return {
            "host": self.host,
            "status": self.status,
            "here": self.here,
            "holder": self.holder.to_json() if self.holder else None,
            "ended": self.ended,
            "error": self.error,
        }
