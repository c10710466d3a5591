"""All that the hosts show against what is on record: what drifted, and what was told of it before and is over."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sandboxer.model.drift import DriftReport, Note, Resolved
from sandboxer.model.event import drift_event
from sandboxer.model.lifecycle import Action, Reason, Sync
from sandboxer.model.observed import RECORD_MISSING
from sandboxer.model.plan import Plan
from sandboxer.reconcile.change import change_of, unknown, unseen, with_fingerprint
from sandboxer.reconcile.drift import drift
from sandboxer.reconcile.expiry import expired
from sandboxer.reconcile.unmanaged import unmanaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.plan import Change, FieldChange
    from sandboxer.reconcile.options import Options
    from sandboxer.reconcile.scene import Scene
    from sandboxer.reconcile.sight import Sight


@dataclass(frozen=True, slots=True)
class Contents:
    """What a comparison of contents found of one sandbox: its files that differ, or why it could not be made."""

    files: tuple[FieldChange, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Compares every sandbox that the selectors let through with its record, whatever git says of it."""

    scene: Scene
    options: Options
    _wanted: dict[str, DesiredSandbox] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._wanted.update({sandbox.id: sandbox for sandbox in self.scene.fleet.sandboxes.values()})

    def comparable(self) -> Iterator[Sight]:
        """The sandboxes that have a record to be compared with."""
        for sight in self._sights():
            if _settled(sight, self.scene) and self.options.wants(self._change(sight)):
                yield sight

    def report(self, contents: Mapping[tuple[str, str], Contents] | None = None) -> DriftReport:
        """What drifted, with what a comparison of ``contents`` found, by host and id.

        What is Unknown is blocked. What is at work, or was left so, has no record to be compared with yet, and is a
        warning. The plan's stats are left for whoever looked.
        """
        report = _Report(self.scene)
        for sight in self._sights():
            seen = (contents or {}).get((sight.host, sight.id), Contents())
            change = self._change(sight, seen.files)
            if self.options.wants(change):
                report.add(sight, change, seen.error)
        return report.finished()

    def _sights(self) -> Iterator[Sight]:
        """What is ours by its record or by git; the rest is ambiguous, or nobody's."""
        for host in sorted(self.scene.surveys):
            for sight in self.scene.surveys[host].sights.values():
                lost = sight.record is None and (sight.found is None or sight.found.error == RECORD_MISSING)
                if not lost or sight.id in self._wanted:
                    yield sight

    def _change(self, sight: Sight, files: tuple[FieldChange, ...] = ()) -> Change:
        """The sandbox as it drifted, with what becomes of that; ``files`` are those whose content differs."""
        if sight.doubt:
            return unknown(sight, Reason.BLOCKED_AMBIGUOUS, sight.doubt)
        gap = self.scene.gap(sight)
        if gap is not None:
            return unseen(sight, gap)
        if sight.unreadable:
            return unknown(sight, Reason.BLOCKED_ENGINE, sight.unreadable)
        shown = drift(sight)
        found = (*shown, *files)
        action, reason, message = Action.NO_OP, Reason.NO_OP_SYNCED, "as applied"
        if found:
            action, reason, message = self._verdict(sight)
        if action is Action.REPAIR and not shown:
            action, reason = Action.NO_OP, Reason.NO_OP_SYNCED
            remedy = f"`apply --replace {sight.name}` repairs it"
            message = f"sizes and times are as recorded, so an apply does not see it: {remedy}"
        suspended = reason is Reason.NO_OP_SUSPENDED
        sync = Sync.OUT_OF_SYNC if found else Sync.SYNCED
        return replace(change_of(sight, action, reason, message, sync=sync, suspended=suspended), drift=found)

    def _verdict(self, sight: Sight) -> tuple[Action, Reason, str]:
        """What becomes of the drift of one sandbox."""
        desired, record, scene = self._wanted.get(sight.id), sight.record, self.scene
        if record is not None and expired(record.expires_at, scene.looks[sight.host].clock, scene.now):
            return Action.NO_OP, Reason.NO_OP_EXPIRED, "it expired, and is not repaired"
        if record is not None and record.origin == "api":
            return (
                Action.NO_OP,
                Reason.NO_OP_NOT_IN_GIT,
                "it is imperative: git leaves it alone, and nothing repairs it",
            )
        if desired is None or sight.host in scene.fleet.retired:
            return Action.NO_OP, Reason.NO_OP_NOT_IN_GIT, "it is no longer in git, and is not repaired"
        if desired.sandbox.spec.suspend:
            return Action.NO_OP, Reason.NO_OP_SUSPENDED, "suspend: true"
        if not desired.sandbox.spec.sync_policy.self_heal:
            return Action.NO_OP, Reason.NO_OP_SELF_HEAL_DISABLED, "selfHeal: false"
        return Action.REPAIR, Reason.REPAIR_DRIFT, "the next apply repairs it"


def _settled(sight: Sight, scene: Scene) -> bool:
    return sight.settled and not sight.doubt and not sight.unreadable and scene.gap(sight) is None


@dataclass(slots=True)
class _Report:
    scene: Scene
    compared: int = 0
    changes: list[Change] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    since: dict[tuple[str, str], datetime] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    resolved: list[Resolved] = field(default_factory=list)

    def add(self, sight: Sight, change: Change, error: str) -> None:
        """One sandbox; ``error`` says why its contents could not be compared."""
        what = f"{sight.name} on {sight.host}"
        if _settled(sight, self.scene):
            self.compared += 1
            self._note(sight, change)
        elif change.action is not Action.BLOCKED and sight.record is not None:
            phase = sight.record.phase
            self.warnings.append(f"{what} is {phase}, and is compared once an apply has brought it to its end")
            return
        if error:
            self.errors.append(f"the files of {what} cannot be compared: {error}")
        if change.drift or change.action is Action.BLOCKED:
            self.changes.append(with_fingerprint(change, [sight]))

    def _note(self, sight: Sight, change: Change) -> None:
        before = sight.found.told if sight.found else {}
        now = self.scene.now.replace(microsecond=0)
        told = {field.path: before.get(field.path, now) for field in change.drift}
        if told:
            self.since[sight.host, sight.id] = min(told.values())
        if told.keys() != before.keys() and sight.record and sight.found:
            event = drift_event(sight.record, change.drift, at=now, reason=change.reason.value)
            former = sight.found.told_digest
            self.notes.append(Note(sight.host, sight.id, sight.name, sight.uid, told, event, former))
        over = {path: since for path, since in before.items() if path not in told}
        if over:
            self.resolved.append(Resolved(sight.name, sight.id, sight.host, tuple(sorted(over)), min(over.values())))

    def finished(self) -> DriftReport:
        """All that was added."""
        fleet = self.scene.fleet
        changes = sorted(self.changes, key=lambda change: (change.sandbox, change.id, change.host or ""))
        plan = Plan(
            fleet=fleet.name,
            commit=fleet.commit,
            dirty=fleet.dirty,
            hosts=tuple(self.scene.hosts()),
            changes=tuple(changes),
            unmanaged=tuple(thing for thing in unmanaged(self.scene) if thing.kind == "ambiguous"),
            warnings=tuple(self.warnings),
        )
        return DriftReport(
            plan,
            self.scene.now.replace(microsecond=0),
            self.compared,
            tuple(self.errors),
            tuple(self.resolved),
            self.since,
            tuple(self.notes),
        )
