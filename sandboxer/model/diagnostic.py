"""A finding about a manifest: what is wrong, where, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, order=True)
class Location:
    """A position in a file. ``line`` and ``column`` count from 1, columns in characters."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A finding. ``code`` is stable and for programs; ``message`` and ``hint`` are for people.

    ``source_line`` is the line as in the file, with values masked that could be secret; ``length`` is the number of
    affected characters from ``location`` on.
    """

    severity: Severity
    code: str
    message: str
    location: Location
    hint: str = ""
    source_line: str = ""
    length: int = 1

    def __str__(self) -> str:
        return f"{self.location}: {self.severity}[{self.code}]: {self.message}"


#: All codes, each with the rule that it stands for.
CODES: dict[str, str] = {
    "ambiguous-number": "A number whose spelling would be lost is quoted.",
    "bad-alias": "An alias names an anchor before it, and not what it is part of.",
    "bad-host-key": "A pinned host key can be read.",
    "bad-key": "The keys of a mapping are strings.",
    "bad-name": "Names keep to the rules for names.",
    "bad-path": "Paths stay where they belong, in their shortest form.",
    "bad-schema": "A setup schema is a small JSON Schema, without references and patterns.",
    "bad-setup": "The setup of a profile is as its extension asks.",
    "bad-value": "A value is one of those that its key takes.",
    "conflict": "What excludes each other is not said at once.",
    "control-character": "A file holds no control characters.",
    "duplicate-key": "A key stands once in its mapping.",
    "duplicate-name": "A name is given once.",
    "literal-secret": "No secret stands in a manifest.",
    "merge-key": "Merge keys are not used.",
    "misplaced-fleet": "The Fleet stands in sandboxer.yaml.",
    "missing-fleet": "There is one Fleet, in sandboxer.yaml.",
    "missing-key": "What is needed is there.",
    "not-finite": "Numbers are finite.",
    "not-utf8": "Files are UTF-8.",
    "out-of-range": "Numbers, sizes and times are within their limits.",
    "reserved-name": "Names that Sandboxer or the engine uses are left to them.",
    "secret-not-allowed": "Sandboxes ask only for secrets that the Fleet allows.",
    "tag": "YAML tags are not used.",
    "too-deep": "Nesting is at most 64 levels deep.",
    "too-large": "A file is at most 1 MiB.",
    "too-many-aliases": "A file has at most 1,000 aliases.",
    "too-many-findings": "A file's first 100 findings are shown.",
    "too-many-values": "A file has at most 50,000 values, aliases written out.",
    "unknown-api-version": "The apiVersion is one that is known.",
    "unknown-key": "Only known keys are used.",
    "unknown-kind": "The kind is one that is known.",
    "unknown-reference": "What is named exists.",
    "unsupported": "A sandbox is sent only to hosts that its extension can use.",
    "wrong-type": "A value is of the type that its key takes.",
    "yaml-syntax": "Files are valid YAML.",
}
