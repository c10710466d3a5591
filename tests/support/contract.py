"""The pages of docs/integrations: their requests to the HTTP API, and what they document about the responses."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import yaml

from tests.support.fleet import ROOT
from tests.support.markdown import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PAGES = sorted((ROOT / "docs/integrations").glob("*.md"))

HANDLE, PROBLEM = "The fields of the response", "The fields of a problem"
_TYPES = {str: "text", int: "number", dict: "object", list: "list", type(None): "null"}
_FORMS = {"time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "duration": r"(\d+[smhd])+"}


def fleet_spec(page: Path) -> Any:
    """Return the Fleet's spec that a page requires."""
    given = [block.text for block in blocks(page) if (block.language, block.name) == ("yaml", "sandboxer.yaml")]
    return yaml.safe_load(given[0])["spec"] if given else {}


def profiles(page: Path) -> dict[str, str]:
    """Return the files of Profiles that a page shows, by path."""
    return {block.name: block.text for block in blocks(page) if block.name.startswith("profiles/")}


def requests(page: Path) -> Iterator[tuple[str, int, str]]:
    """Yield each example of a page as its name, the status that it promises, and the command to run."""
    for block in blocks(page):
        name, _, status = block.name.partition(" ")
        if block.language == "sh" and status:
            yield name, int(status), block.text


def response(page: Path, name: str) -> Any:
    """Return the JSON that a page shows as the response to one of its requests; None if it shows none."""
    shown = [block.text for block in blocks(page) if (block.language, block.name) == ("json", name)]
    return json.loads(shown[0]) if shown else None


def table(page: Path, heading: str) -> dict[str, set[str]]:
    """Return the fields of the table below a heading, each with its allowed types."""
    text = page.read_text(encoding="utf-8").split(f" {heading}\n")[1]
    part = re.split(r"^#+ ", text, maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| `([^`]+)` \| ([\w ]+) \|", part, re.MULTILINE)
    return {field: set(types.split(" or ")) for field, types in rows}


def fields(answer: Any, prefix: str = "") -> dict[str, Any]:
    """Return every field of a JSON value by its path; the items of a list share one, ``list[].name``."""
    found: dict[str, Any] = {}
    if isinstance(answer, dict):
        for key, value in answer.items():
            path = f"{prefix}.{key}" if prefix else key
            found |= {path: value} | fields(value, path)
    elif isinstance(answer, list):
        for item in answer:
            found |= fields(item, f"{prefix}[]")
    return found


def wrong_types(answer: Any, expected: Mapping[str, set[str]]) -> dict[str, Any]:
    """Return the fields whose value has none of the types in the table."""
    return {path: value for path, value in fields(answer).items() if type_of(value) not in expected[path]}


def type_of(value: Any) -> str:
    """Return the type of a JSON value, in the words of the pages: a text may be a time or a duration."""
    forms = (form for form, pattern in _FORMS.items() if isinstance(value, str) and re.fullmatch(pattern, value))
    return next(forms, _TYPES[type(value)])
