"""The glossary names each public term once, with a file and a name that exist."""

from __future__ import annotations

import re

import pytest

from sandboxer import __all__ as public
from tests.support.fleet import ROOT
from tests.support.retired.scan import names
from tests.support.retired.words import in_name

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
