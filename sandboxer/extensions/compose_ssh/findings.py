"""Findings: everything that a compose file contains and may not have, collected into one message."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandboxer.errors import ComposeRefused
from sandboxer.model.text import printable

HINT = "change the compose file, commit, and plan again"
SHOWN = 50
LONGEST = 600


@dataclass(slots=True)
class Findings:
    """Findings in the order in which they were added, each once."""

    sandbox: str
    lines: dict[str, None] = field(default_factory=dict)

    def add(self, where: str, why: str) -> None:
        """Add one: ``where`` is the path in the file (``services.web.pid``), ``why`` the reason and what to do."""
        self.lines[f"{printable(where, LONGEST)}: {printable(why, LONGEST)}"] = None

    def raise_any(self) -> None:
        """Raise ComposeRefused with every finding, one a line; do nothing if there are none."""
        if not self.lines:
            return
        lines = list(self.lines)
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        raise ComposeRefused(self.sandbox, "\n".join(lines[:SHOWN] + more), hint=HINT)
