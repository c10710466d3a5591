"""A rule of a backend: a function that provokes it, with a docstring that states it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable


class RuleBroken(Exception):
    """The backend does not keep to the rule; the message says what was observed."""


class RuleSkipped(Exception):
    """The rule does not apply to this extension; the message says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its name, what it demands, and the function that checks it.

    ``capability`` is the operation that the extension has to declare for it; empty where it applies to every one.
    """

    name: str
    statement: str
    check: Callable[[Any], None]
    capability: str = ""


def rules_of(*modules: object) -> tuple[Rule, ...]:
    """Return the rules of these modules: every public function defined there, in order."""
    found = []
    for module in modules:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == getattr(module, "__name__", "") and not name.startswith("_"):
                found.append((modules.index(module), function.__code__.co_firstlineno, function))
    return tuple(_rule(function) for _, _, function in sorted(found, key=lambda one: one[:2]))


def needs(capability: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Mark a rule as one of extensions that declare a capability."""

    def mark(check: Callable[[Any], None]) -> Callable[[Any], None]:
        check.__dict__["capability"] = capability
        return check

    return mark


def demand(held: object, observed: str) -> None:
    """Raise RuleBroken unless the condition holds; ``observed`` describes what was observed instead."""
    if not held:
        raise RuleBroken(observed)


def skip(why: str) -> NoReturn:
    """Raise RuleSkipped."""
    raise RuleSkipped(why)


def _rule(check: Callable[[Any], None]) -> Rule:
    statement = " ".join((check.__doc__ or "").split())
    return Rule(check.__name__.replace("_", "-"), statement, check, check.__dict__.get("capability", ""))
