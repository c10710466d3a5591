"""Bounded YAML with positions: plain values, each with its position, and a finding for each error.

Scalars are read by the core schema of YAML 1.2, decimal numbers only: ``no`` and ``0644`` are strings, as they look,
not a boolean and an octal number. Tags and merge keys are rejected. Limits are checked while libyaml parses, before
anything is built, so that no document costs more than a second or a few dozen MiB.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from sandboxer.model.text import printable
from sandboxer.profiles.yaml_positions import Node, Path, Positions

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_ALIASES = 1_000
#: Values in one file, with each alias counted as all the values that it stands for.
MAX_NODES = 50_000
#: Values in all files of a fleet, counted likewise: more than 5,000 sandboxes have, and some 100 MiB of memory.
MAX_NODES_IN_ALL = 200_000

__all__ = [
    "MAX_NODES",
    "MAX_NODES_IN_ALL",
    "Budget",
    "Finding",
    "Node",
    "Path",
    "Positions",
    "Source",
    "describe",
    "read",
]

_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?(?:[eE][-+]?[0-9]{1,3})?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """An error in the YAML itself. ``line`` and ``column`` count from 0; ``path`` is its path in the document."""

    code: str
    message: str
    hint: str
    line: int = 0
    column: int = 0
    width: int = 1
    path: Path = ()


@dataclass(slots=True)
class Source:
    """One file: its text, its documents as far as they could be read, and the errors in the YAML."""

    file: str
    text: str = ""
    documents: list[Node] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Return the lines of the text, split at each call: most files do not need them."""
        return _BREAK.split(self.text)


@dataclass(slots=True)
class Budget:
    """The number of values that may still be read from a fleet's files."""

    left: int = MAX_NODES_IN_ALL

    def take(self, size: int) -> bool:
        """Take ``size`` values from it; return whether it had as many."""
        self.left -= size
        return self.left >= 0


class _LimitError(Exception):
    """A limit was exceeded: nothing more of this file is read."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.code)
        self.finding = finding


def read(file: str, data: bytes, budget: Budget | None = None) -> Source:
    """Read a file's documents, as far as ``budget`` allows. Empty ones are left out.

    Never raise: errors are in ``findings``.
    """
    source = Source(file)
    if len(data) > MAX_BYTES:
        source.findings.append(Finding("too-large", "the file is larger than 1 MiB", "split it into several files"))
        return source
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", "replace")
        source.text = data.decode("utf-8-sig", "replace")
        source.findings.append(
            Finding("not-utf8", f"byte 0x{data[error.start]:02x} is not UTF-8", "save the file as UTF-8", *_end(before))
        )
        return source
    source.text = text
    if bad := _UNPRINTABLE.search(text):
        message = f"the control character U+{ord(bad[0]):04X} is not allowed in YAML"
        hint = 'remove it, or write it as an escape in double quotes: "\\x07"'
        source.findings.append(Finding("control-character", message, hint, *_end(text[: bad.start()])))
        return source
    builder = _Builder(source, budget or Budget())
    try:
        builder.run(yaml.parse(text, Loader=yaml.CSafeLoader))
    except _LimitError as refused:
        source.findings.append(refused.finding)
    except yaml.YAMLError as error:
        source.findings.append(_syntax_error(error))
    return source


def _end(text: str) -> tuple[int, int]:
    """Return line and column, from 0, of what follows ``text``."""
    lines = _BREAK.split(text)
    return len(lines) - 1, len(lines[-1])


def _syntax_error(error: yaml.YAMLError) -> Finding:
    """Return libyaml's message at libyaml's position."""
    mark, opened = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    parts = [part for part in (getattr(error, "problem", None), getattr(error, "context", None)) if part]
    message = ", ".join(parts) or "not valid YAML"
    if opened is not None and (mark is None or "end of stream" in message):
        mark = opened
    hint = "check the indentation, quotes and brackets here and just before"
    if "tab character" in message or "'\\t'" in message:
        hint = "indent with blanks, not with tabs"
    elif "cannot start any token" in message:
        hint = "quote a value that starts with this character"
    elif "mapping values are not allowed" in message:
        hint = "check the indentation; quote a value that contains `: `"
    return Finding("yaml-syntax", message, hint, mark.line if mark else 0, mark.column if mark else 0)


class _Builder:
    """A builder of nodes from libyaml's events, which counts them."""

    def __init__(self, source: Source, budget: Budget) -> None:
        self._source = source
        self._budget = budget
        self._nodes = 0
        self._aliases = 0

    def run(self, events: Iterator[Any]) -> None:
        """Read the whole stream of events into the source's documents."""
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                root = _Document(self, self._source.findings).build(events)
                if root.value is not None or root.text:
                    self._source.documents.append(root)

    def count(self, size: int, event: Any) -> None:
        """Count ``size`` more values; reject the file if there are too many."""
        self._nodes += size
        if not self._budget.take(size):
            message = f"the manifests of the fleet hold more than {MAX_NODES_IN_ALL:,} values together"
            hint = "reduce the number of values, or split the fleet into several, each with its own sandboxer.yaml"
            raise _LimitError(_at(event, "too-many-values", message, hint))
        if self._nodes > MAX_NODES:
            message = f"the file holds more than {MAX_NODES:,} values, with aliases expanded"
            raise _LimitError(_at(event, "too-many-values", message, "reduce the number of values, or split the file"))

    def count_alias(self, event: Any) -> None:
        """Count an alias; reject the file if there are too many."""
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            message = f"the file holds more than {MAX_ALIASES:,} aliases"
            raise _LimitError(_at(event, "too-many-aliases", message, "replace the aliases with their values"))


@dataclass(slots=True)
class _Open:
    """A mapping or list that has not ended yet."""

    line: int
    column: int
    anchor: str | None
    is_mapping: bool
    children: dict[str | int, Node] = field(default_factory=dict)
    key: Node | None = None

    def close(self) -> Node:
        """Return its node."""
        children = self.children.values()
        values = {key: child.value for key, child in self.children.items()}
        return Node(
            values if self.is_mapping else list(values.values()),
            self.line,
            self.column,
            children=self.children,
            size=1 + sum(child.size for child in children),
            height=max((child.height + 1 for child in children), default=1),
        )

    def take_key(self, key: Node | None) -> None:
        """Wait for the value of this key; with None, for a key."""
        self.key = key


class _Document:
    """A builder of one document. The stack holds what is open, outermost first."""

    def __init__(self, builder: _Builder, findings: list[Finding]) -> None:
        self._builder = builder
        self._findings = findings
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}

    def build(self, events: Iterator[Any]) -> Node:
        """Consume events up to the document's end and return its root."""
        root = Node(None, 0, 0)
        for event in events:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                done = self._scalar(event)
            elif kind is yaml.AliasEvent:
                done = self._alias(event)
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                self._open(event, is_mapping=kind is yaml.MappingStartEvent)
                continue
            elif kind is yaml.DocumentEndEvent:
                break
            else:
                done = self._close()
            if self._stack:
                self._add(done)
            else:
                root = done
        return root

    def _find(self, event: Any, code: str, message: str, hint: str) -> None:
        self._findings.append(_at(event, code, message, hint, self._path()))

    def _path(self) -> Path:
        steps: list[str | int] = []
        for level in self._stack:
            if not level.is_mapping:
                steps.append(len(level.children))
            elif level.key is not None:
                steps.append(level.key.value if isinstance(level.key.value, str) else "?")
        return tuple(steps)

    def _check_tag(self, event: Any) -> None:
        if event.tag is not None and event.tag != "!":
            tag = printable(event.tag.replace("tag:yaml.org,2002:", "!!"))
            self._find(event, "tag", f"the tag `{tag}` is not allowed", "remove it; quote a value to make it a string")

    def _scalar(self, event: Any) -> Node:
        self._builder.count(1, event)
        self._check_tag(event)
        start, end = event.start_mark, event.end_mark
        text = event.value
        value = text if event.style or event.tag else self._plain(event, text)
        width = end.column - start.column if end.line == start.line else 1
        node = Node(value, start.line, start.column, max(width, 1), text=text)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _plain(self, event: Any, text: str) -> Any:
        """Return the value of an unquoted scalar."""
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            number = float(text)
            if math.isfinite(number):
                return number
        elif not _NOT_FINITE.fullmatch(text):
            return text
        self._find(event, "not-finite", f"`{text}` is not a finite number", "write a number, or quote it")
        return None

    def _alias(self, event: Any) -> Node:
        self._builder.count_alias(event)
        target = self._anchors.get(event.anchor)
        if target is None:
            recursive = event.anchor in self._anchors
            message = f"the alias `*{printable(event.anchor)}` " + (
                "contains itself" if recursive else "has no anchor before it"
            )
            self._find(event, "bad-alias", message, "replace the alias with its value")
            return Node(None, event.start_mark.line, event.start_mark.column, text="*")
        self._builder.count(target.size, event)
        if len(self._stack) + target.height > MAX_DEPTH:
            raise _LimitError(_too_deep(event))
        # A new node: the same value under another key.
        return Node(
            target.value, target.line, target.column, target.width, target.children, None, target.text, target.size,
            target.height,
        )  # fmt: skip

    def _open(self, event: Any, *, is_mapping: bool) -> None:
        self._builder.count(1, event)
        if len(self._stack) >= MAX_DEPTH:
            raise _LimitError(_too_deep(event))
        self._check_tag(event)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(_Open(event.start_mark.line, event.start_mark.column, event.anchor, is_mapping))

    def _close(self) -> Node:
        level = self._stack.pop()
        node = level.close()
        if level.anchor is not None:
            self._anchors[level.anchor] = node
        return node

    def _add(self, node: Node) -> None:
        """Add a finished node to its parent: to a list, as a key, or as a key's value."""
        level = self._stack[-1]
        if not level.is_mapping:
            level.children[len(level.children)] = node
        elif level.key is None:
            level.take_key(node)
        else:
            self._add_pair(level, level.key, node)

    def _add_pair(self, level: _Open, key: Node, node: Node) -> None:
        name, position = key.value, (key.line, key.column, key.width)
        level.take_key(None)
        if isinstance(name, str) and name not in level.children and name != "<<":
            node.belong_to(position)
            level.children[name] = node
            return
        path = self._path()
        if not isinstance(name, str):
            code, message = "bad-key", f"a key must be a string, found {describe(name)}"
            hint = f'quote it: "{printable(key.text)}"' if key.text else "write a string"
        elif name == "<<":
            code, message = "merge-key", "merge keys (`<<`) are not supported"
            hint = "repeat the keys, or use an alias for the whole value"
        else:
            first = level.children[name].key or position
            code, message, path = "duplicate-key", f"duplicate key `{printable(name)}`", (*path, name)
            hint = f"remove this key, or the one on line {first[0] + 1}"
        self._findings.append(Finding(code, message, hint, *position, path))


def _at(event: Any, code: str, message: str, hint: str, path: Path = ()) -> Finding:
    mark = event.start_mark
    width = event.end_mark.column - mark.column if event.end_mark.line == mark.line else 1
    return Finding(code, message, hint, mark.line, mark.column, max(width, 1), path)


def _too_deep(event: Any) -> Finding:
    return _at(event, "too-deep", f"more than {MAX_DEPTH} levels of nesting", "reduce the nesting")


def describe(value: object) -> str:
    """Return the kind of a plain value in YAML's terms, with an article: ``a list``."""
    names = {
        bool: "a boolean",
        int: "an integer",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "a mapping",
    }
    return names.get(type(value), "null")
