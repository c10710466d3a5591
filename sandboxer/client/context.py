"""The context of a client's calls: a run over the fleet, its plan, and its apply."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandboxer.adapters.allowed_inputs import check_allowed
from sandboxer.errors import HostError, HostNotObserved, ProvisionFailed, SandboxError, SandboxLocked, StaleChange
from sandboxer.model.lifecycle import Reason
from sandboxer.reconcile.options import Options
from sandboxer.wiring import ApplyOptions, Run
from sandboxer.wiring.reporting import reported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from sandboxer.model.outcome import ApplyView, Outcome
    from sandboxer.model.plan import Change, Plan
    from sandboxer.model.request import SandboxRequest
    from sandboxer.wiring.reporting import Reporter

NO_GUARD = 1_000_000  # guards protect from bulk deletion: here one sandbox, named by a person, is changed


# The error for a change that was not carried out, by its reason.
_KINDS: Mapping[Reason, type[SandboxError]] = {
    Reason.BLOCKED_LOCKED: SandboxLocked,
    Reason.BLOCKED_STALE: StaleChange,
    Reason.BLOCKED_UNREACHABLE: HostNotObserved,
    Reason.BLOCKED_ENGINE: HostNotObserved,
}


class NullView:
    """A view that ignores everything."""

    def started(self, change: Change) -> None:
        """Ignore the start of a change."""

    def progressed(self, change: Change, step: str) -> None:
        """Ignore a step of a change."""

    def ended(self, outcome: Outcome) -> None:
        """Ignore the end of a change."""


@dataclass(frozen=True, slots=True)
class ClientContext:
    """The fleet and the callbacks; its fields are those of Client."""

    root: Path | str = "."
    lock_timeout: float = 60.0
    view: ApplyView = field(default_factory=NullView)
    warn: Callable[[str], None] = lambda _words: None
    around: Callable[[Run], AbstractContextManager[None]] | None = None
    only_requested: bool = False
    remote: bool = False

    @property
    def how(self) -> ApplyOptions:
        """The options of an apply."""
        return ApplyOptions(lock_timeout=self.lock_timeout, only_requested=self.only_requested)

    def run(self, **given: Any) -> Run:
        """Return a new run for each call: nothing is kept between two."""
        run = Run(Path(self.root), remote=self.remote, **given)
        request: SandboxRequest | None = given.get("request")
        if self.remote and request is not None:  # before any host is contacted
            sound = run.sound()
            check_allowed(sound.sandboxes[request.name].spec.inputs.repo, sound.fleet, run.root)
        return run

    def plan(self, run: Run, options: Options | None = None) -> Plan:
        """Return a plan after an observation of every host."""
        if self.around is None:
            return run.plan(options or Options())
        with self.around(run):
            return run.plan(options or Options())

    def apply(
        self, run: Run, decided: Plan, command: str, *, of_git: bool, again: Options | None = None
    ) -> Sequence[Outcome]:
        """Carry out a plan, and report it to State Hub as ``command``.

        What is no longer as planned is planned again with the options ``again``; without them it is blocked as stale.
        """
        with self.reported(run, command) as reporter:
            outcomes = run.apply(decided, again, self.how, self.view, of_git=of_git)
            reporter.exit_code = 0 if all(outcome.ok for outcome in outcomes) else 1
        return outcomes

    @contextmanager
    def reported(self, run: Run, command: str) -> Iterator[Reporter]:
        """Report to State Hub what happens inside, as ``command``; ``warn`` receives what it did not acknowledge."""
        with reported(run, command) as reporter:
            yield reporter
        for problem in reporter.problems:
            self.warn(problem)

    def carry_out(self, run: Run, decided: Plan, command: str, *, of_git: bool, again: Options | None = None) -> None:
        """Carry out a plan, as ``apply`` does. Raise ProvisionFailed for the first failure."""
        self.must_be_well(self.apply(run, decided, command, of_git=of_git, again=again))

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
            kind = _KINDS.get(outcome.change.reason, ProvisionFailed) if not outcome.error else ProvisionFailed
            raise kind(outcome.change.sandbox, message, hint=outcome.hint)


def only(decided: Plan, identifier: str) -> Plan:
    """Return the plan without other sandboxes of the same name, such as an orphan of git's."""
    return replace(decided, changes=tuple(change for change in decided.changes if change.id == identifier))
