"""The outcome of an applied plan, one for each change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors.remedy import message_alone
from sandboxer.model.lifecycle import Action

if TYPE_CHECKING:
    from sandboxer.errors.remedy import FormatMessage
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.plan import Change
    from sandboxer.model.service_operation import ServiceOperation

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

REQUESTED = "requested"
"""What was done for a create that no client waits for: only its record is there."""

WAITING = "waiting for"
"""How the step begins in which nothing is done, for another client is at work."""


@dataclass(frozen=True, slots=True)
class ChangedSecrets:
    """The secrets of one sandbox whose values are not those of the last apply, by name, when an apply began.

    ``applied`` says whether the apply delivered the new values, ``reason`` why it did what it did with the sandbox.
    """

    sandbox: str
    id: str
    host: str
    names: tuple[str, ...]
    applied: bool
    reason: str

    def to_json(self) -> JsonObject:
        """Return it as in the JSON of an apply."""
        return {
            "sandbox": self.sandbox,
            "id": self.id,
            "host": self.host,
            "names": list(self.names),
            "applied": self.applied,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one change. ``error`` is empty on success; ``seconds`` is how long it took.

    ``services`` says what was done with each service, as its backend reports it; a failed change may have done less.
    ``transient`` marks an error that may not recur on a retry: the host was lost. ``requested`` is a create that ended
    with its record, to be finished later. ``change`` is the one that was carried out: a change may have been replanned
    under the lock.
    """

    change: Change
    error: str = ""
    hint: str = ""
    seconds: float = 0.0
    transient: bool = False
    services: tuple[ServiceOperation, ...] = ()
    requested: bool = False

    @property
    def ok(self) -> bool:
        """Whether the change was carried out without an error, and was not blocked."""
        return not self.error and self.change.action is not Action.BLOCKED

    @property
    def word(self) -> str:
        """What happened, in one word: ``created``, ``requested``, ``failed``, ``blocked``."""
        return "failed" if self.error else REQUESTED if self.requested else DONE_WORDS[self.change.action]

    def to_json(self, format_message: FormatMessage = message_alone) -> JsonObject:
        """Return it as in the JSON of an apply, with the change's message as ``format_message`` formats it."""
        return {
            **self.change.to_json(format_message),
            "outcome": self.word,
            "error": self.error or None,
            "hint": self.hint or None,
            "seconds": round(self.seconds, 3),
            "services": [operation.to_json() for operation in self.services],
        }
