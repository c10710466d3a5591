"""What to do about a fault, as a code with values: the planner knows no option, and each interface words the code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class RemedyCode(StrEnum):
    """The remedies, each with its values; readers tolerate new members. ``host`` may be empty where none is certain."""

    CHECK_HOST = "check_host"  # host
    START_ENGINE = "start_engine"  # host
    ALLOW_ENGINE = "allow_engine"  # host
    INSPECT_HOST = "inspect_host"  # host
    FORGET_HOST = "forget_host"  # host
    DRAIN_HOST = "drain_host"  # host
    MAKE_ROOM = "make_room"
    RENAME = "rename"
    CHECK_INPUT = "check_input"
    CHANGE_INPUT = "change_input"
    PROVIDE_SECRET = "provide_secret"  # noqa: S105 - a word of the contract, not a secret
    AWAIT_LOCK = "await_lock"
    ALLOW_ROLLBACK = "allow_rollback"  # host
    ADOPT_FLEET = "adopt_fleet"
    ALLOW_RENAME = "allow_rename"  # fleet
    ALLOW_EMPTY = "allow_empty"
    RAISE_MAX_DELETES = "raise_max_deletes"  # count
    REPLACE = "replace"  # sandbox
    COMPARE_CONTENTS = "compare_contents"  # sandbox
    RAISE_TTL = "raise_ttl"  # sandbox
    DESTROY_UNRECORDED = "destroy_unrecorded"  # id
    PLAN_AGAIN = "plan_again"
    PLAN_FEWER = "plan_fewer"
    PLANNED_COMMIT = "planned_commit"  # commit


@dataclass(frozen=True, slots=True)
class Remedy:
    """A remedy: its code, and the values that its wording needs, by name."""

    code: RemedyCode
    values: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, str | dict[str, str]]:
        """Return it as in a plan's JSON."""
        return {"code": self.code.value, "values": dict(self.values)}


def remedy_of(code: RemedyCode, **values: str) -> Remedy:
    """Return the remedy with these values."""
    return Remedy(code, tuple(values.items()))


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to know before acting: a sentence, and what to do about it."""

    message: str
    remedy: Remedy | None = None


FormatMessage = Callable[[str, Remedy | None], str]
"""How an interface formats a message for programs: the message, or the message and its remedy."""


def message_alone(message: str, _remedy: Remedy | None) -> str:
    """Return the message as it is."""
    return message
