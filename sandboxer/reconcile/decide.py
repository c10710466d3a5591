"""One sandbox that git wants: where it is, whether that can be told, and what it needs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sandboxer.model.lifecycle import Action, Health, Phase, Reason, Sync
from sandboxer.reconcile.change import change_of, change_without, unknown, unseen
from sandboxer.reconcile.drift import drift
from sandboxer.reconcile.expiry import expired, expiry_after
from sandboxer.reconcile.fields import EFFECTS, Effect, differences, effect_of, seal, unsealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.plan import Change, FieldChange
    from sandboxer.model.record import Record
    from sandboxer.reconcile.placement import Room
    from sandboxer.reconcile.scene import Gap, Scene
    from sandboxer.reconcile.sight import Sight

_UNHEALED = "it drifted, and says selfHeal: false"


@dataclass(slots=True)
class Decider:
    """Decides for one sandbox after the other; ``room`` is taken as they are placed.

    ``replaced`` are the names of those to make anew.
    """

    scene: Scene
    room: Room
    replaced: frozenset[str] = frozenset()
    _names: dict[str, set[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for sandbox in self.scene.fleet.sandboxes.values():
            self._names.setdefault(sandbox.id, set()).add(sandbox.name)

    def decide(self, desired: DesiredSandbox) -> Iterator[Change]:
        """The change of this sandbox, and one more for each copy of it that should not be."""
        sights = sorted(self.scene.sights(desired.id), key=lambda sight: self._rank(sight, desired))
        namesakes = sorted(self._names[desired.id] - {desired.name})
        doubtful = next(((sight, doubt) for sight in sights if (doubt := self._doubt(sight, sights, desired))), None)
        if doubtful is not None:
            # What is there may say any name; it is about the one that git wants.
            yield replace(unknown(doubtful[0], Reason.BLOCKED_AMBIGUOUS, doubtful[1]), sandbox=desired.name)
        elif namesakes:
            message = f"{desired.id} is the id of {' and '.join(namesakes)} too: rename one of them"
            yield self._blocked_absent(desired, Reason.BLOCKED_AMBIGUOUS, message, None)
        elif not sights:
            yield self._absent(desired)
        else:
            home, *copies = sights
            change = self._present(desired, home, copies)
            yield change
            yield from (self._stray(home, change, copy) for copy in copies if copy.host != change.from_host)

    # --- where it is

    def _rank(self, sight: Sight, desired: DesiredSandbox) -> tuple[object, ...]:
        """Home first: ready where git wants it; else where git wants it; else ready; of equals the eldest."""
        wanted = self._wanted(sight.host, desired)
        born = sight.record.created_at.timestamp() if sight.record else 0.0
        return not (wanted and sight.settled), not wanted, not sight.settled, born, sight.host

    def _wanted(self, host: str, desired: DesiredSandbox) -> bool:
        return host in desired.eligible and not self.scene.fleet.hosts[host].spec.drain

    @staticmethod
    def _doubt(sight: Sight, sights: Sequence[Sight], desired: DesiredSandbox) -> str | None:
        if sight.doubt:
            return sight.doubt
        if sight.origin != desired.origin:
            return f"{sight.id} is the id of an imperative sandbox too: rename the manifest, or destroy that one"
        if sight.name != desired.name:
            return f"{sight.id} is the id of {sight.name} too: rename the manifest"
        if sight.record is None and len(sights) > 1:
            others = ", ".join(other.host for other in sights if other is not sight)
            return f"there is one on {others} too, and no record here that tells which counts"
        return None

    def _silent(self, desired: DesiredSandbox) -> Gap | None:
        """A host where it might live, and that did not say so or the contrary."""
        return self.scene.silent((*desired.eligible, *desired.formerly))

    # --- what it needs where it is nowhere

    def _absent(self, desired: DesiredSandbox) -> Change:
        gap = self._silent(desired)
        if gap is not None:
            message = f"it might live on {gap.host}, and that cannot be told: {gap.error}"
            return self._blocked_absent(desired, gap.reason, message, gap.host)
        if self._buried(desired) or (desired.expires_at is not None and desired.expires_at <= self.scene.now):
            message = "it expired, and its manifest has not changed since"
            return change_without(desired, Action.NO_OP, Reason.NO_OP_EXPIRED, message, sync=Sync.SYNCED)
        unmet = _unmet(desired)
        if unmet is not None:
            return change_without(desired, Action.BLOCKED, *unmet)
        host = self.room.place(desired.id, desired.tiers)
        if host is None:
            return change_without(desired, Action.BLOCKED, Reason.BLOCKED_NO_HOST, _no_room(desired))
        pending = differences(None, unsealed(desired))
        message = "it is nowhere yet"
        return change_without(desired, Action.CREATE, Reason.CREATE_ABSENT, message, host=host, pending=pending)

    @staticmethod
    def _blocked_absent(desired: DesiredSandbox, reason: Reason, message: str, host: str | None) -> Change:
        return change_without(
            desired, Action.BLOCKED, reason, message, host=host, sync=Sync.UNKNOWN, health=Health.UNKNOWN
        )

    def _buried(self, desired: DesiredSandbox) -> bool:
        if desired.name in self.replaced:
            return False
        stones = (look.tombstones.get(desired.id) for look in self.scene.looks.values())
        return any(stone is not None and stone.spec_digest == desired.spec_digest for stone in stones)

    # --- what it needs where it is

    def _present(self, desired: DesiredSandbox, home: Sight, copies: Sequence[Sight]) -> Change:
        record = home.record
        gap = self.scene.gap(home)
        if gap is not None:
            return unseen(home, gap)
        if record is not None:
            ends = expiry_after(desired, record)
            if expired(ends, self.scene.looks[home.host].clock, self.scene.now):
                message = f"it expired at {ends:%Y-%m-%d %H:%M:%SZ}"
                return change_of(home, Action.DELETE, Reason.DELETE_EXPIRED, message)
        if home.host in self.scene.fleet.retired:
            return change_of(home, Action.BLOCKED, Reason.BLOCKED_NO_HOST, drain_first(home.host))
        if home.unreadable:
            return unknown(home, Reason.BLOCKED_ENGINE, home.unreadable)
        if record is None:
            return self._without_record(desired, home)
        pending = self._pending(desired, home, record)
        return (
            self._moved(desired, home, copies, pending)
            or self._made_anew(desired, home, record, pending)
            or self._in_place(desired, home, record, pending)
        )

    def _without_record(self, desired: DesiredSandbox, home: Sight) -> Change:
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
        self, desired: DesiredSandbox, home: Sight, copies: Sequence[Sight], pending: tuple[FieldChange, ...]
    ) -> Change | None:
        """The move of a sandbox away from where it should not be, or of one that was interrupted, on to its end."""
        if desired.sandbox.spec.suspend:
            return None
        if self._wanted(home.host, desired):
            source = self._interrupted_move(desired, home, copies)
            if source is None:
                return None
            stopped = self._cannot_begin(desired, home, pending)
            why = f"its move from {source.host} was interrupted"
            return stopped or _move(source, home.host, why, pending)
        stopped = self._cannot_begin(desired, home, pending)
        if stopped is not None:
            return stopped
        target = self.room.place(desired.id, desired.tiers, without=home.host)
        if target is None:
            message = f"it should leave {home.host}: {_no_room(desired)}"
            return change_of(home, Action.BLOCKED, Reason.BLOCKED_NO_HOST, message, pending=pending)
        draining = home.host in desired.eligible
        why = f"{home.host} {'is draining' if draining else 'no longer matches its placement'}"
        return _move(home, target, why, pending)

    def _interrupted_move(self, desired: DesiredSandbox, home: Sight, copies: Sequence[Sight]) -> Sight | None:
        """Where a sandbox was moving from, if its new home was never ready: nothing is lost by making that anew."""
        if home.settled or home.record is None or home.record.desired_digest is not None:
            return None
        leaving = (copy for copy in copies if not self._wanted(copy.host, desired))
        return next((copy for copy in leaving if self.scene.gap(copy) is None), None)

    def _made_anew(
        self, desired: DesiredSandbox, home: Sight, record: Record, pending: tuple[FieldChange, ...]
    ) -> Change | None:
        """What is half torn down has nothing worth keeping, and what a person asks to be replaced is."""
        if record.phase is Phase.DESTROYING:
            reason, message = Reason.REPLACE_INTERRUPTED, "its removal was interrupted"
        elif desired.name in self.replaced:
            reason, message = Reason.REPLACE_REQUESTED, "asked for with --replace"
        else:
            return None
        stopped = self._cannot_begin(desired, home, pending)
        return stopped or change_of(home, Action.REPLACE, reason, message, pending=pending)

    def _cannot_begin(self, desired: DesiredSandbox, home: Sight, pending: tuple[FieldChange, ...]) -> Change | None:
        """The blocked change of a sandbox that cannot begin a new life now; None where nothing is in its way."""
        gap = self._silent(desired)
        if gap is not None:
            message = f"{gap.host} might have it too, and that cannot be told: {gap.error}"
            return change_of(home, Action.BLOCKED, gap.reason, message, pending=pending)
        unmet = _unmet(desired)
        return change_of(home, Action.BLOCKED, *unmet, pending=pending) if unmet else None

    def _in_place(
        self, desired: DesiredSandbox, home: Sight, record: Record, pending: tuple[FieldChange, ...]
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
        if record.phase in (Phase.REQUESTED, Phase.PROVISIONING) or (not home.settled and not pending):
            message = f"it was left {record.phase}"
            return change_of(home, Action.REPAIR, Reason.REPAIR_INTERRUPTED, message, pending=pending)
        if pending:
            return change_of(home, Action.UPDATE, Reason.UPDATE_CHANGED, _fields(pending), pending=pending)
        drifted = drift(home)
        if not drifted:
            return change_of(home, Action.NO_OP, Reason.NO_OP_SYNCED, _as_wanted(desired))
        if not desired.sandbox.spec.sync_policy.self_heal:
            return change_of(home, Action.NO_OP, Reason.NO_OP_SELF_HEAL_DISABLED, _UNHEALED)
        return change_of(home, Action.REPAIR, Reason.REPAIR_DRIFT, _fields(drifted))

    def _pending(self, desired: DesiredSandbox, home: Sight, record: Record) -> tuple[FieldChange, ...]:
        # What a newer release recorded, and this one does not know, is no difference.
        applied = {key: value for key, value in record.spec.items() if key in EFFECTS}
        wanted = seal(desired, record.salt, record.spec)
        runtime = self.scene.fleet.hosts[home.host].spec.runtime
        # `auto` keeps the engine that it has; only a Host that names another one changes it.
        wanted["runtime"] = applied.get("runtime") if runtime == "auto" else runtime
        if desired.input_error is not None:
            # What cannot be fetched cannot be compared.
            wanted["workspace"] = applied.get("workspace")
        return differences(applied, wanted)

    def _stray(self, home: Sight, change: Change, stray: Sight) -> Change:
        """What becomes of a copy. The last one that is ready goes only where the home is, or is to be, without it."""
        gap = self.scene.gap(stray) or self.scene.gap(home)
        if gap is not None:
            return unseen(stray, gap)
        if home.unreadable:
            return unknown(stray, Reason.BLOCKED_ENGINE, home.unreadable)
        if home.settled or change.from_host is not None or change.action is Action.DELETE:
            return change_of(stray, Action.DELETE, Reason.DELETE_STRAY, f"its home is {home.host}")
        reason = Reason.BLOCKED_AMBIGUOUS if change.acts else change.reason
        action = Action.BLOCKED if change.acts else change.action
        message = f"a copy that goes once the one on {home.host} is ready"
        return change_of(stray, action, reason, message, sync=Sync.OUT_OF_SYNC)


def drain_first(host: str) -> str:
    """What to do about a sandbox on a host whose manifest is gone."""
    return (
        f"Host {host} is gone from git, and this sandbox lives there: bring the manifest back with `drain: true`, "
        "apply, and remove it then"
    )


def _move(source: Sight, target: str, why: str, pending: tuple[FieldChange, ...]) -> Change:
    return change_of(source, Action.REPLACE, Reason.REPLACE_MOVED, why, to_host=target, pending=pending)


def _unmet(desired: DesiredSandbox, kept: Mapping[str, object] | None = None) -> tuple[Reason, str] | None:
    """What this run lacks to make it; a secret that the host already has, and keeps, is not lacking."""
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


def _as_wanted(desired: DesiredSandbox) -> str:
    """What is said of one without differences: also where a secret could have changed and nobody can tell."""
    absent = [secret.name for secret in desired.secrets if not secret.present]
    unread = [secret.name for secret in desired.secrets if secret.present and secret.value is None]
    if absent:
        return f"as git wants it; this machine has no value for {', '.join(absent)}, so a change there cannot be told"
    if unread:
        return f"as git wants it; whether {', '.join(unread)} changed is told when applied, for a plan reads no secret"
    return "as git wants it"


def _fields(changes: tuple[FieldChange, ...]) -> str:
    paths = [change.path.removeprefix("spec.") for change in changes]
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
