"""The result of ``drift``: a plan reduced to what drifted, and drift that was reported before and is resolved."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandboxer.errors.remedy import message_alone

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sandboxer.errors.remedy import FormatMessage
    from sandboxer.model.event import Event
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.plan import Change, Plan


@dataclass(frozen=True, slots=True)
class Resolved:
    """Resolved drift of one sandbox: the paths that were reported, and since when they were reported, in UTC."""

    sandbox: str
    id: str
    host: str
    paths: tuple[str, ...]
    since: datetime

    def to_json(self) -> JsonObject:
        """Return it as in the JSON of a drift report."""
        return {
            "sandbox": self.sandbox,
            "id": self.id,
            "host": self.host,
            "paths": list(self.paths),
            "since": rfc3339(self.since),
        }


@dataclass(frozen=True, slots=True)
class Uncompared:
    """A sandbox whose files could not be compared, and why."""

    sandbox: str
    host: str
    error: str

    @property
    def message(self) -> str:
        """The whole sentence, as in the JSON of a drift report."""
        return f"the files of {self.sandbox} on {self.host} cannot be compared: {self.error}"


@dataclass(frozen=True, slots=True)
class Note:
    """A note to write beside a sandbox's record: each path that drifted, and since when it is reported.

    Without any path, the note is to be removed. ``uid`` is the life that it is about. ``former`` is the SHA-256 of the
    note that this one follows, empty without one, and ``event`` what the journal says about it.
    """

    host: str
    id: str
    sandbox: str
    uid: str
    told: Mapping[str, datetime]
    event: Event
    former: str = ""

    def to_json(self) -> JsonObject:
        """Return the content of the note's file on the host."""
        return {"format_version": "1.0", "told": {path: rfc3339(since) for path, since in sorted(self.told.items())}}


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What drifted, as the changes of a plan, for git's sandboxes and imperative ones alike; ``at`` is when, in UTC.

    ``compared`` counts the sandboxes that have a record to compare with; ``errors`` are those whose files could not be
    compared. ``since`` is when a sandbox's drift was first reported, by host and ID; drift that cannot be noted is not
    in it. ``notes`` are to be written so that the next run knows what this one reported.
    """

    plan: Plan
    at: datetime
    compared: int
    errors: tuple[Uncompared, ...] = ()
    resolved: tuple[Resolved, ...] = ()
    since: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every host was observed in full, and everything was compared."""
        return self.plan.complete and not self.errors

    @property
    def drifted(self) -> tuple[Change, ...]:
        """The sandboxes that differ from what was applied."""
        return tuple(change for change in self.plan.changes if change.drift)

    def to_json(self, format_message: FormatMessage = message_alone) -> JsonObject:
        """Return a plan's JSON, with ``since`` for each change, and ``resolved``. Messages are formatted."""
        changes = []
        for change in self.plan.changes:
            since = self.since.get((change.host or "", change.id))
            changes.append(
                {**change.to_json(format_message), "origin": change.origin, "since": rfc3339(since) if since else None}
            )
        resolved = [one.to_json() for one in self.resolved]
        return {
            **self.plan.to_json(format_message),
            "complete": self.complete,
            "changes": changes,
            "resolved": resolved,
            "compared": self.compared,
            "errors": [one.message for one in self.errors],
        }


def rfc3339(moment: datetime) -> str:
    """Return a moment in UTC, to the second, in the format of RFC 3339."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
