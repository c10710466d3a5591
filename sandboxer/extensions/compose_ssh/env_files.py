"""What an env file or a label file may be: text, and small also once its variables are filled in."""

from __future__ import annotations

import re

MAX_BYTES = 256 * 1024
MAX_VALUES = 1024 * 1024
MAX_LINES = 5_000

_ASSIGNMENT = re.compile(r"[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*[=:][ \t]*([\"']?)", re.ASCII)
_REFERENCE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)


def check(data: bytes) -> None:
    """Raises ValueError with what is wrong: no UTF-8, a NUL, too large, or too large once it is filled in.

    A value may use the ones before it, so that a few lines could come to gigabytes.
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
    """An upper bound, for the dialects differ: a line within quotes counts for their variable, and for its own."""
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
    """Whether a quote that stands for itself is in a text."""
    return re.search(rf"(?<!\\){quote}", text) is not None
