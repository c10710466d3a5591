"""Nodes: the values of compose files, each with the place where it was written."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.plain_yaml import Plain, is_bool, is_number

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str | int, ...]


class TooLargeError(ValueError):
    """The files come to more than is evaluated here."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file of the input: line and column from 1, and a number of characters on that line."""

    file: str
    line: int = 1
    column: int = 1
    length: int = 1


@dataclass(frozen=True, slots=True)
class Node:
    """A value and where it was written; ``key`` is the place of its key.

    ``value`` is a scalar, a mapping of names to nodes or a list of nodes; whoever gets one changes none of them.
    ``unknown`` says why the value is not known here, and is empty where it is: then ``value`` stands in its place.
    """

    value: Any
    at: Mark
    key: Mark | None = None
    unknown: str = ""

    def holding(self, value: Any) -> Node:
        """Return a node with another value at the same place."""
        return replace(self, value=value)

    @property
    def mark(self) -> Mark:
        """The place to show: a scalar's own, else that of the key."""
        if self.key is not None and (self.value is None or isinstance(self.value, dict | list)):
            return self.key
        return self.at

    def entries(self) -> dict[str, Node]:
        """Return the entries of a mapping; nothing of another value."""
        return self.value if isinstance(self.value, dict) else {}

    def items(self) -> list[Node]:
        """Return the items of a list; nothing of another value."""
        return self.value if isinstance(self.value, list) else []

    def get(self, *keys: str) -> Node | None:
        """Return the node below some keys, one in the other; None if there is none."""
        found: Node | None = self
        for key in keys:
            found = found.entries().get(key) if found is not None else None
        return found

    def with_entry(self, key: str, entry: Node) -> Node:
        """Return the mapping with an entry put in."""
        return self.holding(self.entries() | {key: entry})


@dataclass(slots=True)
class Budget:
    """How many nodes may still be made or copied. Raise TooLargeError beyond."""

    nodes: int = 200_000

    def spend(self, count: int = 1) -> None:
        """Count some nodes."""
        self.nodes -= count
        if self.nodes < 0:
            raise TooLargeError("the compose files come to too many values to be evaluated without the host")


def plain(node: Node, budget: Budget) -> Any:
    """Return the bare value of a node, with everything in it."""
    budget.spend()
    if isinstance(node.value, dict):
        return {key: plain(item, budget) for key, item in node.value.items()}
    if isinstance(node.value, list):
        return [plain(item, budget) for item in node.value]
    return node.value


def unknowns(node: Node, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield the path of each value that is not known, and why."""
    if node.unknown:
        yield path, node.unknown
    elif isinstance(node.value, dict):
        for key, item in node.value.items():
            yield from unknowns(item, (*path, key))
    elif isinstance(node.value, list):
        for index, item in enumerate(node.value):
            yield from unknowns(item, (*path, index))


def typed(scalar: Any) -> Any:
    """Return a scalar as Compose's YAML reads it: a number or a boolean if it is one without quotes, else text."""
    if not isinstance(scalar, Plain):
        return scalar
    if is_bool(scalar):
        return scalar.lower() == "true"
    return _number(str(scalar)) if is_number(scalar) else str(scalar)


def _number(text: str) -> Any:
    bare = text.replace("_", "")
    sign, digits = (-1, bare[1:]) if bare[:1] == "-" else (1, bare.removeprefix("+"))
    base = {"0x": 16, "0b": 2, "0o": 8}.get(digits[:2].lower())
    try:
        if base is not None:
            return sign * int(digits[2:], base)
        if digits.isdigit():
            return sign * int(digits, 8 if len(digits) > 1 and digits[0] == "0" else 10)
    except ValueError:
        pass  # such as 09, which is no number in base 8
    number = sign * float(digits.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text if math.isinf(number) and "inf" not in digits.lower() else number


def shown(value: Any) -> str:
    """Return a scalar as Compose writes it where text is needed."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return _float(value)
    return "" if value is None else str(value)


def _float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    text = repr(value)
    mantissa, _, exponent = text.partition("e")
    if exponent and int(exponent) >= 21:
        return f"{mantissa.removesuffix('.0')}e+{int(exponent):02d}"
    if exponent and int(exponent) < 0:
        return f"{mantissa.removesuffix('.0')}e-{-int(exponent):02d}"
    return f"{value:.0f}" if value.is_integer() else text
