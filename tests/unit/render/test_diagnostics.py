"""Diagnostics for people, programs, GitHub and SARIF readers."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sandboxer.errors.diagnostic import CODES, Diagnostic, Location
from sandboxer.profiles.loader import load
from sandboxer.render.diagnostics import to_github, to_json, to_sarif, to_text, valid_documents

ERROR = Diagnostic(
    severity="error",
    code="unknown-key",
    message="unknown key `profil` in Sandbox spec",
    location=Location("manifests/web.yaml", 5, 3),
    hint="did you mean `profile`?",
    source_line="  profil: profile.compose-e2e",
    length=6,
)
WARNING = Diagnostic("warning", "bad-host-key", "no key", Location("sandboxer.yaml", 12, 1))

TEXT = """\
error[unknown-key]: unknown key `profil` in Sandbox spec
 --> manifests/web.yaml:5:3
  |
5 |   profil: profile.compose-e2e
  |   ^^^^^^ did you mean `profile`?

warning[bad-host-key]: no key
  --> sandboxer.yaml:12:1

1 error and 1 warning
"""


def test_text_is_a_compiler_s() -> None:
    assert to_text([ERROR, WARNING]) == TEXT


def test_text_counts() -> None:
    assert to_text([]) == "0 errors\n"
    assert to_text([ERROR, ERROR]).endswith("\n2 errors\n")
    assert to_text([WARNING]).endswith("\n1 warning\n")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "3 documents in 2 files are valid"),
        ((5,), "2 documents in 2 files are valid"),
        ((5, 7, 9), "1 document in 1 file is valid"),
    ],
)
def test_valid_documents_are_counted(lines: tuple[int, ...], words: str) -> None:
    text = "kind: Profile\nmetadata: {name: a}\n"
    files = {"profiles/a.yaml": text.encode(), "profiles/b.yaml": f"{text}---\n\n\n{text}".encode()}
    documents = load(files).documents
    errors = [replace(ERROR, location=Location("profiles/b.yaml", line, 1)) for line in lines if line != 9]
    errors += [replace(ERROR, location=Location("profiles/b.yaml", 1, 1)) for line in lines if line == 9]
    assert valid_documents(documents, [*errors, WARNING]) == words


def test_colour_only_adds_escapes() -> None:
    coloured = to_text([ERROR, WARNING], color=True)
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == TEXT


def test_a_mark_stands_below_its_word_beside_wide_characters() -> None:
    found = Diagnostic("error", "bad-value", "m", Location("f", 1, 5), "h", "東京: x", 1)
    assert to_text([found]).splitlines()[3:5] == ["1 | 東京: x", "  |       ^ h"]


def test_json_has_all_fields_and_shows_whether_it_is_valid() -> None:
    content = json.loads(to_json([ERROR]))
    assert content == {
        "format_version": "1.0",
        "valid": False,
        "diagnostics": [
            {
                "file": "manifests/web.yaml",
                "line": 5,
                "column": 3,
                "severity": "error",
                "code": "unknown-key",
                "message": "unknown key `profil` in Sandbox spec",
                "hint": "did you mean `profile`?",
                "repo": "",
            }
        ],
    }
    assert json.loads(to_json([WARNING]))["valid"] is True
    assert json.loads(to_json([])) == {"format_version": "1.0", "valid": True, "diagnostics": []}


def test_github_annotations() -> None:
    assert to_github([ERROR]) == (
        "::error file=manifests/web.yaml,line=5,col=3,endColumn=9,title=unknown-key::"
        "unknown key `profil` in Sandbox spec (did you mean `profile`?)\n"
    )


def test_github_values_cannot_break_out() -> None:
    evil = Diagnostic("warning", "tag", "100%\n::error::x", Location("a,b:c%\r\nd.yaml", 1, 1))
    assert to_github([evil]) == (
        "::warning file=a%2Cb%3Ac%25%0D%0Ad.yaml,line=1,col=1,endColumn=2,title=tag::100%25%0A::error::x\n"
    )


# The part of SARIF 2.1.0 that is written, closed: what the standard requires, its types and enumerations.
POSITIVE = {"type": "integer", "minimum": 1}
MESSAGE = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string"}},
    "additionalProperties": False,
}
REGION = {
    "type": "object",
    "properties": {"startLine": POSITIVE, "startColumn": POSITIVE, "endLine": POSITIVE, "endColumn": POSITIVE},
    "additionalProperties": False,
}
ARTIFACT = {
    "type": "object",
    "properties": {"uri": {"type": "string", "pattern": "^[A-Za-z0-9._~!$&'()*+,;=:@%/-]+$"}},
    "additionalProperties": False,
}
PHYSICAL_LOCATION = {
    "type": "object",
    "required": ["artifactLocation"],
    "properties": {"artifactLocation": ARTIFACT, "region": REGION},
    "additionalProperties": False,
}
LOCATION = {"type": "object", "properties": {"physicalLocation": PHYSICAL_LOCATION}, "additionalProperties": False}
RULE = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "string"}, "shortDescription": MESSAGE},
    "additionalProperties": False,
}
RESULT = {
    "type": "object",
    "required": ["message"],
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": -1},
        "level": {"enum": ["none", "note", "warning", "error"]},
        "message": MESSAGE,
        "locations": {"type": "array", "items": LOCATION},
    },
    "additionalProperties": False,
}
DRIVER = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "version": {"type": "string"},
        "rules": {"type": "array", "uniqueItems": True, "items": RULE},
    },
    "additionalProperties": False,
}
RUN = {
    "type": "object",
    "required": ["tool"],
    "properties": {
        "tool": {
            "type": "object",
            "required": ["driver"],
            "properties": {"driver": DRIVER},
            "additionalProperties": False,
        },
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
        "results": {"type": "array", "items": RESULT},
    },
    "additionalProperties": False,
}
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": RUN},
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize("found", [[], [ERROR], [WARNING, ERROR, ERROR]])
def test_sarif_is_as_the_standard_requires(found: list[Diagnostic]) -> None:
    log: dict[str, Any] = json.loads(to_sarif(found))
    Draft202012Validator(SARIF).validate(log)
    [run] = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len(run["results"]) == len(found)
    for diagnostic, result in zip(found, run["results"], strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == diagnostic.code
        assert result["level"] == diagnostic.severity
        region = result["locations"][0]["physicalLocation"]["region"]
        assert (region["startLine"], region["startColumn"]) == (diagnostic.location.line, diagnostic.location.column)
        assert region["endColumn"] > region["startColumn"]


def test_sarif_escapes_file_names_in_uris() -> None:
    found = Diagnostic("error", "tag", "m", Location("manifests/a b#é.yaml", 1, 1))
    location = json.loads(to_sarif([found]))["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == "manifests/a%20b%23%C3%A9.yaml"


def test_every_code_is_explained_by_a_sentence() -> None:
    assert list(CODES) == sorted(CODES)
    for code, rule in CODES.items():
        assert code == code.lower()
        assert rule.endswith(".")
