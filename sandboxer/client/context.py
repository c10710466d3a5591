"""How a client goes about it: a run over the fleet, a plan of it, and the carrying out."""

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

NO_GUARD = 1_000_000  # against many at once: here one sandbox, named by a person, is carried out and no other


# What a change that was not carried out is told as.
_KINDS: Mapping[Reason, type[SandboxError]] = {
    Reason.BLOCKED_LOCKED: SandboxLocked,
    Reason.BLOCKED_STALE: StaleChange,
    Reason.BLOCKED_UNREACHABLE: HostNotObserved,
    Reason.BLOCKED_ENGINE: HostNotObserved,
}


class NullView:
    """Follows nothing."""

    def started(self, change: Change) -> None:
        """Work on a change begins."""

    def progressed(self, change: Change, step: str) -> None:
        """Work on a change has come to a step."""

    def ended(self, outcome: Outcome) -> None:
        """Work on a change is over."""


@dataclass(frozen=True, slots=True)
class ClientContext:
    """The way to a fleet, and whom to tell; its fields are those of Client."""

    root: Path | str = "."
    lock_timeout: float = 60.0
    view: ApplyView = field(default_factory=NullView)
    warn: Callable[[str], None] = lambda _words: None
    around: Callable[[Run], AbstractContextManager[None]] | None = None
    only_requested: bool = False
    remote: bool = False

    @property
    def how(self) -> ApplyOptions:
        """How a change is carried out."""
        return ApplyOptions(lock_timeout=self.lock_timeout, only_requested=self.only_requested)

    def run(self, **given: Any) -> Run:
        """Return a run of its own for each call: nothing is kept between two."""
        run = Run(Path(self.root), remote=self.remote, **given)
        request: SandboxRequest | None = given.get("request")
        if self.remote and request is not None:  # before anybody is asked
            sound = run.sound()
            check_allowed(sound.sandboxes[request.name].spec.inputs.repo, sound.fleet, run.root)
        return run

    def plan(self, run: Run, options: Options | None = None) -> Plan:
        """Return a plan after a look at every host."""
        if self.around is None:
            return run.plan(options or Options())
        with self.around(run):
            return run.plan(options or Options())

    def apply(
        self, run: Run, decided: Plan, command: str, *, of_git: bool, again: Options | None = None
    ) -> Sequence[Outcome]:
        """Carry a plan out, State Hub being told of it as of ``command``.

        What is no longer as planned is planned again with the options ``again``; without them it is blocked as stale.
        """
        with self.reported(run, command) as reporter:
            outcomes = run.apply(decided, again, self.how, self.view, of_git=of_git)
            reporter.exit_code = 0 if all(outcome.ok for outcome in outcomes) else 1
        return outcomes

    @contextmanager
    def reported(self, run: Run, command: str) -> Iterator[Reporter]:
        """Report State Hub of what happens within, as of ``command``; of what it did not take, ``warn`` is told."""
        with reported(run, command) as reporter:
            yield reporter
        for problem in reporter.problems:
            self.warn(problem)

    def carry_out(self, run: Run, decided: Plan, command: str, *, of_git: bool, again: Options | None = None) -> None:
        """As ``apply``. Raises ProvisionFailed for the first thing that did not go well."""
        self.must_be_well(self.apply(run, decided, command, of_git=of_git, again=again))

    @staticmethod
    def must_be_well(outcomes: Sequence[Outcome]) -> None:
        """Raise for the first of them that is not.

        One of ``TRANSIENT`` where it may be later, else ProvisionFailed.
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
    """Return the plan without whatever else has the sandbox's name, such as an orphan of git's."""
    return replace(decided, changes=tuple(change for change in decided.changes if change.id == identifier))
