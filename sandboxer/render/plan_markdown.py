"""A plan as the comment of a pull request, in GitHub's Markdown.

All text from a manifest or a host is untrusted: it is shown as it is and has no effect.
"""

from __future__ import annotations

import re
from itertools import accumulate, takewhile
from typing import TYPE_CHECKING

from sandboxer.model.lifecycle import Action
from sandboxer.render.diagnostics import to_lines
from sandboxer.render.fields import drift_lines, pending_lines, unknown_lines
from sandboxer.render.host_errors import without_repeats
from sandboxer.render.inputs import file_lines, input_title, subject_lines
from sandboxer.render.remedies import COMMENT, worded
from sandboxer.render.services import service_lines, services_title
from sandboxer.render.words import (
    DIRTY,
    SYMBOLS,
    counts,
    destroyed,
    incomplete,
    nothing_to_do,
    notice_text,
    plural,
    remedy,
    safe,
    safe_lines,
    secrets_not_compared,
    unmanaged_counts,
    where,
    why,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sandboxer.model.plan import Change, Plan
    from sandboxer.render.fields import FieldLine

LIMIT = 65_000
"""Characters; GitHub refuses a comment of more than 65,536."""

_CELL = 1_000
_ROWS = 20_000
_ASIDE = 6_000
_NOTE = 200
_FINDINGS = 10
_TEXT = 12_000  # of one sandbox's files
# What Markdown reads as markup anywhere, what it reads as markup at the beginning of a line, and what makes links of
# plain words.
_ACTIVE = re.compile(r"[\\`*_\[\]<>#|~&@$]|^[^A-Za-z0-9]|^\d(?=\d*[.)](\s|$))|:(?=//)|(?<=www)\.", re.IGNORECASE)
_NOTIFIES = "@#"


def plan_markdown(plan: Plan) -> str:
    """Return the plan as Markdown of at most 65,000 characters; what does not fit is left out, and a line says so.

    The first line marks the comment as this fleet's, so that the next run finds it and rewrites it. Unmanaged things
    are only counted: what else runs on a host does not belong in a pull request.
    """
    plan = without_repeats(plan)
    shown = [change for change in plan.changes if change.action is not Action.NO_OP]
    head = _head(plan)
    table = _table(shown)
    lines = list(asides(plan))
    aside = fitting(lines, len(lines), _ASIDE, "more lines")
    room = LIMIT - sum(len(part) + 2 for part in (*head, table, aside)) - _NOTE
    blocks = (details_of(change) for change in shown)
    details = fitting(blocks, len(shown), room, "more changes in detail", between="\n\n")
    texts = [text for change in shown if (text := diff_of(change))]
    diffs = fitting(texts, len(texts), room - len(details), "more diffs", between="\n\n", command="plan --diff")
    return "\n\n".join(part for part in (*head, table, details, diffs, aside) if part) + "\n"


def _head(plan: Plan) -> list[str]:
    marker = re.sub(r"[^a-z0-9.-]|-(?=-)", "", plan.fleet)
    commit = f" at `{re.sub('[^0-9a-f]', '', plan.commit)[:12]}`" if plan.commit else ""
    unchanged = plan.complete and not plan.differences
    summary = nothing_to_do(plan) if unchanged else f"Plan: {counts(plan)}."
    head = [
        f"<!-- sandboxer:plan fleet={marker} -->\n### Sandboxer plan: {escape(plan.fleet)}{commit}",
        f"**{summary}**",
    ]
    reason = incomplete(plan)
    return [*head, f"> **Warning:** {escape(reason)}"] if reason else head


def _table(changes: list[Change]) -> str:
    if not changes:
        return ""
    rows = ("| " + " | ".join(_cells(change)) + " |" for change in changes)
    head = "| | Sandbox | Host | Action | Reason |\n| --- | --- | --- | --- | --- |\n"
    return head + fitting(rows, len(changes), _ROWS, "more changes")


def _cells(change: Change) -> Iterator[str]:
    yield f"`{SYMBOLS[change.action]}`"
    yield escape(change.sandbox)
    yield escape(change.host or "") + (f", from {escape(change.from_host)}" if change.from_host else "")
    yield change.action
    yield f"`{change.reason}`"


def details_of(change: Change, title: str = "") -> str:
    """Return the details below the table: the reason, and each field; ``title`` is a short name of the change."""
    parts = [f"<summary>{escape(change.sandbox)}: {escape(title or where(change))}</summary>"]
    sentences = [*why(change), remedy(change, COMMENT).replace("`", "")]
    if reasons := [escape(line) for line in sentences if line]:
        parts.append("<br>\n".join(reasons))
    if change.diagnostics:
        shown = [line for found in change.diagnostics[:_FINDINGS] for line in to_lines(found)]
        more = len(change.diagnostics) - _FINDINGS
        parts.append(_fenced("text", [*map(safe, map(cut, shown)), *([f"and {more} more"] if more > 0 else [])]))
    if volumes := destroyed(change):
        parts.append(f"**{escape(volumes)}**")
    if lines := list(_diff(change)):
        parts.append(_fenced("diff", lines))
    return "<details>\n" + "\n\n".join(parts) + "\n\n</details>"


def diff_of(change: Change) -> str:
    """Return the text of the files of a change's input that differ; empty if it was not requested."""
    lines = [safe(line) for line in change.input.diff or ()] if change.input else []
    if not lines:
        return ""
    fits = len(list(takewhile(lambda total: total <= _TEXT, accumulate(len(line) + 1 for line in lines))))
    if fits < len(lines):
        lines = [*lines[:fits], f"… {len(lines) - fits} more lines: see `sandboxer plan --diff`"]
    summary = f"<summary>{escape(change.sandbox)}: text of the changed files</summary>"
    return f"<details>\n{summary}\n\n{_fenced('diff', lines)}\n\n</details>"


def _fenced(language: str, lines: Sequence[str]) -> str:
    # A fence ends only at one as long as itself: longer than any run of backticks inside, nothing inside ends it.
    runs = (len(run) for line in lines for run in re.findall("`+", line))
    fence = "`" * max(3, 1 + max(runs, default=0))
    return "\n".join([f"{fence}{language}", *lines, fence])


def _diff(change: Change) -> Iterator[str]:
    if change.input:
        yield f"@@ input: {cut(input_title(change.input))} @@"
        yield from (cut(f"# {line}") for line in subject_lines(change.input))
        yield from (cut(f"  {line}") for line in file_lines(change.input))
    if change.expected:
        yield f"@@ {services_title(change.expected)} @@"
        yield from (cut(f"{'!' if acts else ' '} {line}") for acts, line in service_lines(change.expected))
    for title, lines in (("pending (git)", pending_lines(change)), ("drift (live)", drift_lines(change.drift))):
        if lines:
            yield f"@@ {title} @@"
        for line in lines:
            yield from map(cut, _diff_of(line))
        if title.startswith("pending"):
            yield from (cut(f"# {line}") for line in unknown_lines(change))


def _diff_of(line: FieldLine) -> Iterator[str]:
    if line.words:
        yield f"! {line.path}: {line.words}"
        return
    for sign, value in (("-", line.old), ("+", line.new)):
        if value is not None:
            yield f"{sign} {line.path}: {value}"


def asides(plan: Plan) -> Iterator[str]:
    """Yield what to know beyond the changes, a list item each."""
    for host in plan.hosts:
        if host.status != "reachable":
            error = escape(" ".join(safe_lines(host.error or "")))
            details = "; ".join(part for part in (error, escape(worded(host.remedy, COMMENT).replace("`", ""))) if part)
            yield f"- **{escape(host.name)}** is {host.status}" + (f": {details}" if details else "")
    if plan.dirty:
        yield f"- {escape(DIRTY)}"
    yield from (f"- {escape(notice_text(warning, COMMENT))}" for warning in plan.warnings)
    if secrets := secrets_not_compared(plan):
        yield f"- {secrets}"
    yield from (f"- {escape(line)}, never touched" for line in unmanaged_counts(plan))
    if ambiguous := sum(thing.kind == "ambiguous" for thing in plan.unmanaged):
        have = "has" if ambiguous == 1 else "have"
        yield f"- {plural(ambiguous, 'thing')} on the hosts {have} our labels but neither record nor manifest"
    if plan.imperative:
        yield f"- {plural(len(plan.imperative), 'imperative sandbox')}, which git leaves alone"


def fitting(
    pieces: Iterable[str], count: int, room: int, left_out: str, *, between: str = "\n", command: str = "plan"
) -> str:
    """Return the first of ``count`` pieces, as many as fit in ``room``, and how many do not.

    ``room`` is in characters. Consumes only as many of ``pieces`` as needed. ``command`` is the one that shows
    everything.
    """
    kept: list[str] = []
    for piece in pieces:
        room -= len(piece) + len(between)
        if room < 0:
            break
        kept.append(piece)
    if missing := count - len(kept):
        kept.append(f"\n_{missing} {left_out}: see `sandboxer {command}`._")
    return between.join(kept)


def cut(text: str) -> str:
    """Return the text, cut so that it fits a cell of a table."""
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"


def escape(text: str) -> str:
    """Return untrusted text as Markdown that shows it, on one line: no markup, no link, no mention, no HTML."""
    return _ACTIVE.sub(_entity, cut(safe(" ".join(text[: 4 * _CELL].split()))))


def _entity(match: re.Match[str]) -> str:
    # GitHub looks for mentions and issues after it resolves the entities; a blank of no width keeps them from it.
    return f"&#{ord(match[0])};" + ("&#8203;" if match[0] in _NOTIFIES else "")
