"""Words that reach a script on standard input, a line each, whatever is in them."""

from __future__ import annotations

from sandboxer.errors import UsageError
from sandboxer.model.text import printable


def escaped(word: str) -> str:
    """Return the word as ``printf %b`` reads it: on one line. Raises UsageError for what no program can be given."""
    if "\0" in word:
        raise UsageError(f"{printable(word)!r} has a zero byte in it")
    return word.replace("\\", "\\\\").replace("\n", "\\n")
