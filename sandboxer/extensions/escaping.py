"""Escaping of words for a script's standard input, one on each line, whatever they contain."""

from __future__ import annotations

from sandboxer.errors import UsageError
from sandboxer.model.text import printable


def escaped(word: str) -> str:
    """Return the word as ``printf %b`` reads it, on one line. Raise UsageError if no program can be given it."""
    if "\0" in word:
        raise UsageError(f"{printable(word)!r} contains a zero byte")
    return word.replace("\\", "\\\\").replace("\n", "\\n")
