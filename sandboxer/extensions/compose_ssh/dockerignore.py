"""Which files of a build context no build sees: the rules of ``.dockerignore``, as Docker applies them.

They are those of moby's `patternmatcher` and `ignorefile`, which BuildKit uses: a pattern is a path from the context's
root, `*` and `?` do not cross a `/`, `**` does, the last pattern that matches decides, and a folder's match counts for
what is in it. No kept library of Python has them: `pathspec` has git's rules, where a pattern without a `/` matches at
any depth, and docker-py has those of an older Docker.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from dataclasses import dataclass
from math import factorial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MOST_MATCHES = 5_000_000  # of paths with patterns; beyond them nothing counts as ignored
_MOST_STEPS = 1_000_000_000  # of all expressions, should each wildcard try every place: some seconds
_MOST_PATTERNS = 1_000
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line: the paths that it matches are ignored, or with ``exception`` not.

    ``ending`` is what a path ends with under a pattern such as ``**/name``; None if ``expression`` decides.
    """

    text: str
    exception: bool
    expression: re.Pattern[str]
    ending: str | None = None

    @property
    def wildcards(self) -> tuple[int, int]:
        """How many wildcards across folders and within a name have to be tried; one at the end takes what is left."""
        found = re.findall(r"\*\*?", self.text.rstrip("*")) if self.ending is None else []
        return found.count("**"), found.count("*")

    def matches(self, path: str) -> bool:
        """Return whether it matches this very path, whatever the folders above it do."""
        if self.ending is not None:
            return path.endswith(self.ending) or path == self.ending.removeprefix("/")
        return self.expression.fullmatch(path) is not None


def ignored(paths: Iterable[str], rules: bytes, *, podman: bool = False) -> frozenset[str]:
    """Return the files of a build context, by their paths in it, that ``rules`` keep from the build.

    The content of a file that is not returned may reach the build. So nothing is returned for rules that an engine
    refuses; and for Podman, whose releases differ, only what each way of applying the rules ignores.
    """
    paths = list(paths)
    try:
        patterns = parse(rules)
    except ValueError:
        return frozenset()
    if not patterns or len(paths) * len(patterns) > _MOST_MATCHES or _most_steps(paths, patterns) > _MOST_STEPS:
        return frozenset()
    walk = _Walk(patterns)
    found = (path for path in paths if walk.ignores(path))
    return frozenset(path for path in found if not podman or _alone(path, patterns))


def _most_steps(paths: Iterable[str], patterns: Iterable[Pattern]) -> int:
    """Return how many ways there are to try the wildcards: ``*a*a*a*a*b`` would take hours where it does not match."""
    kinds = Counter(pattern.wildcards for pattern in patterns if sum(pattern.wildcards) > 1)
    shapes = Counter((path.count("/") + 1, max(map(len, path.split("/")))) for path in paths) if kinds else {}
    return sum(
        count * many * depth**across * longest**within // factorial(across + within)
        for (depth, longest), count in shapes.items()
        for (across, within), many in kinds.items()
    )


def parse(rules: bytes) -> tuple[Pattern, ...]:
    """Return the patterns of a ``.dockerignore``. Raise ValueError for one that Docker refuses."""
    patterns = []
    for line in rules.removeprefix(_BOM).decode("utf-8", "replace").split("\n"):
        text = line.removesuffix("\r")
        if text.startswith("#") or not text.strip():
            continue
        exception = text.strip().startswith("!")
        plain = text.strip().removeprefix("!").strip()
        cleaned = _clean(plain)
        if exception and (not plain or cleaned == "/"):
            raise ValueError("an exception without a path")
        expression = re.compile(_expression(cleaned), re.DOTALL)
        # Docker's shortcut for a pattern without anything else to expand: `**name` then matches inside a name too.
        plain_rest = cleaned.startswith("**") and not re.search(r"[*?\[\]\\]", cleaned[2:])
        patterns.append(Pattern(cleaned, exception, expression, cleaned[2:] if plain_rest else None))
    if len(patterns) > _MOST_PATTERNS:
        raise ValueError("too many patterns")
    return tuple(patterns)


def _clean(text: str) -> str:
    """Return a path without `.`, `..` and double slashes, from the root of the context."""
    cleaned = posixpath.normpath(text)
    cleaned = "/" + cleaned.lstrip("/") if cleaned.startswith("/") else cleaned
    return cleaned[1:] if len(cleaned) > 1 and cleaned[0] == "/" else cleaned


def _expression(pattern: str) -> str:
    """Return a pattern as a regular expression for a whole path. Raise ValueError if it is none."""
    found, at = "", 0
    while at < len(pattern):
        char, at = pattern[at], at + 1
        if char == "*" and pattern[at : at + 1] == "*":
            at += 2 if pattern[at + 1 : at + 2] == "/" else 1
            found += "(?:.*/)?" if at < len(pattern) else ".*"
        elif char == "*":
            found += "[^/]*"
        elif char == "?":
            found += "[^/]"
        elif char == "[":
            text, at = _class(pattern, at)
            found += text
        elif char == "\\":
            if at == len(pattern):
                raise ValueError("a backslash at the end")
            found, at = found + re.escape(pattern[at]), at + 1
        else:
            found += re.escape(char)
    return found


def _class(pattern: str, at: int) -> tuple[str, int]:
    """Return the class of characters that begins at ``at``, and where it ends. Raise ValueError if Go has no such."""
    negated = pattern[at : at + 1] == "^"
    at += negated
    parts = ""
    while at < len(pattern) and (pattern[at] != "]" or not parts):
        low, at = _character(pattern, at)
        if pattern[at : at + 1] == "-":
            high, at = _character(pattern, at + 1)
            parts += f"{re.escape(low)}-{re.escape(high)}" if low <= high else ""
        else:
            parts += re.escape(low)
    if at >= len(pattern):
        raise ValueError("a class without an end")
    return f"[{'^' if negated else ''}{parts}]" if parts else "[^/]" if negated else "(?!)", at + 1


def _character(pattern: str, at: int) -> tuple[str, int]:
    """Return a character of a class, and where the next one is. Raise ValueError if it must be escaped."""
    if pattern[at : at + 1] in ("-", "]", ""):
        raise ValueError("a class with `-` or `]` that is not escaped, or without an end")
    at += pattern[at] == "\\"
    if at >= len(pattern):
        raise ValueError("a class without an end")
    return pattern[at], at + 1


class _Walk:
    """The patterns applied from the root down, as BuildKit walks a context: what matched a folder matches below it."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = patterns
        self._folders: dict[str, tuple[bool, ...]] = {}

    def ignores(self, path: str) -> bool:
        """Return whether a file is ignored."""
        folder, matched, parts = "", None, path.split("/")
        for part in parts[:-1]:
            folder = f"{folder}/{part}" if folder else part
            if folder not in self._folders:
                self._folders[folder] = self._decide(folder, matched)[1]
            matched = self._folders[folder]
        return self._decide(path, matched)[0]

    def _decide(self, path: str, inherited: tuple[bool, ...] | None) -> tuple[bool, tuple[bool, ...]]:
        """Return whether a path is ignored, and which patterns match it; ``inherited`` ones match its folder."""
        is_ignored, matched = False, []
        for at, pattern in enumerate(self._patterns):
            match = inherited is not None and inherited[at]
            # What would not change the decision is not matched, and so does not count below either.
            if not match and pattern.exception == is_ignored:
                match = pattern.matches(path)
            matched.append(match)
            if match:
                is_ignored = not pattern.exception
        return is_ignored, tuple(matched)


def _alone(path: str, patterns: Sequence[Pattern]) -> bool:
    """Return whether a file is ignored by two more ways to apply the patterns, each to a path and the folders above it.

    One matches every folder above it, the other the one that has as many names as the pattern.
    """
    parts = path.split("/")
    folders = ["/".join(parts[:end]) for end in range(1, len(parts))]
    every = same_depth = False
    for pattern in patterns:
        itself, depth = pattern.matches(path), len(pattern.text.split("/"))
        if itself or any(map(pattern.matches, folders)):
            every = not pattern.exception
        if itself or (depth <= len(folders) and pattern.matches(folders[depth - 1])):
            same_depth = not pattern.exception
    return every and same_depth
