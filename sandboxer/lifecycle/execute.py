"""Execution: carry out a plan, hosts in parallel. The plan decides *what*; this module knows only how."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sandboxer.errors import TRANSIENT, SandboxerError, SandboxLocked, StaleChange
from sandboxer.hosts.crash import crash_point
from sandboxer.lifecycle.placement import Placements
from sandboxer.model.identity import sandbox_id
from sandboxer.model.lifecycle import Action, Phase, Reason
from sandboxer.model.outcome import Outcome
from sandboxer.model.run_events import ChangeEnded, ChangeStarted
from sandboxer.reconcile.change import blocked, decided_as

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sandboxer.extensions.base import Extension, Operation
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.plan import Change
    from sandboxer.model.run_events import Sink
    from sandboxer.model.service_operation import ServiceOperation

PER_HOST = 4
ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Executor:
    """The executor of changes.

    ``extension_of`` returns the backend of a change, ``former_of`` the one that made what it replaces, if that is
    another one, ``operation_for`` its operation on a host (by name), ``might_live`` the hosts that answered and may
    have the sandbox. ``plan_again`` returns the planner's change for one sandbox after a fresh observation of its host;
    it is None if only the planned changes may be carried out. ``emit`` receives each change's start and end.
    ``parallelism`` is the number of hosts at once; each has up to 4 sandboxes at once. ``hide`` removes secrets from an
    error.
    """

    desired: Mapping[str, DesiredSandbox]
    extension_of: Callable[[Change], Extension]
    former_of: Callable[[Change], Extension | None]
    operation_for: Callable[[Change, str], Operation]
    might_live: Callable[[Change], Sequence[str]]
    plan_again: Callable[[Change], Change | None] | None
    emit: Sink
    parallelism: int = 16
    hide: Callable[[Change, str], str] = lambda _change, text: text
    stopping: threading.Event = field(default_factory=threading.Event)
    placements: Placements = field(default_factory=Placements)

    def run(self, changes: Sequence[Change]) -> list[Outcome]:
        """Carry out every change that acts, and return all outcomes; a failed change stops no other.

        Blocked changes are returned as they are. Once ``stopping`` is set no further change begins: those in progress
        end as usual, and the others have no outcome. On an interrupt it is the same, and nothing is returned.
        """
        outcomes = [Outcome(change) for change in changes if change.action is Action.BLOCKED]
        by_host: dict[str, list[Change]] = {}
        for change in changes:
            if change.acts and change.host is not None:
                by_host.setdefault(change.host, []).append(change)
        if not by_host:
            return outcomes
        with ThreadPoolExecutor(max_workers=min(self.parallelism, len(by_host)), thread_name_prefix="host") as pool:
            try:
                for done in pool.map(self._run_host, by_host.values()):
                    outcomes.extend(done)
            except BaseException:
                self.stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return outcomes

    def _run_host(self, changes: Sequence[Change]) -> list[Outcome]:
        with ThreadPoolExecutor(max_workers=PER_HOST, thread_name_prefix="sandbox") as pool:
            return [outcome for outcome in pool.map(self._run_one, changes) if outcome is not None]

    def _run_one(self, change: Change) -> Outcome | None:
        if self.stopping.is_set():
            return None
        self.emit(ChangeStarted(change))
        began = time.monotonic()
        services: list[ServiceOperation] = []
        outcome = self._attempt(change, services)
        error, hint = self.hide(change, outcome.error), self.hide(change, outcome.hint)
        done = tuple(services) if outcome.change.acts else ()
        outcome = replace(outcome, error=error, hint=hint, seconds=time.monotonic() - began, services=done)
        self.emit(ChangeEnded(outcome))
        return outcome

    def _attempt(self, change: Change, services: list[ServiceOperation]) -> Outcome:
        """Carry out a change; if the sandbox is no longer as planned, carry out what the planner decides now.

        Fill ``services`` with what the backend reports.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return Outcome(change, requested=self._act(change, services) is Phase.REQUESTED)
            except StaleChange as stale:
                if self.plan_again is None:
                    return Outcome(blocked(change, Reason.BLOCKED_STALE, stale.message), hint=stale.hint)
                if attempt == ATTEMPTS:
                    return Outcome(change, stale.message, stale.hint)
            except SandboxLocked as locked:
                return Outcome(blocked(change, Reason.BLOCKED_LOCKED, locked.message), hint=locked.hint)
            except SandboxerError as error:
                return Outcome(change, error.message, error.hint, transient=isinstance(error, TRANSIENT))
            again = self.plan_again(change)
            if again is None or not again.acts:
                return Outcome(again or decided_as(change, Action.NO_OP, Reason.NO_OP_SYNCED, change.message))
            change = again
        raise AssertionError("the loop returns")

    def _act(self, change: Change, services: list[ServiceOperation]) -> Phase | None:
        """Carry out a change; return the phase in which it left what it created or changed in place."""

        def report(operations: Sequence[ServiceOperation]) -> None:
            services[:] = operations

        services.clear()
        extension = self.extension_of(change)
        operation = replace(self._placed(change, self.operation_for(change, change.host or "")), services=report)
        desired = self.desired.get(change.id)
        if change.action is Action.DELETE or desired is None:
            tombstone = desired.spec_digest if desired and change.expired else None
            extension.teardown(operation, tombstone=tombstone)
        elif change.from_host is not None:
            self._move(change, extension, desired, operation, change.from_host)
        elif change.action is Action.REPLACE and (former := self.former_of(change)) is not None:
            self._hand_over(change, former, extension, desired, operation)
        else:
            record = extension.provision(operation, desired, fresh=change.action in (Action.CREATE, Action.REPLACE))
            return getattr(record, "phase", None)  # another's backend may return nothing
        return None

    def _move(
        self, change: Change, extension: Extension, desired: DesiredSandbox, operation: Operation, from_host: str
    ) -> None:
        """Provision on the new host until ready, then tear down on the old one.

        A crash between the two leaves one copy too many, and never one too few.
        """
        extension.provision(operation, desired, fresh=True)
        crash_point("move.between")
        former = self.former_of(change)
        if former is None:
            extension.teardown(self.operation_for(change, from_host))
        else:
            former.teardown(self.operation_for(replace(change, action=Action.DELETE), from_host))

    def _hand_over(
        self, change: Change, former: Extension, extension: Extension, desired: DesiredSandbox, operation: Operation
    ) -> None:
        """Tear down with the extension that made the sandbox, then provision with the one that is to have it.

        No other knows what there is to remove. After a crash in the first half the record still names the former one;
        after that the sandbox is on no host, and the next plan creates it.
        """
        ending = self.operation_for(replace(change, action=Action.DELETE), change.host or "")
        former.teardown(replace(ending, again=True))
        crash_point("replace.between")
        again = self.operation_for(change, change.host or "")
        begun = replace(again, expected_generation=0, expected_uid="", lives=(), services=operation.services)
        extension.provision(replace(begun, placing=lambda: self._placing(change, begun)), desired, fresh=True)

    def _placed(self, change: Change, operation: Operation) -> Operation:
        """Return the operation, with a lock on the placement if it begins a life.

        Another client could begin the same life elsewhere; so only one of them does.
        """
        if change.action is not Action.CREATE and change.from_host is None:
            return operation
        return replace(operation, placing=lambda: self._placing(change, operation))

    def _placing(self, change: Change, operation: Operation) -> AbstractContextManager[None]:
        others = [self.operation_for(change, host) for host in self.might_live(change) if host != operation.target.host]
        name_id = sandbox_id(operation.fleet, change.sandbox)
        name_id = "" if name_id == change.id else name_id
        return self.placements.begin(operation, others, name_id=name_id) if others else nullcontext()
