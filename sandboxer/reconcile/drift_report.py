"""The comparison of all observed sandboxes with their records: what drifted, and which reported drift is resolved."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from sandboxer.errors.remedy import Notice, RemedyCode, remedy_of
from sandboxer.model.drift import DriftReport, Note, Resolved, Uncompared
from sandboxer.model.event import drift_event
from sandboxer.model.lifecycle import Action, Reason, Sync
from sandboxer.model.observed import RECORD_MISSING
from sandboxer.model.plan import FieldChange, Plan
from sandboxer.reconcile.change import change_of, unknown, unseen, with_fingerprint
from sandboxer.reconcile.drift import drift
from sandboxer.reconcile.expiry import expired
from sandboxer.reconcile.unmanaged import unmanaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.plan import Change
    from sandboxer.reconcile.fleet_state import FleetState
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox
    from sandboxer.reconcile.options import Options


@dataclass(frozen=True, slots=True)
class Contents:
    """The result of comparing a sandbox's contents: its files that differ, or why they could not be compared.

    With ``skipped`` nobody requested it.
    """

    files: tuple[FieldChange, ...] = ()
    error: str = ""
    skipped: bool = False


UNCOMPARED = Contents(skipped=True)


class _Verdict(NamedTuple):
    """What happens to the drift of one sandbox."""

    action: Action
    reason: Reason
    message: str
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of every sandbox that the selectors include with its record, whatever git has."""

    fleet_state: FleetState
    options: Options
    _desired: dict[str, DesiredSandbox] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._desired.update({sandbox.id: sandbox for sandbox in self.fleet_state.fleet.sandboxes.values()})

    def comparable(self) -> Iterator[ObservedSandbox]:
        """Yield the sandboxes that have a record to compare with."""
        for observed in self._owned():
            if _is_comparable(observed, self.fleet_state) and self.options.wants(self._change(observed)):
                yield observed

    def report(self, contents: Mapping[tuple[str, str], Contents] | None = None) -> DriftReport:
        """Return what drifted, with the results of comparing ``contents``, by host and ID.

        What is Unknown is blocked. A sandbox whose operation runs or was interrupted has no record to compare with yet,
        and is a warning. The caller fills in the plan's stats.
        """
        report = _Report(self.fleet_state)
        for observed in self._owned():
            seen = (contents or {}).get((observed.host, observed.id), UNCOMPARED)
            change = self._change(observed, seen.files)
            if self.options.wants(change):
                report.add(observed, change, seen)
        return report.finished()

    def _owned(self) -> Iterator[ObservedSandbox]:
        """Yield what is ours by its record or by git; the rest is ambiguous or unmanaged."""
        for host in sorted(self.fleet_state.observed_hosts):
            for observed in self.fleet_state.observed_hosts[host].copies.values():
                lost = observed.record is None and (observed.found is None or observed.found.error == RECORD_MISSING)
                if not lost or observed.id in self._desired:
                    yield observed

    def _change(self, observed: ObservedSandbox, files: tuple[FieldChange, ...] = ()) -> Change:
        """Return the sandbox's drift as a change; ``files`` are those whose content differs."""
        if observed.conflict:
            return unknown(observed, Reason.BLOCKED_AMBIGUOUS, observed.conflict)
        unknown_host = self.fleet_state.unknown_host(observed)
        if unknown_host is not None:
            return unseen(observed, unknown_host)
        if observed.unreadable:
            return unknown(observed, Reason.BLOCKED_ENGINE, observed.unreadable)
        shown = drift(observed)
        found, remedy = (*shown, *files), None
        verdict = self._verdict(observed) if found else _Verdict(Action.NO_OP, Reason.NO_OP_SYNCED, "as applied")
        if verdict.action is Action.REPAIR and not shown:
            message = "sizes and times are as recorded, so an apply does not see the difference"
            verdict = _Verdict(Action.NO_OP, Reason.NO_OP_SYNCED, message)
            remedy = remedy_of(RemedyCode.REPLACE, sandbox=observed.name)
        sync = Sync.OUT_OF_SYNC if found else Sync.SYNCED
        action, reason, message, suspended = verdict
        change = change_of(observed, action, reason, message, sync=sync, suspended=suspended, remedy=remedy)
        return replace(change, drift=found)

    def _verdict(self, observed: ObservedSandbox) -> _Verdict:
        """Return what happens to the drift of one sandbox."""
        desired, record, fleet_state = self._desired.get(observed.id), observed.record, self.fleet_state
        if record is not None and expired(
            record.expires_at, fleet_state.observations[observed.host].clock, fleet_state.now
        ):
            return _Verdict(Action.NO_OP, Reason.NO_OP_EXPIRED, "it expired, and is not repaired")
        if record is not None and record.origin == "api":
            message = "it is imperative: git leaves it alone, and nothing repairs it"
            return _Verdict(Action.NO_OP, Reason.NO_OP_NOT_IN_GIT, message)
        if desired is None or observed.host in fleet_state.fleet.retired:
            return _Verdict(Action.NO_OP, Reason.NO_OP_NOT_IN_GIT, "it is no longer in git, and is not repaired")
        if desired.sandbox.spec.suspend:
            return _Verdict(Action.NO_OP, Reason.NO_OP_SUSPENDED, "suspend: true", suspended=True)
        if not desired.sandbox.spec.sync_policy.self_heal:
            return _Verdict(Action.NO_OP, Reason.NO_OP_SELF_HEAL_DISABLED, "selfHeal: false")
        return _Verdict(Action.REPAIR, Reason.REPAIR_DRIFT, "the next apply repairs it")


def _is_comparable(observed: ObservedSandbox, fleet_state: FleetState) -> bool:
    return (
        observed.is_ready
        and not observed.conflict
        and not observed.unreadable
        and fleet_state.unknown_host(observed) is None
    )


_FILES = "workspace.files"
_NOT_COMPARED = ("as delivered", "differed, and is not compared now")


def _is_open(path: str, observed: ObservedSandbox, contents: Contents) -> bool:
    """Return whether reported drift of this path may still be there, because nothing was compared that would show it.

    Only a comparison of contents shows whether a file is as it was delivered.
    """
    record, found = observed.record, observed.found
    if record is None or found is None or record.inputs is None:
        return False
    if path.startswith(f"{_FILES}."):
        return contents.skipped or bool(contents.error)
    known = found.has_workspace and found.files is not None and record.workspace_files is not None
    return path == _FILES and not known


def _files_that_differed(since: Sequence[datetime]) -> str:
    """Return ``2 files that differed at 2026-11-24 10:00:00Z are``."""
    files, are = ("1 file", "is") if len(since) == 1 else (f"{len(since)} files", "are")
    return f"{files} that differed at {min(since):%Y-%m-%d %H:%M:%SZ} {are}"


@dataclass(slots=True)
class _Report:
    fleet_state: FleetState
    compared: int = 0
    changes: list[Change] = field(default_factory=list)
    warnings: list[Notice] = field(default_factory=list)
    errors: list[Uncompared] = field(default_factory=list)
    since: dict[tuple[str, str], datetime] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    resolved: list[Resolved] = field(default_factory=list)

    def add(self, observed: ObservedSandbox, change: Change, contents: Contents) -> None:
        """Add one sandbox, with the result of comparing its contents."""
        what = f"{observed.name} on {observed.host}"
        if _is_comparable(observed, self.fleet_state):
            self.compared += 1
            self._note(observed, change, contents)
        elif change.action is not Action.BLOCKED and observed.record is not None:
            phase = observed.record.phase
            self.warnings.append(Notice(f"{what} is {phase}, and is compared once an apply has finished it"))
            return
        if contents.error:
            self.errors.append(Uncompared(observed.name, observed.host, contents.error))
        if change.drift or change.action is Action.BLOCKED:
            self.changes.append(with_fingerprint(change, [observed]))

    def _note(self, observed: ObservedSandbox, change: Change, contents: Contents) -> None:
        before = observed.found.reported_drift if observed.found else {}
        now = self.fleet_state.now.replace(microsecond=0)
        current = {field.path: before.get(field.path, now) for field in change.drift}
        kept = {
            path: since for path, since in before.items() if path not in current and _is_open(path, observed, contents)
        }
        if current:
            self.since[observed.host, observed.id] = min(current.values())
        current |= kept
        if current.keys() != before.keys() and observed.record and observed.found:
            fields = (*change.drift, *(FieldChange(path, *_NOT_COMPARED) for path in sorted(kept)))
            event = drift_event(observed.record, fields, at=now, reason=change.reason.value)
            former = observed.found.reported_digest
            self.notes.append(Note(observed.host, observed.id, observed.name, observed.uid, current, event, former))
        files = [since for path, since in kept.items() if path != _FILES]
        if files and contents.skipped:
            message = f"{observed.name} on {observed.host}: {_files_that_differed(files)} not compared now"
            self.warnings.append(Notice(message, remedy_of(RemedyCode.COMPARE_CONTENTS, sandbox=observed.name)))
        over = {path: since for path, since in before.items() if path not in current}
        if over:
            self.resolved.append(
                Resolved(observed.name, observed.id, observed.host, tuple(sorted(over)), min(over.values()))
            )

    def finished(self) -> DriftReport:
        """Return the report of all that was added."""
        fleet = self.fleet_state.fleet
        changes = sorted(self.changes, key=lambda change: (change.sandbox, change.id, change.host or ""))
        plan = Plan(
            fleet=fleet.name,
            commit=fleet.commit,
            dirty=fleet.dirty,
            hosts=tuple(self.fleet_state.hosts()),
            changes=tuple(changes),
            unmanaged=tuple(thing for thing in unmanaged(self.fleet_state) if thing.kind == "ambiguous"),
            warnings=tuple(self.warnings),
        )
        return DriftReport(
            plan,
            self.fleet_state.now.replace(microsecond=0),
            self.compared,
            tuple(self.errors),
            tuple(self.resolved),
            self.since,
            tuple(self.notes),
        )
