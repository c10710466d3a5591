"""Every text of the repository that a person may read: pages, what the program says, comments of its shell code."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from tests.support.fleet import ROOT
from tests.support.markdown import blocks, pages, prose

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Stands where an f-string has a value.
VALUE = "VALUE"
_SPAN = re.compile(r"(?<!`)(`{1,2})([^`\n]+)\1(?!`)")
_EXAMPLE = re.compile(r"^ {2,}((?:sandboxer|make) [a-z-].*?)(?: {2,}.*)?$", re.MULTILINE)
# "run make schemas", "plan again: sandboxer plan --out FILE": a command without backticks.
_RUN = re.compile(r"(?:\brun|:) ((?:(?:sandboxer|make) [a-z-]|\S*python3? -m )[^\n;`]*)")

FORMER = re.compile(r"before:\s+`[^`]+`(?:(?:,| and| or)\s+`[^`]+`)*")
_SAYS = re.compile(r"""(?:^|[;&|{])\s*(?:echo|printf|refuse|fail|die) [^"']*(["'])(.*)\1""")


@dataclass(frozen=True)
class Text:
    """One text: where it stands, its words, and the lines of its shell examples.

    Attributes:
        page: Whether it is Markdown.
    """

    path: str
    line: int
    words: str
    shell: tuple[str, ...] = ()
    page: bool = False

    @property
    def location(self) -> str:
        """Return the file, and the line where the text begins."""
        return self.path if self.page else f"{self.path}:{self.line}"

    @cached_property
    def spans(self) -> tuple[str, ...]:
        """Return what stands between backticks."""
        return tuple(match[2].strip() for match in _SPAN.finditer(self.words))

    @cached_property
    def plain(self) -> str:
        """Return the words outside of backticks."""
        return _SPAN.sub(" ", self.words)

    @cached_property
    def command_lines(self) -> tuple[str, ...]:
        """Return what may be a command line: each span, each line of an example, and what a text says to run."""
        examples = () if self.page else (*_EXAMPLE.findall(self.words), *_RUN.findall(self.words))
        return (*self.spans, *(part for line in examples for part in _split(line)), *self.shell)


def page_text(page: Path) -> Text:
    """Return a page of Markdown; its shell blocks are lines of examples."""
    lines: list[str] = []
    for block in blocks(page):
        if block.language in ("sh", "bash", "console"):
            lines += _commands(block.text)
    return Text(page.relative_to(ROOT).as_posix(), 1, prose(page), tuple(lines), page=True)


def unreleased_text(page: Path) -> Text:
    """Return what the changelog says of the next release, without the former names that it gives: "before: `name`".

    Each earlier release keeps the names of its time.
    """
    part = prose(page).partition("\n## [Unreleased]")[2].partition("\n## [")[0]
    return Text(page.relative_to(ROOT).as_posix(), 1, FORMER.sub("", part), page=True)


def _commands(block: str) -> Iterator[str]:
    for line in block.replace("\\\n", " ").splitlines():
        yield from _split(re.sub(r"(^|\s)#\s.*", "", line))


def _split(line: str) -> Iterator[str]:
    yield from (part.strip() for part in re.split(r"&&| \| | > ?|; ?", line) if part.strip())


@lru_cache(maxsize=1)
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a module; who reads a file for several reasons parses it once."""
    return ast.parse(path.read_text(encoding="utf-8"))


def python_texts(path: Path) -> Iterator[Text]:
    """Yield each constant of a module that is a sentence or has a span: messages, helps, descriptions, docstrings."""
    name = path.relative_to(ROOT).as_posix()
    for line, words in _constants(parsed(path)):
        if re.search(r"\s", words.strip()) or "`" in words:
            yield Text(name, line, words)


def _constants(node: ast.AST) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else VALUE for part in node.values)
        yield node.lineno, "".join(str(part) for part in parts)
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node.lineno, node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from _constants(child)


def shell_texts(path: Path) -> Iterator[Text]:
    """Yield each comment of a shell program or the Makefile, and what it prints for people."""
    name = path.relative_to(ROOT).as_posix()
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        if comment := re.search(r"(?:^|\s)##?\s(.*)", line):
            yield Text(name, number, comment[1])
        elif message := _SAYS.search(line):
            yield Text(name, number, re.sub(r"\$\{?\w+\}?", VALUE, message[2]))


def file_texts(path: Path) -> Iterator[Text]:
    """Yield the texts of a file by its kind; of a manifest or a page of HTML, the whole."""
    match path.suffix:
        case ".md" if path.name == "CHANGELOG.md":
            yield unreleased_text(path)
        case ".md":
            yield page_text(path)
        case ".py":
            yield from python_texts(path)
        case ".sh" | "":
            yield from shell_texts(path)
        case _:
            yield Text(path.relative_to(ROOT).as_posix(), 1, path.read_text(encoding="utf-8"), page=True)


def all_files() -> list[Path]:
    """Return every file whose texts are walked: the pages, the product, the scripts, and the Makefile."""
    product = [path for kind in ("py", "sh", "yaml", "html", "js") for path in ROOT.glob(f"sandboxer/**/*.{kind}")]
    scripts = [path for kind in ("py", "sh") for path in ROOT.glob(f"scripts/*.{kind}")]
    fleet = [ROOT / "sandboxer.yaml", *ROOT.glob("manifests/*.yaml"), *ROOT.glob("profiles/*.yaml")]
    return sorted({*pages(), *product, *scripts, *fleet, ROOT / "Makefile"})
