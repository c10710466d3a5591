"""Turns the documents of a compose file into nodes: variables filled in, ``x-`` fields left out, tags noted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.expected.interpolation import NotFilledInError
from sandboxer.extensions.compose_ssh.expected.nodes import Mark, Node, typed
from sandboxer.extensions.compose_ssh.plain_form import PARTS, SECTIONS
from sandboxer.extensions.compose_ssh.plain_yaml import OVERRIDE, Tagged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.extensions.compose_ssh.expected.interpolation import Environment
    from sandboxer.extensions.compose_ssh.expected.nodes import Budget
    from sandboxer.extensions.compose_ssh.plain_yaml import Span, SpanTable

Tags = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file. ``tags`` are the paths at which it replaces or removes what other files have."""

    node: Node
    tags: Tags


@dataclass(frozen=True, slots=True)
class Problem:
    """Something for which Compose refuses the files: where, and why. ``for_both``: podman-compose refuses it too."""

    mark: Mark
    why: str
    for_both: bool = True


@dataclass(slots=True)
class Reader:
    """Reads the documents of compose files. ``problems`` and ``unset`` variables are collected with their places."""

    places: SpanTable
    budget: Budget
    problems: list[Problem] = field(default_factory=list)
    unset: dict[tuple[Mark, str], None] = field(default_factory=dict)

    def document(self, document: Any, file: str, environment: Environment) -> Document:
        """Return one document of a file, its variables filled in from ``environment``."""
        return _Reading(self, file, environment).document(document)


class _Reading:
    """One document. A value that aliases share is built once."""

    def __init__(self, reader: Reader, file: str, environment: Environment) -> None:
        self._reader = reader
        self._file = file
        self._environment = environment
        self._shared: dict[tuple[int, int], tuple[Any, Tags]] = {}

    def document(self, document: Any) -> Document:
        value, tags = self._mapping(document, 3) if isinstance(document, dict) else (self._list_or_none(document), ())
        return Document(Node(value, Mark(self._file)), tags)

    @staticmethod
    def _list_or_none(document: Any) -> Any:
        return [] if isinstance(document, list) else document

    def _value(self, value: Any, at: Mark, level: int) -> tuple[Any, str, Tags]:
        """Return a value, why it is not known, and the tags in it. ``level`` says which mappings have ``x-`` fields."""
        if isinstance(value, dict | list):
            key = (id(value), level)
            if key not in self._shared:
                self._shared[key] = self._mapping(value, level) if isinstance(value, dict) else (self._list(value), ())
            built, tags = self._shared[key]
            return built, "", tags
        scalar = typed(value)
        return (*self._filled(scalar, at), ()) if isinstance(scalar, str) else (scalar, "", ())

    def _mapping(self, mapping: Mapping[str, Any], level: int) -> tuple[dict[str, Node], Tags]:
        """Return a mapping's entries, and the paths of its tags.

        Levels are 3 for a document, 2 for a section such as ``services``, 1 for an entry of it, 0 for all below.
        """
        places = self._reader.places.of(mapping)
        built: dict[str, Node] = {}
        tags: list[tuple[str, ...]] = []
        for key, given in mapping.items():
            if key.startswith("x-") and level in (1, 3, _PART):
                continue
            self._reader.budget.spend()
            place = places.get(key)
            at = self._mark(place.value if place else None)
            value, below = given, _below(level, key)
            if isinstance(given, Tagged):
                tags.append((key,))
                if given.tag != OVERRIDE:
                    continue
                value = given.value
            made, unknown, inner = self._value(value, at, below)
            tags += [(key, *path) for path in inner]
            built[key] = Node(made, at, self._mark(place.key if place else None), unknown)
        return built, tuple(tags)

    def _list(self, items: list[Any]) -> list[Node]:
        places = self._reader.places.of(items)
        built = []
        for index, item in enumerate(items):
            self._reader.budget.spend()
            at = self._mark(places[index].value if index in places else None)
            value, unknown, _ = self._value(item, at, 0)
            built.append(Node(value, at, None, unknown))
        return built

    def _filled(self, text: str, at: Mark) -> tuple[str, str]:
        self._environment.unset.clear()
        try:
            filled, unknown = self._environment.fill(text)
        except NotFilledInError as error:
            self._reader.problems.append(Problem(at, str(error), for_both=error.for_both))
            return "", str(error)
        self._reader.unset.update(((at, name), None) for name in self._environment.unset)
        return filled, unknown

    def _mark(self, span: Span | None) -> Mark:
        return Mark(self._file, *span) if span else Mark(self._file)


_PART = -1


def _below(level: int, key: str) -> int:
    """Return the level of the mapping below a key."""
    if level == 3:
        return 2 if key in SECTIONS else 0
    if level == 1:
        return _PART if key in PARTS else 0
    return 1 if level == 2 else 0
