"""The session: it reports the program's runs to a person or a log on standard error, and to a trace."""

from __future__ import annotations

import os
import sys
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sandboxer.cli.change_screen import ChangeScreen
    from sandboxer.cli.observation_status import ObservationStatus
    from sandboxer.errors import SandboxerError
    from sandboxer.model.run_events import Level, RunEvent, Sink
    from sandboxer.render.log_json import JsonLog, Lines
    from sandboxer.wiring.edges import Trace
    from sandboxer.wiring.fleet_hosts import FleetHosts
    from sandboxer.wiring.source import FleetSource

LOG_FORMATS = ("text", "json")
LOG_VARIABLE = "SANDBOXER_LOG_FORMAT"


class Session:
    """Reports of consecutive runs; most commands are one. A run begins with the first event that is reported.

    ``run_id`` is the present run's ID, and ``command`` the words of the command. Output is for people until
    ``use_log_format`` changes that. ``environ`` says whether traces are requested.
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
        self._status: ObservationStatus | None = None
        self._screen: ChangeScreen | None = None
        self._interrupted = False
        self._hide: Callable[[str, str], str] = lambda _identifier, text: text

    @property
    def logs(self) -> bool:
        """Whether standard error is a log for programs."""
        return self._log is not None

    @property
    def interrupted(self) -> bool:
        """Whether the user has interrupted the command, which is finishing what has begun."""
        return self._interrupted

    def interrupt(self) -> None:
        """Record that the user has interrupted the command."""
        self._interrupted = True

    def name(self, command: str) -> None:
        """Set the words of the command, by which reports name the run."""
        self.command = command

    def use_log_format(self, log_format: str) -> None:
        """Set the output format: with ``json`` everything on standard error is a log, whoever writes it there.

        Only the first call counts.
        """
        if not self._format and log_format == "json":
            from sandboxer.render.log_json import JsonLog, Lines

            self._log, self._lines = JsonLog(self._stderr), Lines(lambda line: self.notify("info", line))
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
        """Report an event; from the moment that manifests are read, their hidden values are hidden from programs."""
        from sandboxer.cli.observation_status import ObservationStatus
        from sandboxer.model.run_events import FleetRead

        if isinstance(event, FleetRead):
            self._hide = event.redact
        self._status = self._status or ObservationStatus()
        self._status(event)
        self.screen()(event)
        self._report(event)

    def screen(self) -> ChangeScreen:
        """Return what shows changes to people."""
        from sandboxer.cli.change_screen import ChangeScreen

        self._screen = self._screen or ChangeScreen(lambda: not self.logs)
        return self._screen

    def notify(self, level: Level, message: str, host: str = "") -> None:
        """Report a message; on a terminal, a prefix marks it as a warning or an error."""
        from sandboxer.model.run_events import Message

        self._report(Message(level, message, host))
        if not self.logs:
            from sandboxer.cli.console import stderr

            begins = "Warning: " if level == "warning" else ""
            style = {"warning": "yellow", "error": "red"}.get(level)
            stderr().print(f"{begins}{message}", style=style, markup=False, soft_wrap=True)

    def failed(self, error: SandboxerError, show: Callable[[], None] | None = None) -> None:
        """Report an error that ends the run or one round of it; ``show`` replaces its usual display for people."""
        from sandboxer.model.run_events import RunFailed, without_hidden

        self._report(RunFailed(error))
        error = without_hidden(error, self._hide)
        if not self.logs and show is not None:
            show()
        elif not self.logs:
            from sandboxer.cli.console import stderr
            from sandboxer.render.errors import error_text

            stderr().print(error_text(error))

    def end(self, code: int) -> None:
        """End the current run, if any, and send its trace; the next report begins another run."""
        if not self._begun:
            return
        from sandboxer.model.run_events import RunFinished

        if self._trace is not None:
            self._trace(RunFinished(code))
            problem = self._trace.send()
            if problem and problem not in self._complaints:  # readers ignore a message that a watch repeats each round
                self._complaints.add(problem)
                self.notify("warning", problem)
        if self._log is not None:
            self._log(RunFinished(code))
        self._begun, self._at, self.run_id = False, None, uuid.uuid4().hex

    def _report(self, event: RunEvent) -> None:
        """Report an event to the log and the trace, without hidden values."""
        from sandboxer.model.run_events import redacted

        hidden = redacted(event, self._hide)
        for sink in self._begin():
            sink(hidden)

    def _begin(self) -> Sequence[Sink]:
        """Return the sinks for programs; begin the run if it has not begun."""
        sinks: list[Sink] = [self._log] if self._log is not None else []
        if not self._begun and self._wants_traces():
            from sandboxer.wiring.edges import Trace

            self._trace = self._trace or Trace(self._environ)
        sinks += [self._trace] if self._trace is not None else []
        if not self._begun:
            from sandboxer.model.run_events import RunStarted

            self._begun = True
            for sink in sinks:
                sink(RunStarted(self.run_id, self.command, self._at or datetime.now(UTC)))
        return sinks

    def _wants_traces(self) -> bool:
        if not any(name.startswith("OTEL_EXPORTER_OTLP_") for name in self._environ):
            return False  # not even checking the rest of the environment costs an import
        from sandboxer.wiring.edges import configured

        return configured(self._environ)


def session() -> Session:
    """Return the session of the present command."""
    context = click.get_current_context(silent=True)
    found = context.find_object(Session) if context else None
    return found or Session()


@contextmanager
def opened(**given: Any) -> Iterator[tuple[FleetSource, FleetHosts]]:
    """Yield the fleet of this folder as ``open_fleet`` does, with these options; the session reports its events."""
    from sandboxer.cli.fleet_folder import fleet_folder
    from sandboxer.wiring.fleet_hosts import open_fleet

    with open_fleet(fleet_folder(revision=given.get("revision")), emit=session().receive, **given) as parts:
        yield parts
