"""What the unreleased part of the changelog mentions without its program: commands, and names of the code."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from tests.support.fleet import ROOT
from tests.support.mentions.commands import PROGRAMS, bare_command, command_named
from tests.support.mentions.options import OTHER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.mentions.texts import Text

CHANGELOG = "CHANGELOG.md"
_BARE = re.compile(r"[a-z][a-z-]*( .+)")
_NAME = re.compile(r"\.?([A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)(?:\(.*\)|\[.*\])?")
_SUFFIXES = {".py", ".sh", ".yaml", ".json", ".toml"}


def faults(text: Text) -> Iterator[str]:
    """Yield each command of the changelog that does not exist, and each name that stands nowhere in the product."""
    if text.path != CHANGELOG:
        return
    for span in text.spans:
        first = span.split()[0]
        if first in PROGRAMS or first == "make" or OTHER.match(span):
            continue  # checked as a command, or another program's
        if _BARE.fullmatch(span):
            yield from (f"`{span}`: {fault}" for fault in bare_command(span))
        elif (name := _NAME.fullmatch(span)) and not command_named(span):
            missing = [part for part in re.split(r"[.-]", name[1]) if part and part not in _words()]
            yield from (f"`{span}`: nothing is called {part}" for part in missing)


@cache
def _words() -> frozenset[str]:
    """Return every word of the product, of its schemas and of what describes the package."""
    folders = (ROOT / "sandboxer", ROOT / "schemas")
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in _SUFFIXES]
    files.append(ROOT / "pyproject.toml")
    return frozenset(word for path in files for word in re.findall(r"[A-Za-z_]\w*", path.read_text(encoding="utf-8")))
