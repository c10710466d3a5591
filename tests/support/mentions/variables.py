"""Environment variables of ours that a text mentions: something has to read them."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import TYPE_CHECKING

from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.mentions.texts import Text

_NAME = re.compile(r"\b_?SANDBOXER_[A-Z_]*[A-Z]\b")

_USED = re.compile(r"\$[{(]?(SANDBOXER_[A-Z_]+)")


def faults(text: Text) -> Iterator[str]:
    """Yield each variable that neither the product nor a test or a script reads."""
    for name in dict.fromkeys(_NAME.findall(text.words)):
        if name not in read():
            yield f"nothing reads {name}"


@cache
def read() -> frozenset[str]:
    """Return the variables that code reads: a constant of that name in Python, `$NAME` in shell, make, compose."""
    found: set[str] = set()
    for folder in ("sandboxer", "scripts", "benchmarks", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            if "SANDBOXER_" in (text := path.read_text(encoding="utf-8")):
                constants = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
                found |= {value for value in constants if isinstance(value, str) and _NAME.fullmatch(value)}
                found |= set(_USED.findall(text))
    for path in [ROOT / "Makefile", *ROOT.glob("s*/**/*.sh")]:
        found |= set(_USED.findall(path.read_text(encoding="utf-8")))
    return frozenset(found)
