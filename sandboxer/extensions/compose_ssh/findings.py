"""Findings: everything that a compose file contains and may not have, collected into one message."""

from __future__ import annotations

from dataclasses import dataclass, field

from sandboxer.errors import ComposeRefused
from sandboxer.model.text import printable

HINT = "change the compose file, commit, and plan again"
SHOWN = 50
LONGEST = 600


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: the path of a value (``services.web.pid``), or a file; the reason, and what to do.

    ``file`` is the file of the value if that is known, ``at`` the line and column in a file that cannot be read.
    """

    where: str
    why: str
    file: str = ""
    at: tuple[int, int] | None = None

    def __str__(self) -> str:
        why = f"{self.why} ({self.file})" if self.file else self.why
        return f"{printable(self.where, LONGEST)}: {printable(why, LONGEST)}"


@dataclass(slots=True)
class Findings:
    """Findings in the order in which they were added, each once by its text."""

    sandbox: str
    lines: dict[str, Finding] = field(default_factory=dict)

    def add(self, where: str, why: str, file: str = "", at: tuple[int, int] | None = None) -> None:
        """Add one: ``where`` is the path in the file (``services.web.pid``), ``why`` the reason and what to do."""
        finding = Finding(where, why, file, at)
        self.lines.setdefault(str(finding), finding)

    def raise_any(self) -> None:
        """Raise ComposeRefused with every finding, one a line; do nothing if there are none."""
        if not self.lines:
            return
        lines = list(self.lines)
        more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
        raise ComposeRefused(self.sandbox, "\n".join(lines[:SHOWN] + more), hint=HINT)
