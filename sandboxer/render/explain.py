"""Effective values and their sources, for ``render NAME --explain``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from sandboxer.render.lines import Lines
from sandboxer.render.words import safe, value_text

if TYPE_CHECKING:
    from collections.abc import Iterable

_SPACING = 3
# A longer value does not push all sources to the right; its own source just follows it.
_WIDEST = 48


def explain_text(rows: Iterable[tuple[str, object, str]]) -> Lines:
    """Return rows of path, value and source (``profiles/x.yaml:12:5`` or ``default``), in columns.

    A value is any JSON value, or Hidden; environment values and secrets are shown as ``(hidden)``.
    """
    shown = [(safe(path), value_text(path, value), safe(source)) for path, value, source in rows]
    paths = max((cell_len(path) for path, _, _ in shown), default=0)
    values = min(max((cell_len(value) for _, value, _ in shown), default=0), _WIDEST)
    out = Lines()
    for path, value, source in shown:
        out.add(
            (value, "bold"),
            " " * (max(values - cell_len(value), 0) + _SPACING),
            (source, "dim"),
            prefix=path + " " * (paths + _SPACING - cell_len(path)),
        )
    return out
