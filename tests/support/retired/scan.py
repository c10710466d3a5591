"""Finds retired words in the names and texts of every tracked file."""

from __future__ import annotations

import ast
import html
import io
import re
import subprocess
import tokenize
from collections import Counter, defaultdict
from itertools import chain
from typing import TYPE_CHECKING

from tests.support.fleet import ROOT
from tests.support.mentions.texts import FORMER, file_texts, page_text, parsed
from tests.support.retired.words import in_name, in_path, in_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# The list itself and its test spell the words; the states of a past release stay as that release wrote them.
LEFT_OUT = ("tests/support/retired/", "tests/unit/project/test_retired_words.py", "tests/cases/release/")

_SHELL_NAME = re.compile(r"^\s*(\w+)\(\)|\b(?:local |export )?([a-z]\w*)=|\bfor (\w+) in\b", re.MULTILINE)
_JS_NAME = re.compile(r"\b(?:const|let|function|class) (\w+)")


def tracked_files() -> list[Path]:
    """Return every text file that git tracks, without those that spell the words on purpose."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    paths = (ROOT / name for name in listed.stdout.split("\0") if name and not name.startswith(LEFT_OUT))
    return sorted(path for path in paths if path.is_file() and _is_text(path.read_bytes()))


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


def found() -> dict[str, Counter[str]]:
    """Return every retired word that still stands, as `name WORD` or `text WORD`: how often in which file."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for path in tracked_files():
        where = path.relative_to(ROOT).as_posix()
        words = [f"name {word}" for name in names(path) for word in in_name(name, where)]
        words += [f"name {word}" for word in in_path(where)]
        words += [f"text {word}" for text in texts(path) for word in in_text(text)]
        for word in words:
            counted[word][where] += 1
    return counted


def names(path: Path) -> set[str]:
    """Return the names that a file gives: its own, those of what it defines, and those of keywords and keys."""
    if path.suffix not in (".py", ".sh", ".js"):
        return {path.stem}
    if path.suffix == ".py":
        return {path.stem, *python_names(parsed(path))}
    text = path.read_text(encoding="utf-8")
    pattern = _SHELL_NAME if path.suffix == ".sh" else _JS_NAME
    return {path.stem, *filter(None, chain.from_iterable(match.groups() for match in pattern.finditer(text)))}


def python_names(tree: ast.AST) -> Iterator[str]:
    """Yield each name that a module defines or passes by keyword, and each word that is a key or an index."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.keyword(arg=str(name)):
                yield name
            case ast.Dict(keys=keys):
                yield from (str(key.value) for key in keys if isinstance(key, ast.Constant) and _is_word(key.value))
            case ast.Subscript(slice=ast.Constant(value=str(key))) if _is_word(key):
                yield key


def _is_word(value: object) -> bool:
    return isinstance(value, str) and value.isidentifier()


def texts(path: Path) -> Iterator[str]:
    """Yield the texts of a file: of code its comments and sentences, of a style sheet its comments alone."""
    if path.suffix == ".css":
        yield from re.findall(r"/\*(.*?)\*/", path.read_text(encoding="utf-8"), re.DOTALL)
        return
    if path == ROOT / "CHANGELOG.md":  # of every release, without the former names that it gives
        yield FORMER.sub("", page_text(path).words)
        return
    yield from (html.unescape(text.words) for text in file_texts(path))
    if path.suffix == ".py":
        tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
        yield from (token.string for token in tokens if token.type == tokenize.COMMENT)
