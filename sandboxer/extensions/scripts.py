"""The shell files of this package: what runs on hosts is constant text, never built from values."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def script(*names: str) -> str:
    """The text of shell files, one after the other; paths are relative to this folder."""
    folder = files("sandboxer.extensions")
    return "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)
