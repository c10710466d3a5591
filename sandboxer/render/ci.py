"""What a CI system would take for a command in a log, made plain text.

GitHub Actions obeys a line that begins with ``::name`` behind any white space, and ``##[name`` anywhere in it; Azure
Pipelines ``##vso[name`` and ``##[name``, TeamCity ``##teamcity[name``. A container, a host or an engine says what it
likes, and much of it is shown. One blank more, and each of them is a line like any other.
"""

from __future__ import annotations

import re

#: Where one of these is set, whoever reads our output may obey it.
VARIABLES = ("CI", "GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION")

_LINES = re.compile(r"([\r\n])")
_BEGINNING = re.compile(r"\s*(:?)(:?)")
_BRACKET = re.compile(r"##[A-Za-z]*(?=\[)", re.IGNORECASE)
_KEPT = 16  # characters of a line that a command's beginning may have come with before


class Harmless:
    """Makes text harmless as it comes, in pieces of any length: what it has given is never taken back."""

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
        """What the line is so far: nothing but white space, that and one colon, or something else."""
        begun = (f":{text}" if self._colon else text.lstrip()) if self._blank else ""
        self._colon = begun == ":"
        self._blank = self._blank and begun in ("", ":")
        self._tail = (self._tail + text)[-_KEPT:]


def harmless_json(text: str) -> str:
    """JSON that says the same, and in which no command begins: a bracket is written as its number."""
    return re.sub(r"(##[A-Za-z]*)\[", r"\1\\u005b", text)
