"""Host reports as text for people, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from rich.cells import cell_len

from sandboxer.render.lines import Lines
from sandboxer.render.words import safe, safe_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.model.host_report import HostReport

_SIGNS = {"ok": ("✓", "green"), "note": ("·", "cyan"), "warning": ("!", "bold yellow"), "error": ("✗", "bold red")}


def doctor_text(checkups: Sequence[HostReport]) -> Lines:
    """Return the checks of each host below its name, remedies below what they fix, and a closing line of counts."""
    out = Lines()
    width = max((cell_len(check.name) for each in checkups for check in each.checks), default=0)
    for report in checkups:
        out.blank()
        out.add((safe(report.host), "bold"))
        for check in report.checks:
            sign, style = _SIGNS[check.status]
            first, *more = safe_lines(check.found) or [""]
            words = (first, "" if check.status in ("ok", "note") else style)
            name = check.name + " " * (width - cell_len(check.name))
            out.add(words, prefix=(f"  {sign} {name}  ", style))
            for line in more:
                out.add(line, indent=width + 6)
            for line in safe_lines(check.remedy):
                out.add((line, "cyan"), indent=width + 6)
    out.blank()
    out.add((_closing(checkups), "bold"))
    return out


def _closing(checkups: Sequence[HostReport]) -> str:
    bad = sum(1 for report in checkups if not report.ok)
    counts = Counter(check.status for report in checkups for check in report.checks)
    warnings = counts["warning"]
    counted = [f"{len(checkups) - bad} of {_many(len(checkups), 'host')} can be used"]
    if counts["error"] or warnings:
        counted.append(f"{_many(counts['error'], 'error')}, {_many(warnings, 'warning')}")
    return "; ".join(counted) + "."


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def doctor_json(checkups: Sequence[HostReport]) -> str:
    """Return the reports as one JSON object: ``format_version``, ``ok``, and the ``hosts`` with their checks."""
    content = {
        "format_version": "1.0",
        "ok": all(report.ok for report in checkups),
        "hosts": [report.to_json() for report in checkups],
    }
    return json.dumps(content, indent=2, ensure_ascii=False)
