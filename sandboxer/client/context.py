"""The context of a client's calls: the fleet, and how a plan over it is applied and reported."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandboxer.errors import (
    ComposeRefused,
    HostError,
    HostNotObserved,
    ProvisionFailed,
    SandboxError,
    SandboxLocked,
    StaleChange,
)
from sandboxer.model.lifecycle import Block
from sandboxer.model.run_events import fan_out, ignore
from sandboxer.render.remedies import LIBRARY, worded
from sandboxer.wiring.apply_options import ApplyOptions
from sandboxer.wiring.applying import apply_plan
from sandboxer.wiring.fleet_hosts import open_fleet
from sandboxer.wiring.operation import operations_of
from sandboxer.wiring.reporting import reported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sandboxer.model.outcome import Outcome
    from sandboxer.model.run_events import Sink
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox
    from sandboxer.reconcile.options import Options
    from sandboxer.wiring.fleet_hosts import FleetHosts
    from sandboxer.wiring.operation import Operations
    from sandboxer.wiring.planning import Planned
    from sandboxer.wiring.reporting import Reporter
    from sandboxer.wiring.source import FleetSource

NO_GUARD = 1_000_000  # guards protect from bulk deletion: here one sandbox, named by a person, is changed


# The error for a change that was not carried out, by what it waits for; else ProvisionFailed.
_KINDS: Mapping[Block | None, type[SandboxError]] = {
    Block.LOCKED: SandboxLocked,
    Block.STALE: StaleChange,
    Block.REFUSED: ComposeRefused,
    Block.UNOBSERVED: HostNotObserved,
}


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply has done: the outcome of each change, and the sandboxes as it has left them."""

    outcomes: Sequence[Outcome]
    made: Sequence[ObservedSandbox]


@dataclass(frozen=True, slots=True)
class ClientContext:
    """The fleet and the callbacks; its fields are those of Client."""

    root: Path | str = "."
    lock_timeout: float = 60.0
    warn: Callable[[str], None] = lambda _words: None
    emit: Sink = ignore
    run_id: str = ""
    remote: bool = False
    only_requested: bool = False

    @property
    def apply_options(self) -> ApplyOptions:
        """The options of an apply."""
        return ApplyOptions(lock_timeout=self.lock_timeout, only_requested=self.only_requested)

    def open(self, **given: Any) -> AbstractContextManager[tuple[FleetSource, FleetHosts]]:
        """Return the fleet's manifests and hosts, fresh for each call: nothing is kept between two."""
        return open_fleet(Path(self.root), remote=self.remote, emit=self.emit, **given)

    def apply(
        self,
        planned: Planned,
        source: FleetSource,
        hosts: FleetHosts,
        command: str,
        *,
        of_git: bool,
        again: Options | None = None,
    ) -> Applied:
        """Carry out a plan, and report it to State Hub as ``command``.

        What is no longer as planned is planned again with the options ``again``; without them it is blocked as stale.
        """
        with self.reported(source, hosts, command) as reporter:
            outcomes = apply_plan(planned, source, hosts, reporter, self.apply_options, again=again, of_git=of_git)
            reporter.exits(0 if all(outcome.ok for outcome in outcomes) else 1)
        return Applied(outcomes, tuple(reporter.made.values()))

    @contextmanager
    def reported(self, source: FleetSource, hosts: FleetHosts, command: str) -> Iterator[Reporter]:
        """Report to State Hub what happens inside, as ``command``; ``warn`` receives what it did not acknowledge."""
        with reported(source, hosts.transport, command, self.run_id or uuid.uuid4().hex) as reporter:
            yield reporter
        for problem in reporter.problems:
            self.warn(problem)

    @contextmanager
    def changing(self, planned: Planned, source: FleetSource, hosts: FleetHosts, command: str) -> Iterator[Operations]:
        """Yield the operations for changes of a record alone, which are reported to State Hub as ``command``."""
        with self.reported(source, hosts, command) as reporter:
            reporter.begin(planned.observations)
            yield operations_of(source, hosts, self.apply_options, fan_out(hosts.emit, reporter))

    @staticmethod
    def must_be_well(outcomes: Sequence[Outcome]) -> None:
        """Raise an error for the first outcome that failed.

        One of ``TRANSIENT`` if it may succeed later, else ProvisionFailed.
        """
        for outcome in outcomes:
            if outcome.ok:
                continue
            message = outcome.error or outcome.change.message
            if outcome.transient:
                raise HostError(outcome.change.host or "", message, hint=outcome.hint)
            kind = _KINDS.get(outcome.change.block, ProvisionFailed) if not outcome.error else ProvisionFailed
            raise failure(outcome, kind)


def failure(outcome: Outcome, kind: type[SandboxError] = SandboxError) -> SandboxError:
    """Return the error for an outcome that is not ok."""
    change, message = outcome.change, outcome.error or outcome.change.message
    if change.block is Block.REFUSED and not outcome.error:
        errors = (found for found in change.diagnostics if found.severity == "error")
        message = "\n".join(["its input is refused:", *(f"{found.message} ({found.place})" for found in errors)])
    remedy = None if outcome.error or outcome.hint else change.remedy
    return kind(change.sandbox, message, hint=outcome.hint or worded(remedy, LIBRARY), remedy=remedy)
