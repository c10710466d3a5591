"""What an env file or a label file may be: text, and small also once its variables are filled in; and what it holds.

podman-compose reads env files when it starts containers, and fills in values of the host's own environment: a name
alone is the host's value, and ``*`` is all of them. So the files are read here, and no engine is ever given one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_BYTES = 256 * 1024
MAX_VALUES = 1024 * 1024
MAX_LINES = 5_000

_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*[=:][ \t]*([\"']?)", re.ASCII)
_REFERENCE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)

# As python-dotenv reads them, which podman-compose uses; no part of it can be matched in two ways.
_SPACES = re.compile(r"\s*+")
_REST = re.compile(r"[^\r\n]*+")
_BINDING = re.compile(
    r"""(?:export[^\S\r\n]++)?+(?:'(?P<quoted>[^']++)'|(?P<key>[^=\#\s]++))[^\S\r\n]*+
    (?P<value>=[^\S\r\n]*+
        (?:'(?P<single>(?:\\'|[^'])*+)'|"(?P<double>(?:\\"|[^"])*+)"|(?P<plain>(?!['"])[^\r\n]*+))
    )?+[^\S\r\n]*+(?:\#[^\r\n]*+)?+(?=[\r\n]|\Z)""",
    re.VERBOSE,
)
_FILLED = re.compile(r"\$\{(?P<name>[^}:]{0,128})(?::-(?P<default>[^}]{0,1024}))?\}")
_COMMENT = re.compile(r"\s\#.*", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def variables(data: bytes, outer: Mapping[str, str], most: int, *, raw: bool = False) -> dict[str, str | None]:
    """Return the variables of a checked file; the value of a name alone is None.

    ``${NAME}`` is a variable of the file, else one of ``outer``; in a ``raw`` file it stays as it is. Raise ValueError
    if all of them together have more than ``most`` characters.
    """
    text = data.decode("utf-8-sig", "replace")
    found: dict[str, str | None] = {}
    size = 0
    for name, value in _lines(text) if raw else _bindings(text):
        known = {**outer, **found} if value is not None and "${" in value else {}
        found[name] = value if raw or value is None else _fill(value, known, most)
        size += len(name) + len(found[name] or "")
        if size > most:
            raise ValueError(f"has variables of more than {most} characters")
    return found


def _lines(text: str) -> Iterator[tuple[str, str | None]]:
    for line in text.splitlines():
        name, equals, value = line.lstrip().partition("=")
        if name and not name.startswith("#"):
            yield name.strip(), value if equals else None


def _bindings(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield names and values as written; skip a line that is neither."""
    at = _end(_SPACES, text, 0)
    while at < len(text):
        match = _BINDING.match(text, at)
        if match is not None:
            yield match["quoted"] or match["key"], _value(match)
        at = match.end() if match else _end(_REST, text, at)
        at = _end(_SPACES, text, at)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def _value(match: re.Match[str]) -> str | None:
    if match["single"] is not None:
        return re.sub(r"\\([\\'])", r"\1", match["single"])
    if match["double"] is not None:
        return re.sub(r"\\([\\'\"abfnrtv])", lambda one: _ESCAPES.get(one[1], one[1]), match["double"])
    return None if match["value"] is None else _COMMENT.sub("", match["plain"]).rstrip()


def _fill(value: str, known: Mapping[str, str | None], most: int) -> str:
    parts: list[str] = []
    left, at = most, 0
    for one in _FILLED.finditer(value):
        parts += [value[at : one.start()], known.get(one["name"], one["default"]) or ""]
        left, at = left - len(parts[-1]), one.end()
        if left < 0:
            raise ValueError(f"has variables of more than {most} characters")
    return "".join([*parts, value[at:]])


def check(data: bytes) -> None:
    """Raise ValueError with what is wrong: not UTF-8, a NUL, too large, or too large once it is filled in.

    A value may use those before it, so a few lines could grow to gigabytes.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"has {len(data)} bytes; the limit is {MAX_BYTES}")
    if b"\x00" in data:
        raise ValueError("holds a NUL character, which no container can be given")
    try:
        lines = data.decode("utf-8-sig").replace("\r", "\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from error
    if len(lines) > MAX_LINES:
        raise ValueError(f"has {len(lines)} lines; the limit is {MAX_LINES}")
    _check_filled_in(lines)


def _check_filled_in(lines: list[str]) -> None:
    """Check an upper bound, because dialects differ: a line in quotes counts for their variable and for its own."""
    sizes: dict[str, int] = {}
    total = 0
    quoted = quote = ""
    for line in lines:
        size = len(line) + sum(sizes.get(name, 0) for name in _REFERENCE.findall(line))
        total += size
        if total > MAX_VALUES:
            raise ValueError(f"comes to more than {MAX_VALUES} bytes once its variables are filled in")
        if quote:
            sizes[quoted] += size
            quote = "" if _ends(line, quote) else quote
        if found := _ASSIGNMENT.match(line):
            name, opening = found.groups()
            sizes[name] = max(size, sizes.get(name, 0))
            if not quote and opening and not _ends(line[found.end() :], opening):
                quoted, quote = name, opening


def _ends(text: str, quote: str) -> bool:
    """Return whether a text has the quote, not escaped by a backslash."""
    return re.search(rf"(?<!\\){quote}", text) is not None
