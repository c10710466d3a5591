"""A drift report for people, on a terminal or in a log."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.model.lifecycle import Action
from sandboxer.render.drift_words import errors_once, resolution, unfinished, verdict
from sandboxer.render.fields import drift_lines
from sandboxer.render.host_errors import without_repeats
from sandboxer.render.lines import Lines
from sandboxer.render.plan_text import STYLES, add_hosts, add_warnings
from sandboxer.render.words import remedy, safe, safe_lines

if TYPE_CHECKING:
    from sandboxer.model.drift import DriftReport
    from sandboxer.model.plan import Change

_INDENT = 6
_FIELDS = 20


def drift_text(report: DriftReport) -> Lines:
    """Return the drift as something that a rich console prints.

    Each sandbox that drifted or is Unknown, then what is resolved.
    """
    out, report = Lines(), replace(report, plan=without_repeats(report.plan))
    changes = report.plan.changes
    width = max((len(change.sandbox) for change in changes), default=0)
    if changes:
        out.add((f"Fleet {safe(report.plan.fleet)}: what runs, against what was applied", "dim"))
    for change in changes:
        out.blank()
        _add_change(out, report, change, width)
    if report.resolved:
        out.blank()
        out.add(("Resolved", "bold"))
    for one in report.resolved:
        out.add(resolution(one), prefix=("  + ", "green"))
    add_hosts(out, report.plan)
    if report.errors:
        out.blank()
    for error in errors_once(report):
        out.add(safe(error), prefix=("Error: ", "bold red"))
    add_warnings(out, replace(report.plan, dirty=False))
    out.blank()
    out.add((verdict(report), "bold yellow" if report.drifted else "bold green" if report.complete else "bold"))
    if reason := unfinished(report):
        out.add((reason, "bold red"))
    return out


def _add_change(out: Lines, report: DriftReport, change: Change, width: int) -> None:
    blocked = change.action is Action.BLOCKED
    style = STYLES[Action.BLOCKED] if blocked else "yellow"
    out.add(
        (f"{safe(change.sandbox):<{width}}", "bold"),
        "  ",
        (f"{change.health} on {safe(change.host or 'no host')}", style),
        (f"  ({change.reason})", "dim"),
        prefix=("  ! " if blocked else "  ~ ", style),
    )
    since = report.since.get((change.host or "", change.id))
    seen = f"drifted since {since:%Y-%m-%d %H:%M:%SZ}; " if since is not None and since < report.at else ""
    for line in safe_lines(seen + change.message):
        out.add(line, indent=_INDENT)
    if hint := remedy(change):
        out.add(hint, indent=_INDENT, prefix=("hint: ", "bold"))
    for field in drift_lines(change.drift[:_FIELDS]):
        out.add((f"{field.path}: ", "dim"), field.text, indent=_INDENT)
    if len(change.drift) > _FIELDS:
        out.add((f"and {len(change.drift) - _FIELDS} more (-o json lists them)", "dim"), indent=_INDENT)
