"""The session: it reports the program's runs to a person or a log on standard error, and to a trace."""

from __future__ import annotations

import os
import sys
import uuid
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from sandboxer.cli.observation_status import ObservationStatus
from sandboxer.model.run_events import FleetRead, HostObserved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sandboxer.errors import SandboxerError
    from sandboxer.model.drift import DriftReport
    from sandboxer.model.outcome import ApplyView, Outcome
    from sandboxer.model.plan import Change
    from sandboxer.model.run_events import RunEvent
    from sandboxer.model.run_listener import Level, RunListener
    from sandboxer.render.log_json import JsonLog, Lines
    from sandboxer.wiring.edges import Trace
    from sandboxer.wiring.fleet_hosts import FleetHosts
    from sandboxer.wiring.source import FleetSource

LOG_FORMATS = ("text", "json")
LOG_VARIABLE = "SANDBOXER_LOG_FORMAT"


class Session:
    """Reports of consecutive runs; most commands are one. A run begins with the first event that is reported.

    ``run_id`` is the present run's ID, and ``command`` the words of the command. Output is for people until ``speak``
    changes that. ``environ`` says whether traces are requested.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self.command = ""
        self.run_id = uuid.uuid4().hex
        self._environ = environ
        self._at: datetime | None = datetime.now(UTC)
        self._begun = False
        self._format = ""
        self._stderr = sys.stderr
        self._lines: Lines | None = None
        self._log: JsonLog | None = None
        self._trace: Trace | None = None
        self._complaints: set[str] = set()
        self._status = ObservationStatus()
        self._hide: Callable[[str, str], str] = lambda _identifier, text: text

    @property
    def logs(self) -> bool:
        """Whether standard error is a log for programs."""
        return self._log is not None

    def speak(self, log_format: str) -> None:
        """Set the output format: with ``json`` everything on standard error is a log, whoever writes it there.

        Only the first call counts.
        """
        if not self._format and log_format == "json":
            from sandboxer.render.log_json import JsonLog, Lines

            self._log, self._lines = JsonLog(self._stderr), Lines(lambda line: self.said("info", line))
            sys.stderr = self._lines  # enough of a file for all its writers
        self._format = self._format or log_format

    def close(self, code: int) -> None:
        """End the session, and its run with the exit code ``code``."""
        if self._lines is None:
            self.end(code)
            return
        self._lines.finish()
        self.end(code)
        sys.stderr = self._stderr

    # --- reports of a run

    def receive(self, event: RunEvent) -> None:
        """Report an event; from the moment that manifests are read, their hidden values are hidden."""
        listeners = self._begin()
        match event:
            case FleetRead(fleet, redact):
                self._hide = redact
                for listener in listeners:
                    listener.of_fleet(fleet)
            case HostObserved(observation, seconds):
                for listener in listeners:
                    listener.hosts_observed(observation, seconds)
        self._status(event)

    def compared(self, report: DriftReport) -> None:
        """Report the result of a comparison with the records."""
        for listener in self._begin():
            listener.compared(report)

    def said(self, level: Level, message: str, host: str = "") -> None:
        """Report a message; on a terminal, a prefix marks it as a warning or an error."""
        for listener in self._begin():
            listener.said(level, self._hide("", message), host)
        if not self.logs:
            from sandboxer.cli.console import stderr

            begins = "Warning: " if level == "warning" else ""
            style = {"warning": "yellow", "error": "red"}.get(level)
            stderr().print(f"{begins}{message}", style=style, markup=False, soft_wrap=True)

    def failed(self, error: SandboxerError, show: Callable[[], None] | None = None) -> None:
        """Report an error that ends the run or one round of it; ``show`` replaces its usual display for people."""
        error = self._hidden(error)
        for listener in self._begin():
            listener.failed(error)
        if not self.logs and show is not None:
            show()
        elif not self.logs:
            from sandboxer.cli.console import stderr
            from sandboxer.render.errors import error_text

            stderr().print(error_text(error))

    def following(self, *views: ApplyView) -> Following:
        """Return a view for an apply, which also calls ``views``. Hidden values stay hidden in logs and traces."""
        return Following(views, self._begin(), self._hide)

    def end(self, code: int) -> None:
        """End the current run, if any, and send its trace; the next report begins another run."""
        if not self._begun:
            return
        if self._trace is not None:
            self._trace.over(code)
            problem = self._trace.send()
            if problem and problem not in self._complaints:  # a message that a watch repeats each round goes unread
                self._complaints.add(problem)
                self.said("warning", problem)
        if self._log is not None:
            self._log.over(code)
        self._begun, self._at, self.run_id = False, None, uuid.uuid4().hex

    def _hidden(self, error: SandboxerError) -> SandboxerError:
        """Return the same error without secrets in its message."""
        same = type(error).__new__(type(error))
        same.__dict__.update(error.__dict__)
        same.message, same.hint = self._hide("", error.message), self._hide("", error.hint)
        return same

    def _begin(self) -> Sequence[RunListener]:
        """Return the listeners; begin the run if it has not begun."""
        listeners: list[RunListener] = [self._log] if self._log is not None else []
        if not self._begun and self._wants_traces():
            from sandboxer.wiring.edges import Trace

            self._trace = self._trace or Trace(self._environ)
        listeners += [self._trace] if self._trace is not None else []
        if not self._begun:
            self._begun = True
            if listeners:
                from sandboxer.model.run_listener import RunStart

                beginning = RunStart(self.run_id, self.command, self._at or datetime.now(UTC))
                for listener in listeners:
                    listener.begun(beginning)
        return listeners

    def _wants_traces(self) -> bool:
        if not any(name.startswith("OTEL_EXPORTER_OTLP_") for name in self._environ):
            return False  # not even checking the rest of the environment costs an import
        from sandboxer.wiring.edges import wanted

        return wanted(self._environ)


class Following:
    """An ApplyView with several views; those that write for programs get no hidden value, whatever an error says."""

    def __init__(
        self, views: Sequence[ApplyView], listeners: Sequence[RunListener], hide: Callable[[str, str], str]
    ) -> None:
        self._views = views
        self._witnesses = listeners
        self._hide = hide
        self._told: list[Outcome] = []

    def started(self, change: Change) -> None:
        """Report that a change begins."""
        for view in (*self._views, *self._witnesses):
            view.started(change)

    def progressed(self, change: Change, step: str) -> None:
        """Report that a change has reached a step."""
        for view in self._views:
            view.progressed(change, step)
        for listener in self._witnesses:
            listener.progressed(change, self._hide(change.id, step))

    def ended(self, outcome: Outcome) -> None:
        """Report that a change has ended."""
        for view in self._views:
            view.ended(outcome)
        self._tell(outcome)

    def rest(self, outcomes: Sequence[Outcome]) -> None:
        """Report to programs the outcomes of changes that never began, such as blocked ones."""
        told = {id(outcome) for outcome in self._told}
        for outcome in outcomes:
            if id(outcome) not in told:
                self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        if not self._witnesses:
            return
        self._told.append(outcome)
        change = outcome.change
        change = replace(change, message=self._hide(change.id, change.message))
        error, hint = (self._hide(change.id, text) for text in (outcome.error, outcome.hint))
        for listener in self._witnesses:
            listener.ended(replace(outcome, change=change, error=error, hint=hint))


def session() -> Session:
    """Return the session of the present command."""
    context = click.get_current_context(silent=True)
    found = context.find_object(Session) if context else None
    return found or Session()


@contextmanager
def opened(**given: Any) -> Iterator[tuple[FleetSource, FleetHosts]]:
    """Yield the fleet in this folder as ``open_fleet`` does, with these options; the session reports its events."""
    from pathlib import Path

    from sandboxer.wiring.fleet_hosts import open_fleet

    with open_fleet(Path.cwd(), emit=session().receive, **given) as parts:
        yield parts
