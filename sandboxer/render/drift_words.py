"""The words that all renderings of drift share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.model.drift import Uncompared
from sandboxer.model.lifecycle import Action
from sandboxer.render.words import named, plural, safe

if TYPE_CHECKING:
    from sandboxer.model.drift import DriftReport, Resolved


def verdict(report: DriftReport) -> str:
    """Return how many sandboxes drifted, in a sentence, and how many of them the next apply repairs."""
    hosts = plural(sum(host.status == "reachable" for host in report.plan.hosts), "host")
    drifted = report.drifted
    if not drifted:
        are = "is as it was applied" if report.compared == 1 else "are as they were applied"
        there = f"{plural(report.compared, 'sandbox')} on {hosts} {are}"
        return f"No drift. {there if report.compared else f'There is no sandbox to compare on {hosts}'}."
    repaired = sum(change.action is Action.REPAIR for change in drifted)
    are = "is not as it was applied" if len(drifted) == 1 else "are not as they were applied"
    next_apply = f"the next apply repairs {repaired if repaired < len(drifted) else 'it' if repaired == 1 else 'them'}"
    return f"Drift: {plural(len(drifted), 'sandbox')} {are}; {next_apply if repaired else 'no apply repairs that'}."


def unfinished(report: DriftReport) -> str:
    """Return why the comparison is incomplete, in a sentence; empty where it is complete."""
    parts = [f"{safe(host.name)} is {host.status}" for host in report.plan.hosts if host.status != "reachable"]
    parts = [named(parts)] if parts else []
    if unknown := sum(change.action is Action.BLOCKED for change in report.plan.changes):
        parts.append(f"{plural(unknown, 'sandbox')} {'is' if unknown == 1 else 'are'} Unknown")
    if report.errors:
        parts.append(f"the files of {plural(len(report.errors), 'sandbox')} cannot be compared")
    return f"The comparison is incomplete: {'; '.join(parts)}." if parts else ""


def errors_once(report: DriftReport) -> list[str]:
    """Return what could not be compared, a sentence for each reason: one host's error is not repeated."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for one in report.errors:
        by_reason.setdefault((one.host, one.error), []).append(one.sandbox)
    return [Uncompared(", ".join(names), host, error).message for (host, error), names in by_reason.items()]


def resolution(resolved: Resolved) -> str:
    """Return ``web on lab-1: services.web, drifted since 2026-11-24 10:00:00Z``."""
    paths = named([safe(path) for path in resolved.paths])
    since = f"{resolved.since:%Y-%m-%d %H:%M:%SZ}"
    return f"{safe(resolved.sandbox)} on {safe(resolved.host)}: {paths}, drifted since {since}"
