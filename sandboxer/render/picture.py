"""A plan as a picture for a README: the terminal's own text as SVG, the same bytes for the same plan."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from rich.console import Console

from sandboxer.render.plan_text import plan_text

if TYPE_CHECKING:
    from sandboxer.model.plan import Plan


def export_svg(plan: Plan, *, width: int = 100) -> str:
    """Return the plan as an SVG picture, ``width`` columns wide.

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
    console.print(plan_text(plan))
    picture = console.export_svg(title="sandboxer plan", unique_id="sandboxer-plan")
    picture = re.sub(r"\s*@font-face\s*\{.*?\}", "", picture, flags=re.DOTALL)
    return re.sub(r"\s*<!--.*?-->", "", picture)
