"""A compose file as plain data, before any engine reads it: bounded, every scalar as text, tags set aside.

Scalars stay text because YAML's dialects disagree on ``no`` or ``2001-01-01``, and only the text is the same in all.
"""

from __future__ import annotations

from typing import Any

import yaml

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_ALIASES = 1000

_MERGE = "tag:yaml.org,2002:merge"
_NULL = "tag:yaml.org,2002:null"


def documents(data: bytes) -> list[Any]:
    """The file's documents, one after the other, for Compose merges them all.

    Raises ValueError with the place and the reason: no YAML or UTF-8, over 1 MiB, nested deeper than 64, more than
    1,000 aliases, an alias inside of itself, a key twice.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"has {len(data)} bytes; the limit is {MAX_BYTES}")
    try:
        text = data.decode()
        _check_bounds(text)
        return [_Plain().of(node) for node in yaml.compose_all(text, Loader=yaml.CSafeLoader)]
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        raise ValueError(f"{_place(error.problem_mark)}{error.problem}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _check_bounds(text: str) -> None:
    """Reads the events alone, which needs no recursion, so that no nesting can exhaust the composer's stack."""
    depth = aliases = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.AliasEvent):
            aliases += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"{_place(event.start_mark)}nested deeper than {MAX_DEPTH}")
        if aliases > MAX_ALIASES:
            raise ValueError(f"{_place(event.start_mark)}more than {MAX_ALIASES} aliases")


class _Plain:
    """Turns nodes to data; an aliased node is turned once and shared, so that an alias bomb stays small."""

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}
        self._open: set[int] = set()

    def of(self, node: yaml.Node) -> Any:
        if id(node) in self._done:
            return self._done[id(node)]
        if id(node) in self._open:
            raise ValueError(f"{_place(node.start_mark)}an alias inside of itself")
        self._open.add(id(node))
        value = self._build(node)
        self._open.discard(id(node))
        self._done[id(node)] = value
        return value

    def _build(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.SequenceNode):
            return [self.of(item) for item in node.value]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node)
        return None if node.tag == _NULL else str(node.value)

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                value = self.of(value_node)
                for part in reversed(value if isinstance(value, list) else [value]):
                    merged.update(part if isinstance(part, dict) else {})
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                raise ValueError(f"{_place(key_node.start_mark)}a key that is not text")
            if key_node.value in own:
                raise ValueError(f"{_place(key_node.start_mark)}the key `{key_node.value}` a second time")
            own[key_node.value] = self.of(value_node)
        return merged | own


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
