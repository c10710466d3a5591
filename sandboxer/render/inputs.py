"""What changed in a sandbox's input, in lines for people: commits, their subjects, files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.render.words import plural, safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.model.input_change import FileChange, InputChange

_SHORT = 7


_DIFF_STYLES = {"+": "green", "-": "red", "@": "cyan", " ": "", "\\": "dim", "…": "dim"}


def diff_style(line: str) -> str:
    """Return the style of a line of a diff on a terminal; what is no content is a header."""
    return "bold" if line.startswith(("+++ ", "--- ")) else _DIFF_STYLES.get(line[:1], "bold")


def input_title(change: InputChange) -> str:
    """Return ``app HEAD  36cd213 -> 4fa1b22 (3 commits)``."""
    former, commit = safe(change.former)[:_SHORT], safe(change.commit)[:_SHORT]
    commits = f"at {commit}" if change.former == change.commit else f"{former} -> {commit}"
    return f"{safe(change.repo)} {safe(change.ref)}  {commits}" + (f" ({count})" if (count := _count(change)) else "")


def _count(change: InputChange) -> str:
    if change.commits is None:
        return ""
    undone = f"{plural(change.undone, 'commit')} undone" if change.undone else ""
    return ", ".join(part for part in (plural(change.commits, "commit") if change.commits else "", undone) if part)


def subject_lines(change: InputChange) -> Iterator[str]:
    """Yield the subjects of the newest commits, and how many more there are; nothing if no delivered file changed."""
    if not change.count and not change.unknown:
        return
    yield from (safe(subject) for subject in change.subjects)
    if change.commits and (rest := change.commits - len(change.subjects)) > 0:
        yield f"and {plural(rest, 'earlier commit')}"


def file_lines(change: InputChange) -> Iterator[str]:
    """Yield a line for each delivered file that changed, or why they are not known."""
    if change.unknown:
        yield f"changed files unknown: {safe(change.unknown)}"
        if change.hint:
            yield f"hint: {safe(change.hint)}"
        return
    yield from (_file_line(file) for file in change.files)
    if rest := change.count - len(change.files):
        yield f"and {plural(rest, 'more file')}"
    if not change.count:
        yield "no delivered file changed"


def _file_line(file: FileChange) -> str:
    path = f"{safe(file.former_path)} -> {safe(file.path)}" if file.former_path else safe(file.path)
    parts = [f"{file.status} {path}"]
    if file.binary:
        parts.append("binary")
    elif file.added or file.removed:
        parts.append(f"+{file.added} -{file.removed}")
    if file.mode:
        parts.append(f"mode {file.mode[0]} -> {file.mode[1]}")
    return "  ".join(parts)
