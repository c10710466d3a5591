"""A terminal's own text as a picture for a README: SVG, the same bytes for the same text."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType


def export_svg(shown: RenderableType, *, title: str, width: int = 100) -> str:
    """Return what a terminal shows as an SVG picture, ``width`` columns wide; ``title`` is that of its window.

    It references no font to fetch, so a reader of the README contacts no address because of it.
    """
    console = Console(
        record=True,
        file=io.StringIO(),
        width=width,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        legacy_windows=False,
        _environ={},
    )
    console.print(shown)
    picture = console.export_svg(title=title, unique_id=title.replace(" ", "-"))
    picture = re.sub(r"\s*@font-face\s*\{.*?\}", "", picture, flags=re.DOTALL)
    return re.sub(r"\s*<!--.*?-->", "", picture)
