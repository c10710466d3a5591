"""The decision about one desired sandbox: where it is, whether that is certain, and what it needs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sandboxer.errors.remedy import RemedyCode, remedy_of
from sandboxer.model.lifecycle import Action, Health, Phase, Reason, Sync
from sandboxer.reconcile.change import change_of, change_without, expired_delete, unknown, unseen
from sandboxer.reconcile.drift import drift
from sandboxer.reconcile.expiry import expired, expiry_after
from sandboxer.reconcile.fields import EFFECTS, Effect, differences, effect_of, seal, unsealed
from sandboxer.reconcile.refusing import refusal, unless_refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sandboxer.errors.remedy import Remedy
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.plan import Change, FieldChange
    from sandboxer.model.record import Record
    from sandboxer.reconcile.fleet_state import FleetState, UnknownHost
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox
    from sandboxer.reconcile.placement import HostCapacity

_UNHEALED = "it drifted, and its manifest says selfHeal: false"


@dataclass(slots=True)
class Decider:
    """The decisions about desired sandboxes, one by one; they take ``capacity`` as sandboxes are placed.

    ``replaced`` are the names of the sandboxes to recreate.
    """

    fleet_state: FleetState
    capacity: HostCapacity
    replaced: frozenset[str] = frozenset()
    _names: dict[str, set[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for sandbox in self.fleet_state.fleet.sandboxes.values():
            self._names.setdefault(sandbox.id, set()).add(sandbox.name)

    def decide(self, desired: DesiredSandbox) -> Iterator[Change]:
        """Yield the change of this sandbox, and one more for each copy of it that should not exist."""
        copies = sorted(self.fleet_state.copies(desired.id), key=lambda observed: self._rank(observed, desired))
        namesakes = sorted(self._names[desired.id] - {desired.name})
        doubtful = next(
            ((observed, conflict) for observed in copies if (conflict := self._conflict(observed, copies, desired))),
            None,
        )
        if doubtful is not None:
            # The observed copy may carry any name; the change is about the desired sandbox.
            yield replace(unknown(doubtful[0], Reason.BLOCKED_AMBIGUOUS, doubtful[1]), sandbox=desired.name)
        elif namesakes:
            message = f"{desired.id} is the id of {' and '.join(namesakes)} too"
            yield self._blocked_absent(desired, Reason.BLOCKED_AMBIGUOUS, message, None, remedy_of(RemedyCode.RENAME))
        elif not copies:
            yield self._absent(desired)
        else:
            home, *copies = copies
            change = unless_refused(self._present(desired, home, copies), desired)
            yield change
            yield from (self._stray(home, change, copy) for copy in copies if copy.host != change.from_host)

    # --- where it is

    def _rank(self, observed: ObservedSandbox, desired: DesiredSandbox) -> tuple[object, ...]:
        """Return the sort key that puts the home first.

        Ready on a desired host; else on a desired host; else ready; of equals the oldest.
        """
        desired_there = self._is_desired_on(observed.host, desired)
        born = observed.record.created_at.timestamp() if observed.record else 0.0
        return not (desired_there and observed.is_ready), not desired_there, not observed.is_ready, born, observed.host

    def _is_desired_on(self, host: str, desired: DesiredSandbox) -> bool:
        return host in desired.eligible and not self.fleet_state.fleet.hosts[host].spec.drain

    @staticmethod
    def _conflict(observed: ObservedSandbox, copies: Sequence[ObservedSandbox], desired: DesiredSandbox) -> str | None:
        if observed.conflict:
            return observed.conflict
        if observed.origin != desired.origin:
            return f"{observed.id} is the id of an imperative sandbox too: rename the manifest, or destroy that one"
        if observed.name != desired.name:
            return f"{observed.id} is the id of {observed.name} too: rename the manifest"
        if observed.record is None and len(copies) > 1:
            others = ", ".join(other.host for other in copies if other is not observed)
            return f"it exists on {others} too, and without a record here it is not certain which copy counts"
        return None

    def _unknown(self, desired: DesiredSandbox) -> UnknownHost | None:
        """Return a host that may have the sandbox but was not observed in full."""
        hosts = (*desired.eligible, *desired.formerly)
        return self.fleet_state.first_unknown(hosts, desired.profile.spec.extension)

    # --- what it needs where it does not exist

    def _absent(self, desired: DesiredSandbox) -> Change:
        unknown_host = self._unknown(desired)
        if unknown_host is not None:
            reason, remedy = unknown_host.reason, unknown_host.remedy
            message = f"may exist on {unknown_host.host}, which could not be fully inspected: {unknown_host.error}"
            return self._blocked_absent(desired, reason, message, unknown_host.host, remedy)
        if self._tombstoned(desired) or (desired.expires_at is not None and desired.expires_at <= self.fleet_state.now):
            message = "it expired, and its manifest has not changed since"
            return change_without(desired, Action.NO_OP, Reason.NO_OP_EXPIRED, message, sync=Sync.SYNCED)
        unmet = _unmet(desired)
        if unmet is not None:
            return change_without(desired, Action.BLOCKED, *unmet)
        pending = differences(None, unsealed(desired))
        if refused := refusal(desired):  # it takes no capacity of a host
            change = change_without(desired, Action.BLOCKED, Reason.BLOCKED_REFUSED, refused, pending=pending)
            return replace(change, diagnostics=desired.diagnostics)
        host = self.capacity.place(desired.id, desired.tiers)
        if host is None:
            return change_without(desired, Action.BLOCKED, Reason.BLOCKED_NO_HOST, _no_room(desired))
        message = "not found on any host"
        change = change_without(desired, Action.CREATE, Reason.CREATE_ABSENT, message, host=host, pending=pending)
        return replace(change, diagnostics=desired.diagnostics)

    @staticmethod
    def _blocked_absent(
        desired: DesiredSandbox, reason: Reason, message: str, host: str | None, remedy: Remedy | None
    ) -> Change:
        change = change_without(desired, Action.BLOCKED, reason, message, host=host, remedy=remedy)
        return replace(change, sync=Sync.UNKNOWN, health=Health.UNKNOWN)

    def _tombstoned(self, desired: DesiredSandbox) -> bool:
        if desired.name in self.replaced:
            return False
        tombstones = (observation.tombstones.get(desired.id) for observation in self.fleet_state.observations.values())
        return any(tombstone is not None and tombstone.spec_digest == desired.spec_digest for tombstone in tombstones)

    # --- what it needs where it exists

    def _present(self, desired: DesiredSandbox, home: ObservedSandbox, copies: Sequence[ObservedSandbox]) -> Change:
        record = home.record
        unknown_host = self.fleet_state.unknown_host(home)
        if unknown_host is not None:
            return unseen(home, unknown_host)
        if record is not None:
            ends = expiry_after(desired, record)
            if expired(ends, self.fleet_state.observations[home.host].clock, self.fleet_state.now):
                message = f"it expired at {ends:%Y-%m-%d %H:%M:%SZ}"
                return expired_delete(home, message)
        if home.host in self.fleet_state.fleet.retired:
            return homeless(home)
        if home.unreadable:
            return unknown(home, Reason.BLOCKED_ENGINE, home.unreadable)
        if record is None:
            return self._without_record(desired, home)
        pending = self._pending(desired, home, record)
        return (
            self._moved(desired, home, copies, pending)
            or self._replacement(desired, home, record, pending)
            or self._in_place(desired, home, record, pending)
        )

    def _without_record(self, desired: DesiredSandbox, home: ObservedSandbox) -> Change:
        if desired.sandbox.spec.suspend:
            return change_of(home, Action.NO_OP, Reason.NO_OP_SUSPENDED, "suspend: true", suspended=True)
        if not desired.sandbox.spec.sync_policy.self_heal:
            return change_of(home, Action.NO_OP, Reason.NO_OP_SELF_HEAL_DISABLED, _UNHEALED)
        unmet = _unmet(desired)
        if unmet is not None:
            return change_of(home, Action.BLOCKED, *unmet)
        what = "its containers are" if home.containers else "its networks or volumes are"
        return change_of(home, Action.REPAIR, Reason.REPAIR_DRIFT, f"its directory is gone, and {what} still there")

    def _moved(
        self,
        desired: DesiredSandbox,
        home: ObservedSandbox,
        copies: Sequence[ObservedSandbox],
        pending: tuple[FieldChange, ...],
    ) -> Change | None:
        """Return the move away from a host where the sandbox should not be, or the rest of an interrupted one."""
        if desired.sandbox.spec.suspend:
            return None
        if self._is_desired_on(home.host, desired):
            source = self._interrupted_move(desired, home, copies)
            if source is None:
                return None
            stopped = self._cannot_begin(desired, home, pending)
            why = f"its move from {source.host} was interrupted"
            return stopped or _move(source, home.host, why, pending)
        stopped = self._cannot_begin(desired, home, pending)
        if stopped is not None:
            return stopped
        target = self.capacity.place(desired.id, desired.tiers, without=home.host)
        if target is None:
            message = f"it should leave {home.host}: {_no_room(desired)}"
            return change_of(home, Action.BLOCKED, Reason.BLOCKED_NO_HOST, message, pending=pending)
        draining = home.host in desired.eligible
        why = f"{home.host} {'is draining' if draining else 'no longer matches its placement'}"
        return _move(home, target, why, pending)

    def _interrupted_move(
        self, desired: DesiredSandbox, home: ObservedSandbox, copies: Sequence[ObservedSandbox]
    ) -> ObservedSandbox | None:
        """Return the source of an interrupted move, if the sandbox was never ready in its new home.

        Recreating it there loses nothing.
        """
        if home.is_ready or home.record is None or home.record.desired_digest is not None:
            return None
        leaving = (copy for copy in copies if not self._is_desired_on(copy.host, desired))
        return next((copy for copy in leaving if self.fleet_state.unknown_host(copy) is None), None)

    def _replacement(
        self, desired: DesiredSandbox, home: ObservedSandbox, record: Record, pending: tuple[FieldChange, ...]
    ) -> Change | None:
        """Return the replacement of a sandbox that was half torn down, or whose replacement was requested.

        What is half torn down has nothing worth keeping.
        """
        if record.phase is Phase.DESTROYING:
            reason, message = Reason.REPLACE_INTERRUPTED, "its removal was interrupted"
        elif desired.name in self.replaced:
            reason, message = Reason.REPLACE_REQUESTED, "replacement requested"
        else:
            return None
        stopped = self._cannot_begin(desired, home, pending)
        return stopped or change_of(home, Action.REPLACE, reason, message, pending=pending)

    def _cannot_begin(
        self, desired: DesiredSandbox, home: ObservedSandbox, pending: tuple[FieldChange, ...]
    ) -> Change | None:
        """Return the blocked change of a sandbox that cannot begin a new life now; None where nothing prevents it."""
        unknown_host = self._unknown(desired)
        if unknown_host is not None:
            reason, remedy = unknown_host.reason, unknown_host.remedy
            message = f"may exist on {unknown_host.host} too, which could not be fully inspected: {unknown_host.error}"
            return change_of(home, Action.BLOCKED, reason, message, pending=pending, remedy=remedy)
        unmet = _unmet(desired)
        return change_of(home, Action.BLOCKED, *unmet, pending=pending) if unmet else None

    def _in_place(
        self, desired: DesiredSandbox, home: ObservedSandbox, record: Record, pending: tuple[FieldChange, ...]
    ) -> Change:
        if desired.sandbox.spec.suspend:
            return change_of(
                home, Action.NO_OP, Reason.NO_OP_SUSPENDED, "suspend: true", pending=pending, suspended=True
            )
        kept = record.spec.get("secrets", {})
        effect = max((effect_of(change.path) for change in pending), default=None)
        unmet = _unmet(desired, {} if effect is Effect.REPLACE else kept)
        if unmet is not None:
            sync = Sync.UNKNOWN if desired.input_error else Sync.OUT_OF_SYNC
            return change_of(home, Action.BLOCKED, *unmet, sync=sync, pending=pending)
        if effect is Effect.REPLACE:
            return change_of(home, Action.REPLACE, Reason.REPLACE_CHANGED, _fields(pending), pending=pending)
        begun = record.phase in (Phase.REQUESTED, Phase.PROVISIONING)
        if record.phase is Phase.FAILED and not pending:
            message = (
                f"its last operation failed: {record.error.message}" if record.error else "its last operation failed"
            )
            return change_of(home, Action.REPAIR, Reason.REPAIR_FAILED, message)
        if begun or (not home.is_ready and not pending):
            message = f"it was left {record.phase}"
            return change_of(home, Action.REPAIR, Reason.REPAIR_INTERRUPTED, message, pending=pending)
        if pending:
            return change_of(home, Action.UPDATE, Reason.UPDATE_CHANGED, _fields(pending), pending=pending)
        drifted = drift(home)
        if not drifted:
            return change_of(home, Action.NO_OP, Reason.NO_OP_SYNCED, _in_sync(desired))
        if not desired.sandbox.spec.sync_policy.self_heal:
            return change_of(home, Action.NO_OP, Reason.NO_OP_SELF_HEAL_DISABLED, _UNHEALED)
        return change_of(home, Action.REPAIR, Reason.REPAIR_DRIFT, _fields(drifted))

    def _pending(self, desired: DesiredSandbox, home: ObservedSandbox, record: Record) -> tuple[FieldChange, ...]:
        # A field that a newer release recorded, and this one does not know, is not a difference.
        applied = {key: value for key, value in record.spec.items() if key in EFFECTS}
        spec = seal(desired, record.salt, record.spec)
        runtime = self.fleet_state.fleet.hosts[home.host].spec.runtime
        # `auto` keeps the current engine; only a Host that names another one changes it. What needs none has none.
        spec["runtime"] = applied.get("runtime") if runtime == "auto" or not record.engine else runtime
        if desired.input_error is not None:
            # An input that cannot be fetched cannot be compared.
            spec["workspace"] = applied.get("workspace")
        return differences(applied, spec)

    def _stray(self, home: ObservedSandbox, change: Change, stray: ObservedSandbox) -> Change:
        """Return the change of a copy.

        It is deleted only if the home is ready, moves away, or is itself deleted, so that the last ready copy is not
        lost.
        """
        unknown_host = self.fleet_state.unknown_host(stray) or self.fleet_state.unknown_host(home)
        if unknown_host is not None:
            return unseen(stray, unknown_host)
        if home.unreadable:
            return unknown(stray, Reason.BLOCKED_ENGINE, home.unreadable)
        if home.is_ready or change.from_host is not None or change.action is Action.DELETE:
            change = change_of(stray, Action.DELETE, Reason.DELETE_STRAY, f"its home is {home.host}")
            return replace(change, stray=True)
        reason = Reason.BLOCKED_AMBIGUOUS if change.acts else change.reason
        action = Action.BLOCKED if change.acts else change.action
        message = f"a copy that is deleted once the one on {home.host} is ready"
        return change_of(stray, action, reason, message, sync=Sync.OUT_OF_SYNC)


def homeless(observed: ObservedSandbox) -> Change:
    """Return the change of a sandbox that stays on a host whose document was removed: it is blocked."""
    message, remedy = f"host {observed.host} is gone from git", remedy_of(RemedyCode.DRAIN_HOST, host=observed.host)
    return change_of(observed, Action.BLOCKED, Reason.BLOCKED_NO_HOST, message, remedy=remedy)


def _move(source: ObservedSandbox, target: str, why: str, pending: tuple[FieldChange, ...]) -> Change:
    return change_of(source, Action.REPLACE, Reason.REPLACE_MOVED, why, to_host=target, pending=pending)


def _unmet(desired: DesiredSandbox, kept: Mapping[str, object] | None = None) -> tuple[Reason, str] | None:
    """Return what this run lacks to create it; a secret that the host already has, and keeps, is not missing."""
    if desired.input_error is not None:
        return Reason.BLOCKED_INPUT, desired.input_error
    missing = [secret for secret in desired.secrets if not secret.present and secret.name not in (kept or {})]
    if missing:
        names = ", ".join(f"{secret.name} (from {secret.source})" for secret in missing)
        return Reason.BLOCKED_SECRET, f"this machine has no value for {names}"
    return None


def _no_room(desired: DesiredSandbox) -> str:
    if not desired.eligible:
        return "no host matches its placement: see spec.placement of the sandbox and of its profile"
    return f"no host of its placement has room: each of {', '.join(desired.eligible)} is full, cordoned or draining"


def _in_sync(desired: DesiredSandbox) -> str:
    """Return the message for a sandbox without differences, even where a secret may have changed unnoticed."""
    absent = [secret.name for secret in desired.secrets if not secret.present]
    unread = [secret.name for secret in desired.secrets if secret.present and secret.value is None]
    if absent:
        return f"in sync with git, except for secrets that this machine has no value for: {', '.join(absent)}"
    if unread:
        return f"in sync with git; apply checks whether {', '.join(unread)} changed, as a plan reads no secrets"
    return "in sync with git"


def _fields(changes: tuple[FieldChange, ...]) -> str:
    paths = [change.path.removeprefix("spec.") for change in changes]
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
