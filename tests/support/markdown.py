"""What the documentation shows: its code blocks, commands and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_LINK_TEXT = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced code block: its language, what else its first line says, and its text."""

    language: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table: the heading that it stands below, and its rows, each cell by the title of its column."""

    heading: str
    rows: list[dict[str, str]]


def pages() -> list[Path]:
    """Every page that is written for readers: of the root, the documentation, the registry and the examples."""
    folders = ("docs", "extensions", "registry", "examples")
    return sorted([*ROOT.glob("*.md"), *(page for folder in folders for page in ROOT.glob(f"{folder}/**/*.md"))])


def blocks(page: Path) -> list[Block]:
    """The code blocks of a page, in order."""
    found = []
    for match in _FENCE.finditer(page.read_text(encoding="utf-8")):
        language, _, name = match["info"].strip().partition(" ")
        found.append(Block(language, name, match["text"]))
    return found


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def commands(page: Path) -> Iterator[str]:
    """Every line of a shell block, and every code span, one command each; continued lines are joined."""
    for block in blocks(page):
        if block.language == "sh":
            for line in block.text.replace("\\\n", " ").splitlines():
                yield from (part.strip() for part in re.split(r"&&|\||#| >", line) if part.strip())
    yield from _SPAN.findall(prose(page))


def links(page: Path) -> list[str]:
    """Where the links of a page lead, as written."""
    return _LINK.findall(_SPAN.sub("`code`", prose(page)))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them: a heading that comes again gets a number."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        anchor = plain = re.sub(r"[^\w\- ]", "", _LINK_TEXT.sub(r"\1", heading).lower()).replace(" ", "-")
        number = 0
        while anchor in found:
            number += 1
            anchor = f"{plain}-{number}"
        found.add(anchor)
    return found


def tables(page: Path) -> list[Table]:
    """Every table of a page, with the heading that it stands below."""
    found: list[Table] = []
    heading, rows = "", list[list[str]]()
    for line in [*prose(page).splitlines(), ""]:
        if line.startswith("#"):
            heading = line.lstrip("#").strip()
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            keys, _, *values = rows
            found.append(Table(heading, [dict(zip(keys, row, strict=True)) for row in values]))
            rows = []
    return found
