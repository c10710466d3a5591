"""The glossary names each public term once, with a file and a name that exist."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from sandboxer import __all__ as public
from sandboxer.extensions.capabilities import CAPABILITIES
from sandboxer.model.fleet_manifests import ExtensionSpec, FleetSpec, HostSpec
from sandboxer.model.lifecycle import Action, Health, Phase, Sync
from sandboxer.model.sandbox_manifests import ProfileSpec, SandboxSpec
from tests.support.fleet import ROOT
from tests.support.retired.scan import names
from tests.support.retired.words import in_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel

ROW = re.compile(
    r"\| (?P<term>[^|]+) \| (?P<meaning>[^|]+) \| `(?P<path>[^`]+)`(?: `(?P<name>\w+)`)? \| \[.+\]\(.+\) \|"
)
LINES = [line for line in (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")]
ROWS = [row for line in LINES if (row := ROW.fullmatch(line))]
TERMS = [term.strip("`") for row in ROWS for term in row["term"].split(", ")]


def test_every_row_names_a_file_and_the_term_once() -> None:
    assert len(ROWS) >= 60
    assert len(ROWS) == sum(not line.startswith(("| term |", "| --- |")) for line in LINES)
    assert len(TERMS) == len(set(TERMS))


@pytest.mark.parametrize("row", [pytest.param(row, id=row["term"]) for row in ROWS])
def test_a_term_is_where_the_glossary_places_it(row: re.Match[str]) -> None:
    path = ROOT / "sandboxer" / row["path"]
    assert path.is_file()
    assert row["name"] is None or row["name"] in names(path)
    assert in_name(row["term"]) == []


def test_the_public_names_of_the_library_are_terms() -> None:
    terms = {term.replace(" ", "").lower() for term in TERMS}
    assert [name for name in public if name.lower() not in terms and name != "__version__"] == []


# Keys of a manifest's spec that belong to a term with another name.
PART_OF = {
    "api": "token",
    "sensitive": "sensitive name",
    "address": "connection",
    "port": "connection",
    "user": "connection",
    "identityFile": "connection",
    "hostKey": "connection",
    "composeCommand": "runtime",
    "compose": "stack",
    "implementation": "backend",
    "capabilities": "capability",
    "unsupported": "capability",
    "defaultFiles": "input",
    "setupSchema": "setup",
    "env": "environment",
    "expiresAt": "expiry",
    "secrets": "secret reference",
    "secretRefs": "secret reference",
    "ttl": "time to live",
}


@pytest.mark.parametrize("spec", [FleetSpec, HostSpec, ProfileSpec, SandboxSpec, ExtensionSpec])
def test_each_key_of_a_manifest_belongs_to_a_term(spec: type[BaseModel]) -> None:
    terms = {term.lower() for term in TERMS}
    keys = [field.alias or name for name, field in spec.model_fields.items()]
    words = {key: PART_OF.get(key) or re.sub("([A-Z])", r" \1", key).lower() for key in keys}
    assert [key for key, word in words.items() if not {word, word.removesuffix("s")} & terms] == []


@pytest.mark.parametrize("values", [Action, Phase, Sync, Health, CAPABILITIES])
def test_each_value_of_a_closed_list_is_named(values: Iterable[str]) -> None:
    named = " ".join(row["term"] + row["meaning"] for row in ROWS)
    assert [str(value) for value in values if not re.search(rf"\b{re.escape(str(value))}\b", named)] == []
