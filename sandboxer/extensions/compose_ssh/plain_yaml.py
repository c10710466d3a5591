"""Reads a compose file as plain data before any engine does: bounded, anchors and merge keys resolved, no tags.

Scalars stay text because YAML's dialects disagree on ``no`` or ``2001-01-01``, and only the text is the same in all.
What two dialects read differently is refused here, so that the data has one meaning: see ``plain_form``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_ALIASES = 1000
MAX_NODES = 100_000
MAX_DOCUMENTS = 100
MAX_KEY = 500
RESET, OVERRIDE = "!reset", "!override"

_NULL = ("", "~", "null", "Null", "NULL")
_BOOL = ("true", "True", "TRUE", "false", "False", "FALSE")
_NUMBER = re.compile(
    r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|[0-9]+|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
    re.ASCII,
)
_TIME = re.compile(r"[0-9]{4}-[0-9]", re.ASCII)
_MERGE = "<<"


class UnreadableError(ValueError):
    """A file that cannot be read. ``at`` is the line and column, from 1, where that is known."""

    def __init__(self, why: str, mark: Any = None) -> None:
        self.why = why
        self.at = (mark.line + 1, mark.column + 1) if mark else None
        super().__init__(f"line {self.at[0]}, column {self.at[1]}: {why}" if self.at else why)


class Plain(str):
    """A scalar without quotes: a dialect may take it for a number, a boolean or a time."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Tagged:
    """A value that replaces that of other files (``!override``), or removes it (``!reset``)."""

    tag: str
    value: Any


class Span(NamedTuple):
    """A place in a file: line and column from 1, and the number of characters on that line."""

    line: int
    column: int
    length: int


class ItemSpans(NamedTuple):
    """Where an item is: its key, None in a list, and its value."""

    key: Span | None
    value: Span


@dataclass(slots=True)
class SpanTable:
    """Where the items of the mappings and lists of some documents are, by the identity of the mapping or list.

    It keeps each of them, so that no other object gets its identity.
    """

    _of: dict[int, tuple[Any, dict[str | int, ItemSpans]]] = field(default_factory=dict)

    def put(self, container: Any, items: dict[str | int, ItemSpans]) -> None:
        """Note where the items of a mapping or list are."""
        self._of[id(container)] = (container, items)

    def of(self, container: Any) -> dict[str | int, ItemSpans]:
        """Return where the items of a mapping or list are, by key or index; nothing of one that was not read."""
        return self._of[id(container)][1] if id(container) in self._of else {}


def bare(value: Any) -> Any:
    """Return a value as it counts in its own file: None if it is reset."""
    if isinstance(value, Tagged):
        return value.value if value.tag == OVERRIDE else None
    return value


def is_number(text: str) -> bool:
    """Return whether Compose's YAML takes a scalar without quotes for a number."""
    return len(text) <= 64 and _NUMBER.fullmatch(text.replace("_", "")) is not None and text[:1] != "_"


def is_bool(text: str) -> bool:
    """Return whether every dialect takes a scalar without quotes for a boolean."""
    return text in _BOOL


def documents(data: bytes, places: SpanTable | None = None) -> list[Any]:
    """Return the file's documents in order; Compose merges them all. Note in ``places`` where their items are.

    Mappings become dicts, sequences lists, null None, scalars ``Plain`` or, quoted, text; the value of a mapping may
    be ``Tagged``. Raise UnreadableError with place and reason: not YAML or UTF-8, over 1 MiB, nested deeper than 64,
    more than 1,000 aliases or 100,000 nodes, an alias inside itself, a tag, a key twice or of another kind.
    """
    if len(data) > MAX_BYTES:
        raise UnreadableError(f"has {len(data)} bytes; the limit is {MAX_BYTES}")
    try:
        text = data.decode("utf-8-sig")
        return list(_Composer(yaml.parse(text, Loader=yaml.CSafeLoader), places).documents())
    except UnicodeDecodeError as error:
        raise UnreadableError(f"byte {error.start} is not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        raise UnreadableError(str(error.problem), error.problem_mark) from error
    except yaml.YAMLError as error:
        raise UnreadableError(" ".join(str(error).split())) from error


class _Missing:
    """The value of an alias whose anchor does not come before it."""


class _Open:
    """The value of an anchor that is not complete yet."""


class _Composer:
    """Turns events into data. An aliased value is built once and shared, so that an alias bomb stays small."""

    def __init__(self, events: Iterator[yaml.Event], places: SpanTable | None = None) -> None:
        self._events = events
        self._places = places
        self._anchors: dict[str, Any] = {}
        self._depth = self._nodes = self._aliases = self._documents = 0

    def documents(self) -> Iterator[Any]:
        for event in self._events:
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            self._documents += 1
            if self._documents > MAX_DOCUMENTS:
                _refuse(event, f"more than {MAX_DOCUMENTS} documents")
            if event.tags:
                _refuse(event, "a %TAG directive; remove it")
            self._anchors = {}
            value = self._value(next(self._events))
            if isinstance(value, Tagged):
                _refuse(event, f"{value.tag} on a whole document; remove it")
            yield value

    def _value(self, event: yaml.Event) -> Any:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        node = cast("yaml.ScalarEvent | yaml.CollectionStartEvent", event)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            _refuse(event, f"more than {MAX_NODES} values")
        if node.anchor is not None:
            self._anchors[node.anchor] = _Open
        value = self._built(node)
        if node.tag is not None:
            if node.tag not in (RESET, OVERRIDE):
                _refuse(event, f"the tag {_shown(node.tag)}; only !reset and !override are allowed")
            value = Tagged(node.tag, value)
        if node.anchor is not None:
            self._anchors[node.anchor] = value
        return value

    def _built(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> Any:
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            _refuse(event, f"nested deeper than {MAX_DEPTH}")
        value = self._sequence() if isinstance(event, yaml.SequenceStartEvent) else self._mapping()
        self._depth -= 1
        return value

    def _alias(self, event: yaml.AliasEvent) -> Any:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            _refuse(event, f"more than {MAX_ALIASES} aliases")
        value = self._anchors.get(str(event.anchor), _Missing)
        if value is _Missing:
            _refuse(event, f"the alias *{event.anchor} has no anchor before it")
        if value is _Open:
            _refuse(event, "recursive alias")
        return value

    def _sequence(self) -> list[Any]:
        items: list[Any] = []
        places: dict[str | int, ItemSpans] = {}
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            value = self._value(event)
            if isinstance(value, Tagged):
                _refuse(event, f"{value.tag} in a list; put it on the list")
            if self._places is not None:
                places[len(items)] = ItemSpans(None, _span(event))
            items.append(value)
        if self._places is not None:
            self._places.put(items, places)
        return items

    def _mapping(self) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] | None = None
        places: dict[str | int, ItemSpans] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._key(event)
            value = self._value(begin := next(self._events))
            if key == _MERGE:
                if merged is not None:
                    _refuse(event, "the key duplicate key `<<`; give it a list")
                merged = self._merged(event, value)
                places = self._places_of(value) | places
            elif key in own:
                _refuse(event, f"duplicate key `{_shown(key)}`")
            else:
                own[key] = value
                if self._places is not None:
                    places[key] = ItemSpans(_span(event), _span(begin))
        result = (merged | own) if merged else own
        if self._places is not None:
            self._places.put(result, places)
        return result

    def _key(self, event: yaml.Event) -> str:
        if not isinstance(event, yaml.ScalarEvent) or event.tag is not None:
            _refuse(event, "a key that is not plain text")
        key = self._value(event)
        if key is None or (isinstance(key, Plain) and (is_number(key) or is_bool(key) or _TIME.match(key))):
            _refuse(event, f"the key `{_shown(event.value)}` is not a string to Compose; quote it")
        if len(key) > MAX_KEY:
            _refuse(event, f"a key of more than {MAX_KEY} characters")
        if key == _MERGE and not isinstance(key, Plain):
            _refuse(event, 'the key "<<" in quotes, which some take for a merge; rename it')
        return str(key)

    def _merged(self, event: yaml.Event, value: Any) -> dict[str, Any]:
        """Return the content of a merge key: of several mappings, the first that has a key counts."""
        merged: dict[str, Any] = {}
        for part in reversed(value if isinstance(value, list) else [value]):
            if not isinstance(part, dict):
                _refuse(event, "`<<` takes a mapping, or a list of mappings")
            self._nodes += len(part)
            if self._nodes > MAX_NODES:
                _refuse(event, f"more than {MAX_NODES} values")
            merged.update(part)
        return merged

    def _places_of(self, value: Any) -> dict[str | int, ItemSpans]:
        """Return where the items of a merge key are."""
        places: dict[str | int, ItemSpans] = {}
        for part in reversed(value if isinstance(value, list) else [value]):
            places.update({} if self._places is None else self._places.of(part))
        return places


def _span(event: yaml.Event) -> Span:
    start, end = cast("yaml.Mark", event.start_mark), cast("yaml.Mark", event.end_mark)
    length = end.column - start.column if end.line == start.line else 1
    return Span(start.line + 1, start.column + 1, max(length, 1))


def _scalar(event: yaml.ScalarEvent) -> Any:
    if "\x00" in event.value:
        _refuse(event, "a NUL character, which no container can be given")
    if event.style:
        return str(event.value)
    return None if event.value in _NULL else Plain(event.value)


def _refuse(event: yaml.Event, why: str) -> NoReturn:
    raise UnreadableError(why, event.start_mark)


def _shown(text: str) -> str:
    return ascii(text[:60])[1:-1]
