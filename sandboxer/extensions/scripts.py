"""The shell files of extensions: scripts that run on hosts are constant text, never built from values."""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def script(*names: str) -> str:
    """Return the text of shell files, joined in the given order.

    A name is a path relative to this directory, or ``package:path`` for a file of another package.
    """
    return "\n".join(_text(*name.rpartition(":")) for name in names)


def _text(package: str, _colon: str, path: str) -> str:
    return files(package or "sandboxer.extensions").joinpath(path).read_text(encoding="utf-8")
