"""Fills in ``${NAME}`` and its forms as Compose does, with what is known of a sandbox's variables."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# In place of a variable's value that is not known here; no finding that has it is reported.
STAND_IN = "sandboxer.unknown."
MAX_DOLLARS = 100
MAX_STEPS = 5_000_000
MAX_CHARACTERS = 8 * 1024 * 1024

_PATTERN = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<named>[_a-z][_a-z0-9]*)|\{(?:(?P<braced>[_a-z][_a-z0-9]*(?::?[-+?](?:.*))?)\}|(?P<invalid>)))",
    re.IGNORECASE | re.ASCII,
)
_OPERATORS = (":?", "?", ":-", "-", ":+", "+")
# Compose, its plugin loader or podman-compose may set these by themselves, or the host's shell does.
_OF_THE_HOST = re.compile(r"PWD|HOME|PATH|OLDPWD|SHLVL|_|(?:COMPOSE|DOCKER|BUILDKIT|PODMAN|OTEL|XDG|SANDBOXER)_.*")


class NotFilledInError(ValueError):
    """A text that Compose refuses to fill in; the message says why. ``for_both``: podman-compose does so too."""

    def __init__(self, why: str, *, for_both: bool) -> None:
        super().__init__(why)
        self.for_both = for_both


@dataclass(slots=True)
class Environment:
    """The variables of a file, and what filling them in has shown.

    ``values`` are by name; None for one that is set to something that is not known here, such as a secret. ``unset``
    are those that a text needed, without a default, and that nothing sets.
    """

    values: Mapping[str, str | None]
    unset: dict[str, None] = field(default_factory=dict)
    _steps: int = MAX_STEPS
    _characters: int = MAX_CHARACTERS

    def fill(self, text: str) -> tuple[str, str]:
        """Return the text with its variables filled in, and why that is not exact, or an empty text.

        Raise NotFilledInError where Compose would refuse it.
        """
        if "$" not in text:
            return text, ""
        dollars = text.count("$")
        self._steps -= dollars * len(text)
        if dollars > MAX_DOLLARS or self._steps < 0 or self._characters < 0:
            return f"{STAND_IN}{len(text)}", "it has too many variables"
        filling = _Filling(self)
        filled = filling.text(text)
        self._characters -= len(filled)
        names = ", ".join(dict.fromkeys(filling.unknown))
        return filled, f"it depends on {names}, whose value is not known here" if names else ""

    def lookup(self, name: str) -> tuple[str | None, bool]:
        """Return the value of a variable, None if it is not known here, and whether it is set."""
        if name in self.values:
            return self.values[name], True
        return None, _OF_THE_HOST.fullmatch(name) is not None


class _Filling:
    """One text's substitution."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.unknown: list[str] = []

    def text(self, text: str) -> str:
        return _PATTERN.sub(self._replaced, text)

    def _replaced(self, match: re.Match[str]) -> str:
        whole = match.group()
        closing = _closing_brace(whole)
        rest = whole[closing + 1 :] if closing >= 0 else ""
        found = _PATTERN.match(whole[: closing + 1] if closing >= 0 else whole)
        if found is None or found["invalid"] is not None:
            raise NotFilledInError(f"`{whole[:60]}` is no variable; write `$$` for a dollar sign", for_both=False)
        if found["escaped"]:
            return "$"
        braced = found["braced"]
        if braced is None:
            return self._value(found["named"])
        operator = min((one for one in _OPERATORS if one in braced), key=braced.index, default="")
        if not operator:
            return self._value(braced)
        name, _, words = braced.partition(operator)
        return self._chosen(name, operator, words) + self.text(rest)

    def _value(self, name: str) -> str:
        value, is_set = self._environment.lookup(name)
        if value is None and is_set:
            return self._stand_in(name)
        if not is_set:
            self._environment.unset[name] = None
        return value or ""

    def _chosen(self, name: str, operator: str, words: str) -> str:
        value, is_set = self._environment.lookup(name)
        other = self.text(words)
        if value is None and is_set:
            return self._stand_in(name + operator + other)
        good = bool(value) if operator[0] == ":" else is_set
        if operator[-1] == "+":
            return other if good else value or ""
        if good:
            return value or ""
        if operator[-1] == "?":
            reason = f": {other}" if other else ""
            raise NotFilledInError(f"the variable {name} has no value{reason}; set it under `env`", for_both=True)
        return other

    def _stand_in(self, words: str) -> str:
        self.unknown.append(re.split(r"[^A-Za-z0-9_]", words, maxsplit=1)[0])
        return STAND_IN + words


def _closing_brace(text: str) -> int:
    """Return where the first variable in braces ends, counted as Compose does; -1 if nowhere."""
    depth, at = 0, 0
    while at < len(text):
        if text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        if text[at] == "{":
            depth += 1
            at += 1
        at += 1
    return -1
