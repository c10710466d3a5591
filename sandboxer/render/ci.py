"""Text in which a CI system finds no commands.

GitHub Actions executes a line that begins with ``::name`` after any white space, and ``##[name`` anywhere in it; Azure
Pipelines ``##vso[name`` and ``##[name``, TeamCity ``##teamcity[name``. A container, a host or an engine controls its
output, and much of that is printed. With one more blank, each of these is a line like any other.
"""

from __future__ import annotations

import re

#: Where one of these is set, the reader of our output may execute commands in it.
VARIABLES = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION")

_LINES = re.compile(r"([\r\n])")
_BEGINNING = re.compile(r"\s*(:?)(:?)")
_BRACKET = re.compile(r"##[A-Za-z]*(?=\[)", re.IGNORECASE)
_KEPT = 16  # characters of a line that may hold the beginning of a command


class Harmless:
    """A filter that makes streamed text harmless, in pieces of any length: what it has returned is final."""

    def __init__(self) -> None:
        self._blank, self._colon, self._tail = True, False, ""

    def __call__(self, text: str) -> str:
        """Return the text, with a blank in the middle of whatever begins a command."""
        return "".join(self._end(part) if part in "\r\n" else self._within(part) for part in _LINES.split(text) if part)

    def _end(self, end: str) -> str:
        self._blank, self._colon, self._tail = True, False, ""
        return end

    def _within(self, text: str) -> str:
        cuts = {match.end() - len(self._tail) for match in _BRACKET.finditer(self._tail + text)}
        if self._colon and text[0] == ":":
            cuts.add(0)
        elif self._blank and not self._colon and (match := _BEGINNING.match(text)) and match[2]:
            cuts.add(match.start(2))
        self._note(text)
        at = sorted(cut for cut in cuts if cut >= 0)
        return " ".join(text[begin:end] for begin, end in zip([0, *at], [*at, len(text)], strict=True))

    def _note(self, text: str) -> None:
        """Track whether the line so far is only white space, white space and one colon, or something else."""
        begun = (f":{text}" if self._colon else text.lstrip()) if self._blank else ""
        self._colon = begun == ":"
        self._blank = self._blank and begun in ("", ":")
        self._tail = (self._tail + text)[-_KEPT:]


def harmless_json(text: str) -> str:
    """Return equal JSON in which no command begins: a bracket is written as an escape."""
    return re.sub(r"(##[A-Za-z]*)\[", r"\1\\u005b", text)
