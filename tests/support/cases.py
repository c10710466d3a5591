"""Case files: exact expected texts. ``SANDBOXER_UPDATE_CASES=1`` regenerates them; read the diff."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType

CASES = Path(__file__).parent.parent / "cases"


def compare(case: str, text: str) -> None:
    """Compare a text with the case file of this path below ``tests/cases``."""
    path = CASES / case
    if os.environ.get("SANDBOXER_UPDATE_CASES"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def piped(renderable: RenderableType) -> str:
    """Return the text as written to a pipe: no colour, no line folded or cut."""
    console = Console(width=4096, soft_wrap=True, force_terminal=False, highlight=False, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def on_terminal(renderable: RenderableType, width: int, *, color: bool = False) -> str:
    """Return the text as written to a terminal of this width."""
    system = "truecolor" if color else None
    console = Console(width=width, force_terminal=True, highlight=False, color_system=system, _environ={})  # type: ignore[arg-type]
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()
