"""Finds retired words in the names and texts of the product, its scripts and its pages."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter, defaultdict
from itertools import chain
from typing import TYPE_CHECKING

from tests.support.fleet import ROOT
from tests.support.mentions.texts import all_files, file_texts, parsed
from tests.support.retired.words import in_name, in_path, in_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SHELL_NAME = re.compile(r"^\s*(\w+)\(\)|\b(?:local |export )?([a-z]\w*)=|\bfor (\w+) in\b", re.MULTILINE)
_JS_NAME = re.compile(r"\b(?:const|let|function|class) (\w+)")


def found() -> dict[str, Counter[str]]:
    """Return every retired word that still stands, as `name WORD` or `text WORD`: how often in which file."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for path in all_files():
        where = path.relative_to(ROOT).as_posix()
        words = [f"name {word}" for name in names(path) for word in in_name(name, where)]
        words += [f"name {word}" for word in in_path(where)]
        words += [f"text {word}" for text in _texts(path) for word in in_text(text)]
        for word in words:
            counted[word][where] += 1
    return counted


def names(path: Path) -> set[str]:
    """Return the names that a file gives: its own, and those of what it defines."""
    if path.suffix not in (".py", ".sh", ".js"):
        return set()
    if path.suffix == ".py":
        return {path.stem, *_python_names(parsed(path))}
    text = path.read_text(encoding="utf-8")
    pattern = _SHELL_NAME if path.suffix == ".sh" else _JS_NAME
    return {path.stem, *filter(None, chain.from_iterable(match.groups() for match in pattern.finditer(text)))}


def _python_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                yield name
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name


def _texts(path: Path) -> Iterator[str]:
    yield from (text.words for text in file_texts(path))
    if path.suffix == ".py":
        tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
        yield from (token.string for token in tokens if token.type == tokenize.COMMENT)
