"""How a client goes about it: a run over the fleet, a plan of it, and the carrying out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandboxer.errors import ProvisionFailed
from sandboxer.reconcile.options import Options
from sandboxer.wiring import ApplyOptions, Run
from sandboxer.wiring.reporting import reported

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from sandboxer.model.outcome import ApplyView, Outcome
    from sandboxer.model.plan import Change, Plan

NO_GUARD = 1_000_000  # against many at once: here one sandbox, named by a person, is carried out and no other


class SilentView:
    """Follows nothing."""

    def started(self, change: Change) -> None:
        """Work on a change begins."""

    def progressed(self, change: Change, step: str) -> None:
        """Work on a change has come to a step."""

    def ended(self, outcome: Outcome) -> None:
        """Work on a change is over."""


@dataclass(frozen=True, slots=True)
class Access:
    """The way to a fleet, and whom to tell; its fields are those of Client."""

    root: Path | str = "."
    lock_timeout: float = 60.0
    view: ApplyView = field(default_factory=SilentView)
    warn: Callable[[str], None] = lambda _words: None
    around: Callable[[Run], AbstractContextManager[None]] | None = None

    @property
    def how(self) -> ApplyOptions:
        """How a change is carried out."""
        return ApplyOptions(lock_timeout=self.lock_timeout)

    def run(self, **given: Any) -> Run:
        """A run of its own for each call: nothing is kept between two."""
        return Run(Path(self.root), **given)

    def plan(self, run: Run, options: Options | None = None) -> Plan:
        """A plan after a look at every host."""
        if self.around is None:
            return run.plan(options or Options())
        with self.around(run):
            return run.plan(options or Options())

    def apply(self, run: Run, decided: Plan, command: str, *, of_git: bool) -> Sequence[Outcome]:
        """Carries a plan out, State Hub being told of it as of ``command``."""
        with reported(run, command) as reporter:
            outcomes = run.apply(decided, None, self.how, self.view, of_git=of_git)
            reporter.exit_code = 0 if all(outcome.ok for outcome in outcomes) else 1
        for problem in reporter.problems:
            self.warn(problem)
        return outcomes

    def carry_out(self, run: Run, decided: Plan, command: str, *, of_git: bool) -> None:
        """Carries a plan out. Raises ProvisionFailed for the first thing in it that did not go well."""
        for outcome in self.apply(run, decided, command, of_git=of_git):
            if not outcome.ok:
                message = outcome.error or outcome.change.message
                raise ProvisionFailed(outcome.change.sandbox, message, hint=outcome.hint)


def only(decided: Plan, identifier: str) -> Plan:
    """The plan without whatever else has the sandbox's name, such as an orphan of git's."""
    return replace(decided, changes=tuple(change for change in decided.changes if change.id == identifier))
