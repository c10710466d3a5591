"""Invariants, checked against the true state of the hosts and the content of git, without the planner."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sandboxer.model.identity import LABEL_FLEET, sandbox_id
from sandboxer.model.lifecycle import Action, Phase, Reason, may_follow
from sandboxer.model.quantity import parse_duration
from tests.histories.host import ENGINES, ROOT

if TYPE_CHECKING:
    from collections.abc import Collection

    from sandboxer.extensions.base import Operation
    from sandboxer.model.observed import Engine
    from sandboxer.model.plan import Change
    from sandboxer.model.record import Record
    from tests.histories.git import Commit
    from tests.histories.host import Key, SimulatedHost
    from tests.histories.world import SimulatedRun, World

_STEADY = (Phase.READY, Phase.ACTIVE)


@dataclass(frozen=True, slots=True)
class Glimpse:
    """The true state of a host when a run observed it.

    ``answering`` are the engines that were observed in full: none if the observation was incomplete.
    """

    answering: frozenset[Engine]
    clock: datetime
    runner: datetime
    ready: frozenset[Key]

    @classmethod
    def of(cls, host: SimulatedHost, run: SimulatedRun) -> Glimpse:
        """Return the host's present state."""
        fleet, runtime = run.git.fleet, run.desired.hosts[host.name].spec.runtime
        chosen = "docker" if runtime == "auto" else runtime
        whole = host.reachable and not host.garbled and not host.linked and chosen not in host.stopped_engines
        return cls(
            frozenset(engine for engine in ENGINES if whole and engine not in host.stopped_engines),
            host.clock,
            run.now(),
            frozenset(key for key in host.folders if key[0] == fleet and is_ready(host.record(key))),
        )


def is_ready(record: Record | None) -> bool:
    """Return whether the recorded change was applied to its end."""
    return record is not None and record.phase in _STEADY and record.attempt is None


@dataclass
class Judge:
    """Checks every write on every host. It keeps the newest ``generations`` of each life, and what it ``read``."""

    world: World
    generations: dict[tuple[str, Key, str], int] = field(default_factory=dict)
    read: dict[tuple[str, Key], tuple[bytes | None, int]] = field(default_factory=dict)

    # --- states to compare

    def everything(self) -> list[Any]:
        """Return the state of all hosts."""
        return [self._state(host, None) for host in self.world.hosts.values()]

    def apart_from(self, fleet: str) -> list[Any]:
        """Return the state of all hosts without this fleet."""
        return [self._state(host, fleet) for host in self.world.hosts.values()]

    @staticmethod
    def _state(host: SimulatedHost, without: str | None) -> list[Any]:
        folders = {
            key: (f.record, tuple(f.journal), frozenset(f.trees), dict(f.files))
            for key, f in host.folders.items()
            if key[0] != without
        }
        others = [
            {key: value for key, value in things.items() if key[0] != without}
            for things in (host.leftovers, host.tombstones)
        ]
        revisions = {fleet: head for fleet, head in host.revisions.items() if fleet != without}
        containers = {k: c for k, c in host.containers.items() if c.labels.get(LABEL_FLEET) != without or not without}
        resources = {k: r for k, r in host.resources.items() if r.owner is None or r.owner.fleet != without}
        locks = {key for key in host.locks if key[0] != without}
        return [folders, others, revisions, containers, resources, locks, set(host.directories)]

    def names(self, run: SimulatedRun) -> set[str]:
        """Return the recorded names that a run could observe."""
        hosts = [self.world.hosts[name] for name in run.desired.hosts]
        shown = [host for host in hosts if host.reachable and not host.garbled and not host.linked]
        records = (host.record(key) for host in shown for key in host.folders if key[0] == run.git.fleet)
        return {record.name for record in records if record}

    def sound(self, name: str) -> bool:
        """Return whether a host has no fault."""
        host = self.world.hosts[name]
        return host.reachable and not host.garbled and not host.linked and not host.stopped_engines

    def conflict(self, host: SimulatedHost, key: Key, engines: Collection[Engine] = ENGINES) -> str | None:
        """Return why this sandbox's ownership is in conflict, by these engines; None if it is the fleet's."""
        owners = list(host.owners(key, engines))
        lives = {owner.uid for owner in owners}
        if any(owner.root != ROOT for owner in owners):
            return "another root"
        if key not in host.folders:
            return "several lives" if len(lives) > 1 else None
        record = host.record(key)
        if record is None:
            lost = host.folders[key].record is None
            return None if lost and len(lives) == 1 else "no record that decides"
        if lives - {record.uid} or any((o.name, o.origin) != (record.name, record.origin) for o in owners):
            return "record and labels disagree"
        git_name = record.origin != "git" or sandbox_id(key[0], record.name) == key[1]
        return None if git_name else "another sandbox's id"

    # --- before each write

    def watch(self, what: str, host: SimulatedHost, operation: Operation) -> None:
        """Check that this is allowed now; ``what`` is ``new``, ``adopt``, ``rewrite``, ``teardown`` or ``remove``."""
        run, key = self.world.runs[-1], (operation.fleet, operation.id)
        change = run.at_work[(host.name, operation.id)]
        assert change.acts, f"{change.action} wrote something"
        assert key in host.held, "written without the lock"
        glimpse = run.glimpses[host.name]
        assert glimpse.answering, f"{what} on {host.name}, which was not seen in full"
        assert run.options.allow_rollback or not run.was_behind(change, host.name), "an older commit over a newer one"
        if what != "new":
            conflict = self.conflict(host, key, glimpse.answering)
            assert conflict is None, f"{what} of what may not be ours: {conflict}"
        if what == "new" and change.action is Action.CREATE and change.sandbox in run.commit.sandboxes:
            self._may_create(run, host, key, change)
        elif what == "teardown":
            self._may_destroy(run, host, key, change)

    def _may_create(self, run: SimulatedRun, host: SimulatedHost, key: Key, change: Change) -> None:
        former = run.git.before(run.commit)
        might = run.commit.possible_hosts(change.sandbox) | (
            former.possible_hosts(change.sandbox) if former else frozenset()
        )
        assert host.name in might, f"{change.sandbox} may not live on {host.name}"
        for name in might:
            seen = run.glimpses.get(name)
            assert seen, f"created without an observation of {name}, where it might live"
            assert seen.answering, f"created while {name}, where it might live, did not answer"
        copies = [name for name in might - {host.name} if self.world.hosts[name].has(key)]
        assert not copies, f"a second copy of {change.sandbox} beside the one on {copies}"

    def _may_destroy(self, run: SimulatedRun, host: SimulatedHost, key: Key, change: Change) -> None:
        record = host.record(key)
        engine = record.engine if record else "docker"
        assert engine in run.glimpses[host.name].answering, f"destroyed while {engine} on {host.name} did not answer"
        if self._expired(run, key):
            return
        assert record is not None, "destroyed without a record of its end"
        run.destroyed.add((change.id, change.host, change.from_host))  # a move destroys one, wherever its parts are
        limit = run.options.max_deletes if run.options.max_deletes is not None else 1
        assert len(run.destroyed) <= limit, f"{len(run.destroyed)} deletes and replaces, and {limit} are allowed"
        assert run.commit.sandboxes or run.options.allow_empty, "destroyed for a fleet that is empty"
        name = run.commit.named(*key)
        if change.action is Action.DELETE:
            request = run.options.prune and not run.options.only_expired
            assert request, "deleted without a request"
        if name is None:
            assert change.action is Action.DELETE
            kept = not record.sync_policy.prune and record.phase is not Phase.DESTROYING
            assert not kept, "deleted what has prune: false"
            assert record.origin == "git", "deleted what git never knew"
        elif change.action is Action.REPLACE and change.host == host.name:
            assert self._replaced_for_a_reason(run, host, record, name), f"{name} was replaced for nothing"
        else:
            ready = [other for other, seen in run.glimpses.items() if other != host.name and key in seen.ready]
            ready += [other.name for other in self.world.hosts.values() if is_ready(other.record(key))]
            assert set(ready) - {host.name}, f"the last copy of {name} was deleted, and git wants it"

    @staticmethod
    def _replaced_for_a_reason(run: SimulatedRun, host: SimulatedHost, record: Record, name: str) -> bool:
        if record.phase is Phase.DESTROYING or name in run.options.replaced:
            return True
        runtime = run.desired.hosts[host.name].spec.runtime
        return runtime not in ("auto", record.engine) or record.desired_digest is None

    def _expired(self, run: SimulatedRun, key: Key) -> bool:
        """Return whether a copy has expired by its host's clock and by the runner's, at planning or now."""
        for host in self.world.hosts.values():
            seen = run.glimpses.get(host.name)
            ends = self._ends(run.commit, host, key)
            if ends is None or seen is None:
                continue
            if ends <= max(host.clock, seen.clock) and ends <= max(run.now(), seen.runner):
                return True
        # Its main copy was removed a moment ago, and other copies follow.
        name = run.commit.named(*key)
        digests = {s.spec_digest for n, s in run.desired.sandboxes.items() if n == name}
        tombstones = [host.tombstones[key] for host in self.world.hosts.values() if key in host.tombstones]
        return any(tombstone.spec_digest in digests for tombstone in tombstones)

    def _ends(self, commit: Commit, host: SimulatedHost, key: Key) -> datetime | None:
        record = host.record(key)
        name = commit.named(*key)
        if record is None:
            moments = [
                datetime.fromisoformat(o.latest_expiry)
                for o in host.owners(key)
                if o.origin == "api" and o.latest_expiry
            ]
            return max(moments, default=None)
        if name is None or record.origin == "api":
            return record.expires_at
        spec = commit.sandboxes[name]
        declared = _end_by(spec.get("ttl", "4h"), spec.get("expiresAt"), record.created_at)
        was = _end_by(record.spec.get("ttl", "4h"), record.spec.get("expiresAt"), record.created_at)
        return record.expires_at if declared == was else declared

    # --- after each step

    def steady(self) -> None:
        """Check that no record's generation decreases, and that every journal is a valid life."""
        for host in self.world.hosts.values():
            for key, folder in host.folders.items():
                now = (folder.record, len(folder.journal))
                if self.read.get((host.name, key)) == now:
                    continue
                self.read[(host.name, key)] = now
                record = host.record(key)
                if record is None or self.conflict(host, key):
                    continue
                life = (host.name, key, record.uid)
                assert record.generation >= self.generations.get(life, 0), f"{life}: its generation went back"
                self.generations[life] = record.generation
                self._check_journal(folder.journal, record)

    @staticmethod
    def _check_journal(lines: list[str], record: Record) -> None:
        events = [json.loads(line) for line in lines]
        numbers = [event["number"] for event in events]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), f"a journal of events {numbers}"
        assert record.last_event in numbers, f"event {record.last_event} is not in the journal: {numbers}"
        for event in events:
            former = event["from_phase"] and Phase(event["from_phase"])
            first = event["number"] == 1
            assert may_follow(former, Phase(event["phase"])) or (former is None and not first), event
        reported = next(event for event in events if event["number"] == record.last_event)
        assert reported["phase"] == record.phase, f"the journal says {reported['phase']}, the record {record.phase}"

    def forget(self, host: str, key: Key) -> None:
        """Forget a lost record: its successor counts from the start."""
        self.generations = {life: n for life, n in self.generations.items() if life[:2] != (host, key)}

    # --- after all faults are healed and an apply

    def converged(self, fleet: str, changes: tuple[Change, ...]) -> None:
        """Check that no change remains, that blocked changes have a cause, and that the fleet has no leftovers."""
        acting = [f"{c.sandbox}: {c.reason} {c.message}" for c in changes if c.acts]
        assert not acting, f"still to be done after two applies: {acting}"
        for change in changes:
            if change.action is Action.BLOCKED:
                assert self._blocked_for_a_reason(fleet, change), f"{change.sandbox}: {change.reason}, {change.message}"
        self._nothing_left(fleet)

    def _blocked_for_a_reason(self, fleet: str, change: Change) -> bool:
        git, key = self.world.fleets[fleet], (fleet, change.id)
        hosts = git.fleet_at(git.head).hosts
        if change.reason is Reason.BLOCKED_AMBIGUOUS:
            copies = [self.world.hosts[name] for name in hosts if self.world.hosts[name].has(key)]
            return any(self.conflict(host, key) or host.record(key) is None for host in copies)
        if change.reason is Reason.BLOCKED_NO_HOST:
            if change.host in hosts.keys() - git.head.hosts.keys():
                return True
            return not any(self._has_room(fleet, name, key) for name in git.head.possible_hosts(change.sandbox))
        return False

    def _has_room(self, fleet: str, name: str, key: Key) -> bool:
        spec = self.world.fleets[fleet].head.hosts[name]
        host = self.world.hosts[name]
        taken = len(host.sandboxes(fleet) - {key})
        free = taken < spec.get("capacity", {}).get("sandboxes", 1000)
        return free and not spec.get("cordon") and not spec.get("drain") and not host.has(key)

    def _nothing_left(self, fleet: str) -> None:
        git = self.world.fleets[fleet]
        desired = {(fleet, sandbox_id(fleet, name)) for name in git.head.sandboxes}
        copies: dict[Key, list[str]] = {}
        for name in git.head.hosts:
            host = self.world.hosts[name]
            assert not [left for left in host.leftovers if left[0] == fleet], f"left on {name}: {host.leftovers}"
            here = host.sandboxes(fleet)
            for key in {key for key in here if not self.conflict(host, key)}:
                copies.setdefault(key, []).append(name)
                record = host.record(key)
                stays = record is None or record.origin == "api" or not record.sync_policy.prune
                assert key in desired or stays, f"{key} is on {name}, and git does not want it"
            stray_locks = {key for key in host.locks if key[0] == fleet} - here - desired
            assert not stray_locks, f"locks of nothing on {name}: {stray_locks}"
            tombstones = {key for key in host.tombstones if key[0] == fleet} - desired
            assert not tombstones, f"tombstones on {name} of what git no longer has: {tombstones}"
        # A suspended sandbox stays as it is, an interrupted move too.
        waits = {key for key in desired if git.head.sandboxes[git.head.named(*key) or ""].get("suspend")}
        several = {key: names for key, names in copies.items() if len(names) > 1 and key in desired - waits}
        doubles = {key: names for key, names in several.items() if not self._is_uncertain(*key)}
        assert not doubles, f"several copies: {doubles}"

    def _is_uncertain(self, fleet: str, identifier: str) -> bool:
        hosts = [self.world.hosts[name] for name in self.world.fleets[fleet].head.hosts]
        key = (fleet, identifier)
        return any(host.has(key) and (self.conflict(host, key) or host.record(key) is None) for host in hosts)


def _end_by(ttl: str, expires_at: str | None, created_at: datetime) -> datetime:
    lives: timedelta = parse_duration(ttl)
    return datetime.fromisoformat(expires_at) if expires_at else created_at + lives
