"""A drift report as a comment or a job's summary, in GitHub's Markdown; untrusted text is shown and has no effect."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.render.drift_words import errors_once, resolution, unfinished, verdict
from sandboxer.render.host_errors import without_repeats
from sandboxer.render.plan_markdown import LIMIT, asides, details_of, escape, fitting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.model.drift import DriftReport
    from sandboxer.model.plan import Change

_ROWS = 20_000
_ASIDE = 6_000
_NOTE = 400


def drift_markdown(report: DriftReport) -> str:
    """Return the drift as Markdown of at most 65,000 characters; what does not fit is left out, and a line says so.

    The first line marks it as this fleet's, so that the next run finds it and rewrites it.
    """
    report = replace(report, plan=without_repeats(report.plan))
    changes = report.plan.changes
    head, table = _head(report), _table(report)
    lines = [*(f"- resolved: {escape(resolution(one))}" for one in report.resolved), *_asides(report)]
    aside = fitting(lines, len(lines), _ASIDE, "more lines", command="drift")
    room = LIMIT - sum(len(part) + 2 for part in (*head, table, aside)) - _NOTE
    blocks = (details_of(change, f"on {change.host or 'no host'}") for change in changes)
    details = fitting(blocks, len(changes), room, "more sandboxes in detail", between="\n\n", command="drift")
    return "\n\n".join(part for part in (*head, table, details, aside) if part) + "\n"


def _head(report: DriftReport) -> list[str]:
    marker = re.sub(r"[^a-z0-9.-]|-(?=-)", "", report.plan.fleet)
    head = [
        f"<!-- sandboxer:drift fleet={marker} -->\n### Sandboxer drift: {escape(report.plan.fleet)}",
        f"**{verdict(report)}**",
    ]
    reason = unfinished(report)
    return [*head, f"> **Warning:** {escape(reason)}"] if reason else head


def _table(report: DriftReport) -> str:
    changes = report.plan.changes
    if not changes:
        return ""
    rows = ("| " + " | ".join(_cells(report, change)) + " |" for change in changes)
    head = "| Sandbox | Host | Health | Since | Reason |\n| --- | --- | --- | --- | --- |\n"
    return head + fitting(rows, len(changes), _ROWS, "more sandboxes", command="drift")


def _cells(report: DriftReport, change: Change) -> Iterator[str]:
    since = report.since.get((change.host or "", change.id))
    yield escape(change.sandbox)
    yield escape(change.host or "")
    yield change.health
    yield f"{since:%Y-%m-%d %H:%M:%SZ}" if since else ""
    yield f"`{change.reason}`"


def _asides(report: DriftReport) -> Iterator[str]:
    yield from (f"- {escape(error)}" for error in errors_once(report))
    yield from asides(replace(report.plan, dirty=False))
