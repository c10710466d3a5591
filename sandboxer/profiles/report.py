"""The findings of one load as diagnostics: with their line, secrets masked, in the order of the files, bounded."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from sandboxer.errors.diagnostic import Diagnostic, Location
from sandboxer.model.text import masked_line, plain_line

if TYPE_CHECKING:
    from sandboxer.errors.diagnostic import Severity
    from sandboxer.model.documents import Document
    from sandboxer.profiles.yaml_nodes import Path, Source

MAX_FINDINGS = 100

_SENSITIVE = (("spec", "env"), ("spec", "secretRefs"), ("spec", "stateHub"), ("spec", "secrets"))
_PATHLESS = frozenset({"control-character", "not-utf8", "yaml-syntax"})
_SENSITIVE_KEYS = frozenset(path[-1] for path in _SENSITIVE)
_FIRST_KEY = re.compile(r"(\s*)(?:- )*([A-Za-z]*):")


class Report:
    """The diagnostics of one load. A file's findings beyond the first 100 are counted, not kept."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}
        self._lines: dict[str, list[str]] = {}
        self._found: list[Diagnostic] = []
        self._counts: Counter[str] = Counter()
        self._shown: dict[tuple[str, int], str] = {}

    def add_source(self, source: Source) -> None:
        """Add a file's lines, and its YAML findings."""
        self._sources[source.file] = source
        for finding in source.findings:
            location = Location(source.file, finding.line + 1, finding.column + 1)
            masked = is_sensitive(finding.path)
            if finding.code in _PATHLESS:
                masked = _is_sensitive(self._lines_of(source.file), finding.line)
            self._add("error", finding.code, finding.message, finding.hint, location, finding.width, masked=masked)

    def add(
        self,
        document: Document,
        path: Path,
        code: str,
        message: str,
        hint: str = "",
        *,
        of_key: bool = False,
        severity: Severity = "error",
    ) -> None:
        """Add a finding about the value at ``path`` of a document, or about its key."""
        location, width = document.positions.span(path, of_key=of_key)
        masked = code == "literal-secret" or is_sensitive(path)
        self._add(severity, code, message, hint, location, width, masked=masked)

    def add_file(self, file: str, code: str, message: str, hint: str) -> None:
        """Add a finding about a file as a whole."""
        self._add("error", code, message, hint, Location(file), 1, masked=False)

    def room(self, file: str) -> bool:
        """Return whether another finding about this file would be kept."""
        return self._counts[file] < MAX_FINDINGS

    def skip(self, file: str) -> None:
        """Count a finding that would not be kept, and whose text is therefore not even built."""
        self._counts[file] += 1

    def positions(self, file: str) -> set[Location]:
        """Return the positions of this file's findings so far."""
        return {found.location for found in self._found if found.location.file == file}

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return the kept findings, in the order of files and lines, and a count of those not kept."""
        more = [
            Diagnostic("error", "too-many-findings", f"{count - MAX_FINDINGS} more findings in {file}", Location(file))
            for file, count in self._counts.items()
            if count > MAX_FINDINGS
        ]
        return (*sorted(dict.fromkeys(self._found), key=lambda found: (found.location, found.code)), *more)

    def _add(
        self, severity: Severity, code: str, message: str, hint: str, location: Location, width: int, *, masked: bool
    ) -> None:
        self._counts[location.file] += 1
        if self._counts[location.file] > MAX_FINDINGS:
            return
        line = self._line(location)
        shown = masked_line(line) if masked else line
        self._found.append(Diagnostic(severity, code, message, location, hint, shown, width))

    def _lines_of(self, file: str) -> list[str]:
        """Return a file's lines, split once they are needed."""
        if file not in self._lines:
            source = self._sources.get(file)
            self._lines[file] = source.lines() if source else []
        return self._lines[file]

    def _line(self, location: Location) -> str:
        """Return the line as shown, computed once: a hundred findings on a line of 1 MiB share it."""
        key = (location.file, location.line)
        if key not in self._shown:
            lines = self._lines_of(location.file)
            self._shown[key] = plain_line(lines[location.line - 1]) if location.line <= len(lines) else ""
        return self._shown[key]


def is_sensitive(path: Path) -> bool:
    """Return whether the value at ``path`` could be a secret that somebody wrote there."""
    return path[:2] in _SENSITIVE


def _is_sensitive(lines: list[str], index: int) -> bool:
    """Return the same for broken YAML, which has no paths, judging by the lines and the keys above them."""
    indent = None
    for line in reversed(lines[: index + 1]):
        key = _FIRST_KEY.match(line)
        if key is None or (indent is not None and len(key[1]) >= indent):
            continue
        if key[2] in _SENSITIVE_KEYS:
            return True
        indent = len(key[1])
        if indent == 0:
            break
    return False
