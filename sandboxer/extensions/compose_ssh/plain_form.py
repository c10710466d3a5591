"""The plain form of a compose file, which is all that Compose is given: nothing in it has two meanings.

JSON's syntax in ASCII, every key in quotes; no anchors, aliases or merge keys, and no tag but ``!reset`` and
``!override``. Unquoted are only null and what Compose's YAML takes for a number or a boolean, because the file had it
there; all other scalars are strings in every dialect. Fields named ``x-`` are left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.plain_yaml import MAX_DEPTH, OVERRIDE, Plain, Tagged, is_bool, is_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MAX_NODES = 100_000
MAX_BYTES = 4 * 1024 * 1024

SECTIONS = ("services", "networks", "volumes", "secrets", "configs")
PARTS = ("build", "deploy", "develop", "healthcheck", "logging")
# YAML 1.1, and so podman-compose, takes these for booleans, and Compose for strings: each reads them as before.
_WORDS = re.compile(r"(?:yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF)", re.ASCII)
_ESCAPED = re.compile(r'["\\]|[^\x20-\x7e]')


@dataclass(slots=True)
class Budget:
    """How much all files together may still come to, with aliases written out. Raise ValueError beyond."""

    nodes: int = MAX_NODES
    bytes: int = MAX_BYTES

    def spend(self, size: int) -> None:
        """Count one value of ``size`` bytes."""
        self.nodes -= 1
        self.bytes -= size
        if self.nodes < 0 or self.bytes < 0:
            raise ValueError(
                f"comes to more than {MAX_NODES} values or {MAX_BYTES} bytes once its aliases are written out"
            )


def plain_form(documents: Iterable[Any], budget: Budget) -> bytes:
    """Return the documents of one file, written out. Raise ValueError if they are too large or too deep."""
    given = [document for document in documents if document is not None] or [None]
    return b"".join(b"---\n" + _Writer(budget).text(without_extensions(document)) for document in given)


def without_extensions(document: Any) -> Any:
    """Return a document without its ``x-`` fields; in a mapping of the user's own names they are not such fields."""
    if not isinstance(document, dict):
        return document
    plain = _dropped(document)
    for section in SECTIONS:
        if section in plain:
            plain[section] = _within(plain[section], lambda entry: _within(entry, _entry, drop=True), each=True)
    return plain


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    parts = {key: _within(entry[key], _dropped) for key in PARTS if key in entry}
    return entry | parts


def _dropped(mapping: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in mapping.items() if not key.startswith("x-")}


def _within(value: Any, change: Callable[[Any], Any], *, each: bool = False, drop: bool = False) -> Any:
    """Return a mapping changed, or each of its values; what is not a mapping, or is reset, stays as it is."""
    if isinstance(value, Tagged):
        return Tagged(value.tag, _within(value.value, change, each=each, drop=drop)) if value.tag == OVERRIDE else value
    if not isinstance(value, dict):
        return value
    if each:
        return {key: change(item) for key, item in value.items()}
    return change(_dropped(value) if drop else value)


class _Writer:
    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._parts: list[str] = []

    def text(self, value: Any) -> bytes:
        self._write(value, 0)
        self._parts.append("\n")
        return "".join(self._parts).encode("ascii")

    def _put(self, text: str) -> None:
        self._budget.spend(len(text))
        self._parts.append(text)

    def _write(self, value: Any, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ValueError(f"is nested deeper than {MAX_DEPTH} once its aliases are written out")
        if isinstance(value, Tagged):
            self._put(f"{value.tag} ")
            self._write(value.value if value.tag == OVERRIDE else None, depth)
        elif isinstance(value, dict):
            self._put("{")
            self._items([(quoted(key) + ": ", item) for key, item in value.items()], depth)
            self._put("}")
        elif isinstance(value, list):
            self._put("[")
            self._items([("", item) for item in value], depth)
            self._put("]")
        else:
            self._put(_scalar(value))

    def _items(self, items: Sequence[tuple[str, Any]], depth: int) -> None:
        for number, (key, item) in enumerate(items):
            self._put((",\n" if number else "\n") + key)
            self._write(item, depth + 1)


def _scalar(value: str | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, Plain) and (is_number(value) or is_bool(value) or _WORDS.fullmatch(value)):
        return str(value)
    return quoted(value)


def quoted(text: str) -> str:
    """Return a text in double quotes, in ASCII, as every dialect of YAML reads it back."""
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    if character in '"\\':
        return "\\" + character
    number = ord(character)
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
