"""Why a sandbox's last operation failed, for people: in one line, or in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.render.words import safe, safe_lines

if TYPE_CHECKING:
    from sandboxer.model.failure import Failure
    from sandboxer.render.lines import Lines


def failure_line(failure: Failure) -> str:
    """Return the code and the cause: ``service-exited: service "web" exited with code 3``."""
    return f"{safe(failure.code)}: {safe(failure.message)}"


def add_failure(out: Lines, failure: Failure, when: str, text: str) -> None:
    """Add a failure in full; ``when`` it was, and its whole ``text``, which is left out where it says no more."""
    out.blank()
    out.add(
        (safe(failure.code), "red"),
        (f"  in step {safe(failure.step)}, {when}", "dim"),
        prefix=("  error         ", "dim"),
    )
    out.add(safe(failure.message), indent=16)
    for at, line in enumerate(safe_lines(failure.hint)):
        out.add(line, prefix=("          hint: " if at == 0 else " " * 16, "cyan"))
    lines = safe_lines(text)
    if " ".join(text.split()) in ("", failure.message):
        return
    out.blank()
    for line in lines:
        out.add(line, prefix=("    | ", "dim"))
