"""Label selectors in the form of kubectl: ``team=payments,tier!=gold,region in (eu,us),!legacy``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_KEY = r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?"
# Values of labels are any text here, as in manifests, but for what separates requirements.
_VALUE = r"[^,()]*"
_EXISTS = re.compile(rf"(?P<not>!)?\s*(?P<key>{_KEY})")
_EQUALS = re.compile(rf"(?P<key>{_KEY})\s*(?P<operator>!=|==?)\s*(?P<value>{_VALUE})")
_AMONG = re.compile(rf"(?P<key>{_KEY})\s+(?P<not>not)?in\s*\((?P<values>[^()]*)\)")
# A comma separates requirements, except in parentheses.
_REQUIREMENT = re.compile(r"(?:[^,()]|\([^()]*\))+")


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on a label: the values that it may have, or with ``negated`` must not have.

    ``values`` is None if any value will do. A label that is missing satisfies only a negated requirement.
    """

    key: str
    values: frozenset[str] | None = None
    negated: bool = False

    def accepts(self, labels: Mapping[str, str]) -> bool:
        """Return whether these labels satisfy it."""
        has = self.key in labels and (self.values is None or labels[self.key] in self.values)
        return has is not self.negated


@dataclass(frozen=True, slots=True)
class Selector:
    """Requirements on labels, all of which must be satisfied; without any, every set of labels is selected."""

    requirements: tuple[Requirement, ...] = ()
    text: str = ""

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Return whether these labels satisfy all requirements."""
        return all(requirement.accepts(labels) for requirement in self.requirements)

    def __and__(self, other: Selector) -> Selector:
        """Return the selector of what both select."""
        text = ",".join(part for part in (self.text, other.text) if part)
        return Selector((*self.requirements, *other.requirements), text)


def parse_selector(text: str) -> Selector:
    """Return the selector that a text stands for. Raise ValueError, with the part at fault, if it stands for none."""
    return Selector(tuple(_requirements(text)), text.strip())


def _requirements(text: str) -> Iterator[Requirement]:
    at = 0
    while True:
        found = _REQUIREMENT.match(text, at)
        end = found.end() if found else at
        if text[end : end + 1] in ("(", ")"):
            raise ValueError(f"unbalanced parentheses in {text!r}")
        yield _requirement(text[at:end].strip())
        if end == len(text):
            return
        at = end + 1  # behind the comma


def _requirement(part: str) -> Requirement:
    if found := _EQUALS.fullmatch(part):
        return Requirement(found["key"], frozenset({found["value"].strip()}), found["operator"] == "!=")
    if found := _EXISTS.fullmatch(part):
        return Requirement(found["key"], None, bool(found["not"]))
    if found := _AMONG.fullmatch(part):
        values = frozenset(value.strip() for value in found["values"].split(","))
        return Requirement(found["key"], values, bool(found["not"]))
    raise ValueError(
        f"{part!r} is not a requirement: use KEY=VALUE, KEY!=VALUE, KEY in (A,B), KEY notin (A,B), KEY or !KEY"
    )
