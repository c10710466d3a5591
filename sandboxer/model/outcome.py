"""What came of carrying a plan out: one outcome for each change, and how a view follows it while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from sandboxer.model.lifecycle import Action

if TYPE_CHECKING:
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.plan import Change

DONE_WORDS = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.REPLACE: "replaced",
    Action.REPAIR: "repaired",
    Action.DELETE: "deleted",
    Action.NO_OP: "unchanged",
    Action.BLOCKED: "blocked",
}
"""What was done, in words other than those for what is planned."""

WAITING = "waiting for"
"""How the step begins in which nothing is done, for another client is at work."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one change. ``error`` is empty where it went well; ``seconds`` is how long it took.

    ``transient`` is an error that may be none when the same is tried again: the host was lost.
    ``change`` is the one that was carried out: under the lock a change may have been planned anew.
    """

    change: Change
    error: str = ""
    hint: str = ""
    seconds: float = 0.0
    transient: bool = False

    @property
    def ok(self) -> bool:
        """Whether the sandbox is as the change wanted it."""
        return not self.error and self.change.action is not Action.BLOCKED

    @property
    def word(self) -> str:
        """What happened, in one word: ``created``, ``failed``, ``blocked``."""
        return "failed" if self.error else DONE_WORDS[self.change.action]

    def to_json(self) -> JsonObject:
        """As it stands in the JSON of an apply."""
        return {
            **self.change.to_json(),
            "outcome": self.word,
            "error": self.error or None,
            "hint": self.hint or None,
            "seconds": round(self.seconds, 3),
        }


class ApplyView(Protocol):
    """Follows an apply. Called from several threads, one call at a time for each sandbox."""

    def started(self, change: Change) -> None:
        """Work on a change begins."""

    def progressed(self, change: Change, step: str) -> None:
        """Work on a change has come to a step: ``recording``, ``delivering``, ``starting``, ``destroying``.

        Or it waits for another client: the step begins with ``WAITING``, and names that one.
        """

    def ended(self, outcome: Outcome) -> None:
        """Work on a change is over, well or not."""
