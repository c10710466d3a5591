"""Contents of the documentation: its code blocks, commands and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import unquote

from markdown_it import MarkdownIt

from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from markdown_it.token import Token

_MARKDOWN = MarkdownIt("commonmark").enable("table")
_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_HTML_LINK = re.compile(r"""\b(?:href|src)\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)
_NO_REFERENCE = re.compile(r"\[[^\[\]]+\]\[[^\[\]]*\]")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced code block: its language, the rest of its first line, and its text."""

    language: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table: the heading above it, and its rows, each cell by the title of its column."""

    heading: str
    rows: list[dict[str, str]]


def pages() -> list[Path]:
    """Return every page for readers: of the root, the documentation, the registry and the examples."""
    folders = ("docs", "extensions", "registry", "examples")
    return sorted([*ROOT.glob("*.md"), *(page for folder in folders for page in ROOT.glob(f"{folder}/**/*.md"))])


def blocks(page: Path) -> list[Block]:
    """Return the code blocks of a page, in order."""
    found = []
    for match in _FENCE.finditer(page.read_text(encoding="utf-8")):
        language, _, name = match["info"].strip().partition(" ")
        found.append(Block(language, name, match["text"]))
    return found


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def commands(page: Path) -> Iterator[str]:
    """Yield every line of a shell block, and every code span, one command each; continued lines are joined."""
    for block in blocks(page):
        if block.language == "sh":
            for line in block.text.replace("\\\n", " ").splitlines():
                yield from (part.strip() for part in re.split(r"&&|\||#| >", line) if part.strip())
    yield from _SPAN.findall(prose(page))


def links(page: Path) -> list[str]:
    """Return the targets of a page's links and images, those in HTML included.

    A link by reference that the page does not define, ``[text][name]``, is returned as it is written.
    """
    found: list[str] = []
    for token in _tokens(page):
        if token.type in ("link_open", "image"):
            found.append(unquote(str(token.attrs["href" if token.type == "link_open" else "src"])))
        elif token.type in ("html_inline", "html_block"):
            found += _HTML_LINK.findall(token.content)
        elif token.type == "text":
            found += _NO_REFERENCE.findall(token.content)
    return found


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them: a repeated heading gets a number."""
    found: set[str] = set()
    tokens = _MARKDOWN.parse(page.read_text(encoding="utf-8"))
    for opening, heading in pairwise(tokens):
        if opening.type != "heading_open":
            continue
        text = "".join(part.content for part in heading.children or () if part.type in ("text", "code_inline"))
        anchor = plain = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        number = 0
        while anchor in found:
            number += 1
            anchor = f"{plain}-{number}"
        found.add(anchor)
    return found


def _tokens(page: Path) -> Iterator[Token]:
    for token in _MARKDOWN.parse(page.read_text(encoding="utf-8")):
        yield from token.children or (token,)


def tables(page: Path) -> list[Table]:
    """Return every table of a page, with the heading above it.

    Raise ValueError for a row without a cell for each column.
    """
    found: list[Table] = []
    heading, rows = "", list[list[str]]()
    for line in [*prose(page).splitlines(), ""]:
        if line.startswith("#"):
            heading = line.lstrip("#").strip()
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            keys, _, *values = rows
            for row in values:
                if len(row) != len(keys):
                    raise ValueError(f"{heading}: {row[0]}: {len(row)} cells, and the table has {len(keys)} columns")
            found.append(Table(heading, [dict(zip(keys, row, strict=True)) for row in values]))
            rows = []
    return found
