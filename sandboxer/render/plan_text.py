"""A plan for people, on a terminal or in a log."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from sandboxer.model.lifecycle import Action, Sync
from sandboxer.reconcile.fields import Effect
from sandboxer.render.diagnostics import to_lines
from sandboxer.render.fields import OWN_KEYS, drift_lines, key_of, pending_lines, unknown_lines
from sandboxer.render.host_errors import without_repeats
from sandboxer.render.inputs import diff_style, file_lines, input_title, subject_lines
from sandboxer.render.lines import Lines
from sandboxer.render.remedies import TERMINAL, worded
from sandboxer.render.services import services_line, services_title
from sandboxer.render.words import (
    DIRTY,
    SYMBOLS,
    counts,
    destroyed,
    effect_of_path,
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
    from sandboxer.errors.diagnostic import Diagnostic
    from sandboxer.model.input_change import InputChange
    from sandboxer.model.plan import Change, Plan

STYLES = {
    Action.CREATE: "green",
    Action.UPDATE: "yellow",
    Action.REPLACE: "magenta",
    Action.REPAIR: "cyan",
    Action.DELETE: "red",
    Action.NO_OP: "dim",
    Action.BLOCKED: "bold red",
}

_INDENT = 6


def plan_text(plan: Plan, *, show_all: bool = False) -> Lines:
    """Return the plan as something that a rich console prints.

    Only what changes or is blocked is shown in full; with ``show_all`` also what does not change, every field of what
    is created, and each unmanaged and imperative thing.
    """
    out, plan = Lines(), without_repeats(plan)
    shown = [change for change in plan.changes if change.action is not Action.NO_OP]
    quiet = [change for change in plan.changes if change.action is Action.NO_OP] if show_all else []
    width = max((len(change.sandbox) for change in (*shown, *quiet)), default=0)
    if shown or quiet:
        commit = f" at commit {safe(plan.commit)[:12]}" if plan.commit else ""
        out.add((f"Fleet {safe(plan.fleet)}{commit}", "dim"))
    known: dict[Diagnostic, str] = {}
    for change in shown:
        out.blank()
        _add_change(out, change, width, known, show_all=show_all)
    if quiet:
        out.blank()
    for change in quiet:
        _add_quiet(out, change, width)
    add_hosts(out, plan)
    add_warnings(out, plan)
    _add_unmanaged(out, plan, show_all=show_all)
    _add_closing(out, plan, show_all=show_all)
    return out


def _add_header(out: Lines, change: Change, width: int) -> None:
    style = STYLES[change.action]
    out.add(
        (f"{safe(change.sandbox):<{width}}", "bold"),
        "  ",
        (where(change), style),
        (f"  ({change.reason})", "dim"),
        prefix=(f"{SYMBOLS[change.action]:>3} ", style),
    )


def _add_change(out: Lines, change: Change, width: int, known: dict[Diagnostic, str], *, show_all: bool) -> None:
    _add_header(out, change, width)
    for line in why(change):
        out.add(line, indent=_INDENT)
    _add_findings(out, change, known)
    if change.input:
        _add_input(out, change.input)
    if change.expected:
        out.add((f"{services_title(change.expected)}: ", "bold"), services_line(change.expected), indent=_INDENT)
    if change.action is Action.CREATE or _is_blocked_create(change):
        _add_created(out, change, show_all=show_all)
    else:
        _add_fields(out, change)
    if volumes := destroyed(change):
        out.add((volumes, "bold red"), indent=_INDENT)
    if hint := remedy(change):
        out.add(hint, indent=_INDENT, prefix=("hint: ", "bold"))


def _add_findings(out: Lines, change: Change, known: dict[Diagnostic, str]) -> None:
    """Add the findings in the input, each once in a plan: ``known`` has the sandbox at which it was shown."""
    for found in change.diagnostics:
        if found not in known:
            for line in to_lines(found):
                out.add(safe(line), indent=_INDENT)
    for name, count in Counter(known[found] for found in change.diagnostics if found in known).items():
        out.add((f"{plural(count, 'finding')} in its input, shown at {safe(name)}", "dim"), indent=_INDENT)
    known.update(dict.fromkeys((found for found in change.diagnostics if found not in known), change.sandbox))


def _is_blocked_create(change: Change) -> bool:
    """Return whether a blocked change is of a sandbox without a record: every field is new."""
    new = not change.uid and not change.drift and all(field.old is None for field in change.pending)
    return change.action is Action.BLOCKED and new


def _add_input(out: Lines, change: InputChange) -> None:
    out.add(("input", "bold"), indent=_INDENT)
    out.add(input_title(change), indent=_INDENT + 2)
    for line in subject_lines(change):
        out.add((line, "dim"), indent=_INDENT + 4)
    for line in file_lines(change):
        out.add(line, indent=_INDENT + 2)
    for line in change.diff or ():
        out.add((safe(line), diff_style(line)), indent=_INDENT + 4)


def _add_created(out: Lines, change: Change, *, show_all: bool) -> None:
    lines = [line for line in pending_lines(change) if line.words or line.new is not None]
    own = [line for line in lines if key_of(line.path) in OWN_KEYS]
    shown = sorted(own, key=lambda line: OWN_KEYS.index(key_of(line.path))) if not show_all else lines
    for line in shown:
        path = line.path.removeprefix("spec.")
        out.add((f"{path}: ", "dim"), (line.only_new, "green"), indent=_INDENT)
    if rest := len(lines) - len(shown):
        out.add((f"and {plural(rest, 'field')} of its profile (--all shows them)", "dim"), indent=_INDENT)


def _add_fields(out: Lines, change: Change) -> None:
    if pending := pending_lines(change):
        out.add(("pending (git)", "bold"), indent=_INDENT)
    for line in pending:
        forces = change.action is Action.REPLACE and effect_of_path(line.path) is Effect.REPLACE
        note = ("  # forces replace", "magenta") if forces else ""
        whose = ("  (its profile)", "dim") if line.of_profile else ""
        out.add((f"{line.path}: ", "dim"), line.text, whose, note, indent=_INDENT + 2)
    for text in unknown_lines(change):
        out.add(text, indent=_INDENT + 2)
    if drift := drift_lines(change.drift):
        out.add(("drift (live)", "bold"), indent=_INDENT)
    for line in drift:
        out.add((f"{line.path}: ", "dim"), line.text, indent=_INDENT + 2)


def _add_quiet(out: Lines, change: Change, width: int) -> None:
    _add_header(out, change, width)
    if change.sync is not Sync.SYNCED or change.pending or change.drift or not change.host:
        for line in why(change):
            out.add((line, "dim"), indent=_INDENT)
        _add_fields(out, change)


def add_hosts(out: Lines, plan: Plan) -> None:
    """Add the hosts that were not observed in full, and why."""
    unseen = [host for host in plan.hosts if host.status != "reachable"]
    if not unseen:
        return
    out.blank()
    out.add(("Hosts that were not fully observed", "bold"))
    for host in unseen:
        first, *more = safe_lines(host.error or "") or [""]
        out.add((safe(host.name), "bold"), f"  {host.status}: {first}".rstrip(": "), prefix=("  ! ", "bold red"))
        for line in more:
            out.add(line, indent=_INDENT)
        if hint := worded(host.remedy, TERMINAL):
            out.add(safe(hint), indent=_INDENT, prefix=("hint: ", "bold"))


def add_warnings(out: Lines, plan: Plan) -> None:
    """Add the warnings to read before acting."""
    warnings = ([DIRTY] if plan.dirty else []) + [notice_text(warning) for warning in plan.warnings]
    for thing in plan.unmanaged:
        if thing.kind == "ambiguous":
            name, host = safe(thing.name), safe(thing.host)
            warnings.append(f"{name} on {host} has our labels but neither record nor manifest: left alone")
    if warnings:
        out.blank()
    for warning in warnings:
        out.add(warning, prefix=("Warning: ", "bold yellow"))


def _add_unmanaged(out: Lines, plan: Plan, *, show_all: bool) -> None:
    imperative = plural(len(plan.imperative), "imperative sandbox") if plan.imperative else ""
    things = [thing for thing in plan.unmanaged if thing.kind != "ambiguous"]
    if not things and not imperative:
        return
    out.blank()
    if not show_all:
        for line in unmanaged_counts(plan):
            out.add((f"{line}, never touched; --all lists them", "dim"))
        if imperative:
            out.add((f"{imperative}, which git leaves alone; --all lists them", "dim"))
        return
    if things:
        out.add(("Unmanaged, never touched", "bold"))
    for thing in things:
        out.add(f"{thing.kind.replace('_', ' ')} {safe(thing.name)} on {safe(thing.host)}", indent=4)
    if imperative:
        out.blank()
        out.add(("Imperative, left alone by git", "bold"))
    for change in plan.imperative:
        out.add(f"{safe(change.sandbox)} ({change.id}) on {safe(change.host or 'no host')}", indent=4)


def _add_closing(out: Lines, plan: Plan, *, show_all: bool) -> None:
    out.blank()
    if secrets := secrets_not_compared(plan):
        out.add(secrets)
    if plan.complete and not plan.differences:
        out.add((nothing_to_do(plan, more="" if show_all else " (--all says why)"), "bold green"))
    else:
        out.add((f"Plan: {counts(plan)}.", "bold"))
    if reason := incomplete(plan):
        out.add((reason, "bold red"))
