"""Escaping of words for a script's standard input, one on each line, whatever they contain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.errors import UsageError
from sandboxer.model.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.model.protocols import Terminal


def escaped(word: str) -> str:
    """Return the word as ``printf %b`` reads it, on one line. Raise UsageError if no program can be given it."""
    if "\0" in word:
        raise UsageError(f"{printable(word)!r} contains a zero byte")
    return word.replace("\\", "\\\\").replace("\n", "\\n")


def command_lines(command: Sequence[str], terminal: Terminal | None) -> list[str]:
    """Return the lines that ``command.sh`` reads: the terminal and the words. Raise UsageError for a word with NUL."""
    kind = ["yes", terminal.kind] if terminal else ["no", "dumb"]
    return [*kind, str(len(command)), *(escaped(word) for word in command)]


def standard_input(lines: Sequence[str]) -> bytes:
    """Return lines as a script's standard input."""
    return "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
