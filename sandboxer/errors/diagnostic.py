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
    affected characters from ``location`` on. ``repo`` is the repository that has the file, empty for the fleet's own.
    """

    severity: Severity
    code: str
    message: str
    location: Location
    hint: str = ""
    source_line: str = ""
    length: int = 1
    repo: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.severity}[{self.code}]: {self.message}"

    @property
    def place(self) -> str:
        """The location, with the repository if it is not the fleet's own."""
        return f"{self.location} in {self.repo}" if self.repo else str(self.location)

    def to_json(self) -> dict[str, str | int]:
        """Return it as in the JSON of a validation or a plan."""
        return {
            "file": self.location.file,
            "line": self.location.line,
            "column": self.location.column,
            "severity": self.severity,
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "repo": self.repo,
        }


#: All codes, each with the rule that it stands for.
CODES: dict[str, str] = {
    "ambiguous-number": "Numbers whose spelling would be lost must be quoted.",
    "bad-alias": "Aliases must refer to an earlier anchor that does not contain them.",
    "bad-host-key": "A pinned host key must be a valid public key.",
    "bad-key": "Mapping keys must be strings.",
    "bad-name": "Names must follow the naming rules.",
    "bad-path": "Paths must be normalized and stay inside their folder.",
    "bad-schema": "A setup schema must be a small JSON Schema without references and patterns.",
    "bad-setup": "The setup of a profile must match the schema of its extension.",
    "bad-value": "Values must be among the allowed values of their key.",
    "compose-refused": "A compose file must not contain what no sandbox may have.",
    "compose-syntax": "Compose files must be readable by Compose.",
    "compose-unknown-key": "The keys of a compose file must be known and supported in a sandbox.",
    "conflict": "Mutually exclusive keys must not be combined.",
    "control-character": "Files must not contain control characters.",
    "duplicate-key": "Keys must be unique in their mapping.",
    "duplicate-name": "Names must be unique.",
    "literal-secret": "Manifests must not contain secrets.",
    "merge-key": "Merge keys are not supported.",
    "misplaced-fleet": "The Fleet must be in sandboxer.yaml.",
    "missing-file": "A file that a compose file names must be tracked by git.",
    "missing-fleet": "sandboxer.yaml must contain one Fleet.",
    "missing-key": "Required keys must be present.",
    "no-service": "The active profiles of a compose file must leave a service.",
    "not-finite": "Numbers must be finite.",
    "not-utf8": "Files must be UTF-8.",
    "out-of-range": "Numbers, sizes and times must be within their limits.",
    "reserved-name": "Names reserved by Sandboxer or the engine must not be used.",
    "secret-not-allowed": "The Fleet must allow each secret of a sandbox.",
    "tag": "YAML tags are not supported.",
    "too-deep": "Nesting must not exceed 64 levels.",
    "too-large": "Files must not exceed 1 MiB.",
    "too-many-aliases": "A file must not exceed 1,000 aliases.",
    "too-many-findings": "Only the first 100 findings of a file are shown.",
    "too-many-values": "A file must not exceed 50,000 values, with aliases expanded.",
    "unknown-api-version": "The apiVersion must be known.",
    "unknown-key": "Keys must be known.",
    "unknown-kind": "The kind must be known.",
    "unknown-reference": "References must point to existing manifests.",
    "unknown-service": "The ports of a sandbox's reachability must be those of a service of its compose file.",
    "unknown-variable": "A variable that is listed as sensitive must be set.",
    "unset-variable": "The variables of a compose file must be set, or have a default.",
    "unsupported": "The extension of a sandbox must support its hosts.",
    "wrong-type": "Values must have the type of their key.",
    "yaml-syntax": "Files must be valid YAML.",
}
