"""Diagnostics as text with the affected line, as JSON, as GitHub annotations, and as SARIF 2.1.0."""

from __future__ import annotations

import json
import unicodedata
from bisect import bisect_right
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sandboxer.errors.diagnostic import CODES
from sandboxer.model.request import FILE
from sandboxer.model.text import printable
from sandboxer.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.errors.diagnostic import Diagnostic
    from sandboxer.model.documents import Document

_WIDTH = 160
_COLORS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "frame": "\x1b[1;34m", "bold": "\x1b[1m"}
_RESET = "\x1b[0m"


def to_lines(found: Diagnostic) -> list[str]:
    """Return the lines of one finding, as a compiler prints it."""
    return _block(found, color=False).splitlines()


def to_text(diagnostics: Sequence[Diagnostic], *, color: bool = False) -> str:
    """Return them as a compiler prints them: each with its line and a mark below it, and a count at the end."""
    blocks = [_block(found, color=color) for found in diagnostics]
    return "\n".join([*blocks, _counts(diagnostics, color=color)]) + "\n"


def valid_documents(documents: Sequence[Document], diagnostics: Sequence[Diagnostic]) -> str:
    """Return how many documents in how many files have no error: ``14 documents in 9 files are valid``."""
    starts = sorted((document.file, document.locate().line) for document in documents)
    wrong = set()
    files_of_fleet = {file for file, _ in starts}
    for found in diagnostics:
        if found.severity == "error" and not found.repo and found.location.file in files_of_fleet:
            at = bisect_right(starts, (found.location.file, found.location.line)) - 1
            wrong.add(starts[at] if at >= 0 else None)
    valid = [start for start in starts if start not in wrong]
    files = len({file for file, _ in valid})
    count = f"{len(valid)} document{'' if len(valid) == 1 else 's'} in {files} file{'' if files == 1 else 's'}"
    return f"{count} {'is' if len(valid) == 1 else 'are'} valid"


def to_json(diagnostics: Sequence[Diagnostic]) -> str:
    """Return them as one JSON object: ``format_version``, ``valid``, and the ``diagnostics``."""
    content = {
        "format_version": "1.0",
        "valid": all(found.severity != "error" for found in diagnostics),
        "diagnostics": [found.to_json() for found in diagnostics],
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def to_github(diagnostics: Sequence[Diagnostic]) -> str:
    """Return them as workflow commands, one a line: GitHub shows them beside the lines of a pull request."""
    return "".join(_annotation(found) + "\n" for found in diagnostics)


def to_sarif(diagnostics: Sequence[Diagnostic]) -> str:
    """Return them as a SARIF 2.1.0 log of one run, with a rule for each code that was found."""
    codes = sorted({found.code for found in diagnostics})
    driver = {
        "name": "sandboxer",
        "version": __version__,
        "rules": [{"id": code, "shortDescription": {"text": CODES.get(code, code)}} for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(found, codes) for found in diagnostics],
    }
    log = {"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _block(found: Diagnostic, *, color: bool) -> str:
    number = str(found.location.line)
    margin = " " * len(number)
    bar = _paint("|", "frame", color=color)
    file = printable(found.location.file, 1000)
    repo = f" in {printable(found.repo, 1000)}" if found.repo else ""
    head = _paint(f"{found.severity}[{found.code}]", found.severity, color=color)
    lines = [
        f"{head}{_paint(f': {found.message}', 'bold', color=color)}",
    ]
    if file:
        place = "the request" if file == FILE else f"{file}:{found.location.line}:{found.location.column}{repo}"
        lines.append(f"{margin}{_paint('-->', 'frame', color=color)} {place}")
    if found.source_line.strip():
        shown, before, width = _window(found)
        mark = _paint("^" * width, found.severity, color=color)
        hint = f" {found.hint}" if found.hint else ""
        lines += [
            f"{margin} {bar}",
            f"{_paint(number, 'frame', color=color)} {bar} {shown}",
            f"{margin} {bar} {before}{mark}{hint}",
        ]
    elif found.hint:
        lines.append(f"{margin} {_paint('=', 'frame', color=color)} {found.hint}")
    return "\n".join(lines) + "\n"


def _window(found: Diagnostic) -> tuple[str, str, int]:
    """Return the line, cut around the mark if it is long; the blanks before the mark; and the mark's width."""
    line = found.source_line.rstrip()
    start = found.location.column - 1
    if start >= len(line):
        # Beyond the visible part, as behind a mask, or at the line's end: mark the last word instead.
        start = len(line) - len(line.split()[-1])
    end = max(min(start + found.length, len(line)), start + 1)
    if len(line) > _WIDTH:
        first = max(start - _WIDTH // 2, 0)
        last = first + _WIDTH
        line = ("…" if first else "") + line[first:last] + ("…" if last < len(line) else "")
        moved = first - (1 if first else 0)
        start, end = start - moved, min(end - moved, len(line))
    return line, " " * _columns(line[:start]), max(_columns(line[start:end]), 1)


def _columns(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    wide = sum(1 for char in text if unicodedata.east_asian_width(char) in "WF")
    return len(text) + wide - sum(1 for char in text if unicodedata.combining(char))


def _counts(diagnostics: Sequence[Diagnostic], *, color: bool) -> str:
    errors = sum(1 for found in diagnostics if found.severity == "error")
    warnings = len(diagnostics) - errors
    words = [f"{errors} error{'' if errors == 1 else 's'}"] if errors or not warnings else []
    words += [f"{warnings} warning{'' if warnings == 1 else 's'}"] if warnings else []
    kind = "error" if errors else "warning" if warnings else "bold"
    return _paint(" and ".join(words), kind, color=color)


def _paint(text: str, kind: str, *, color: bool) -> str:
    return f"{_COLORS[kind]}{text}{_RESET}" if color else text


def _message(found: Diagnostic) -> str:
    return f"{found.message} ({found.hint})" if found.hint else found.message


def _annotation(found: Diagnostic) -> str:
    location = found.location
    if found.repo:  # GitHub shows it with the run: the lines of another repository are not in the pull request
        return f"::{found.severity} title={found.code}::{_escape(f'{found.place}: {_message(found)}')}"
    values = {
        "file": location.file,
        "line": location.line,
        "col": location.column,
        "endColumn": location.column + max(found.length, 1),
        "title": found.code,
    }
    properties = ",".join(f"{name}={_escape(str(value), property_too=True)}" for name, value in values.items())
    return f"::{found.severity} {properties}::{_escape(_message(found))}"


def _escape(text: str, *, property_too: bool = False) -> str:
    pairs = [("%", "%25"), ("\r", "%0D"), ("\n", "%0A")]
    for plain, escaped in [*pairs, (":", "%3A"), (",", "%2C")] if property_too else pairs:
        text = text.replace(plain, escaped)
    return text


def _result(found: Diagnostic, codes: list[str]) -> dict[str, Any]:
    location = found.location
    region = {
        "startLine": location.line,
        "startColumn": location.column,
        "endColumn": location.column + max(found.length, 1),
    }
    uri = f"{found.repo.rstrip('/')}/{location.file}" if found.repo else location.file
    return {
        "ruleId": found.code,
        "ruleIndex": codes.index(found.code),
        "level": found.severity,
        "message": {"text": _message(found)},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": quote(uri, safe="/:@")}, "region": region}}],
    }
