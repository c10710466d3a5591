"""An event of a sandbox's journal, as a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from sandboxer.model.event import DRIFT_DETECTED, DRIFT_RESOLVED, JOURNAL_GAP
from sandboxer.model.lifecycle import Phase
from sandboxer.render.failures import failure_line
from sandboxer.render.words import safe

if TYPE_CHECKING:
    from sandboxer.model.event import Event

_SHORT = 7  # digits of a commit
_STYLES = {Phase.READY: "green", Phase.ACTIVE: "green", Phase.FAILED: "red", Phase.EXPIRED: "yellow"}


def event_line(event: Event) -> Text:
    """Return a line with when, where, what and why."""
    line = Text().append(f"{event.at:%Y-%m-%d %H:%M:%SZ}  {event.host}  ", "dim")
    if event.type == DRIFT_DETECTED:
        line.append("drift detected", "yellow").append(f"  {', '.join(one.path for one in event.drift or ())}")
    elif event.type == DRIFT_RESOLVED:
        line.append("drift resolved", "green")
    elif event.type == JOURNAL_GAP:
        line.append("journal lost", "yellow").append("  what happened before is not known")
    else:
        line.append(f"{event.phase:<12}", _STYLES.get(event.phase, "")).append(f"  {event.reason}", "dim")
        if event.phase is Phase.READY and event.input_commit:
            line.append(f"  at {safe(event.input_commit)[:_SHORT]}", "dim")
        if event.error is not None:
            line.append(f"  {failure_line(event.error)}")
    return line
