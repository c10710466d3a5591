"""An error for people: what is wrong and what to do, and never a traceback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from sandboxer.errors import HostError, ManifestError, SandboxError
from sandboxer.render.diagnostics import to_text
from sandboxer.render.lines import Line, Lines
from sandboxer.render.words import hint_of, message_of, safe_lines

if TYPE_CHECKING:
    from sandboxer.errors import SandboxerError


def error_text(error: SandboxerError) -> Lines:
    """Return the error as something that a rich console prints: its message in full, then its hint.

    The message begins with the host or sandbox that it is about; findings in manifests are shown with their lines.
    """
    if isinstance(error, ManifestError):
        coloured = to_text(error.diagnostics, color=True).rstrip("\n")
        return Lines([Line(Text.from_ansi(line)) for line in coloured.split("\n")])
    about = error.host if isinstance(error, HostError) else error.sandbox if isinstance(error, SandboxError) else ""
    text = message_of(error)
    message = text if about in text else f"{about}: {text}"
    out = Lines()
    first, *more = safe_lines(message) or [type(error).__name__]
    out.add((first, "bold"), prefix=("Error: ", "bold red"))
    for line in more:
        out.add(line, indent=2)
    for at, line in enumerate(safe_lines(hint_of(error))):
        out.add(line, prefix=("  hint: ", "cyan") if at == 0 else " " * 8)
    return out
