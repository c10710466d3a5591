"""The log of a running command for programs: one JSON object a line."""

from __future__ import annotations

import io
import json
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TextIO

from sandboxer.errors import HostError, ManifestError, SandboxError
from sandboxer.model.lifecycle import Action
from sandboxer.model.run_events import (
    ChangeEnded,
    ChangeProgressed,
    ChangeStarted,
    DriftCompared,
    FleetRead,
    HostObserved,
    Message,
    RunFailed,
    RunFinished,
    RunStarted,
    ServiceProgressed,
    status_of,
)
from sandboxer.render.words import hint_of, message_of, remedy, safe_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.errors import SandboxerError
    from sandboxer.model.drift import DriftReport
    from sandboxer.model.jsontypes import JsonObject, JsonValue
    from sandboxer.model.observed import HostObservation
    from sandboxer.model.outcome import Outcome
    from sandboxer.model.plan import Change
    from sandboxer.model.run_events import Level, RunEvent

_LEVELS: dict[str, Level] = {"reachable": "info", "unknown": "warning", "unreachable": "error"}


def _now() -> datetime:
    return datetime.now(UTC)


class JsonLog:
    """A sink of events that writes to ``stream``: each line has ``time``, ``level`` and ``event``, and names its run.

    Keys without a value are left out. Lines are ASCII, so that no character in one can end it. If the stream is gone,
    the run continues. ``clock`` returns the time in UTC.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], datetime] = _now) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._open = False
        self._began = time.monotonic()
        self._of: dict[str, JsonValue] = {}

    def __call__(self, event: RunEvent) -> None:
        """Write the event as a line, if it is one for programs."""
        match event:
            case RunStarted():
                self._begin(event)
            case FleetRead(fleet):  # later lines name it
                self._of = {**self._of, "fleet": fleet}
            case HostObserved(observation, seconds):
                self._observed(observation, seconds)
            case DriftCompared(report):
                self._compared(report)
            case ChangeStarted(change):
                self._of_change("info", "change.started", change, reason=change.reason.value)
            case ChangeProgressed(change, step):
                self._of_change("info", "change.progressed", change, step=step)
            case ServiceProgressed(change, service, state, detail):
                self._of_change("info", "service.progressed", change, service=service, state=state, detail=detail)
            case ChangeEnded(outcome):
                self._ended(outcome)
            case Message(level, text, host):
                self._write(level, "message" if level == "info" else level, host=host, message=text)
            case RunFailed(error):
                self._failed(error)
            case RunFinished(exit_code):
                self._finish(exit_code)

    def _begin(self, beginning: RunStarted) -> None:
        """Write ``run.started``; later lines name this run and command."""
        self._open, self._began = True, time.monotonic() - (self._clock() - beginning.at).total_seconds()
        self._of = {"run_id": beginning.run_id, "command": beginning.command}
        self._line("info", "run.started", beginning.at, {})

    def _observed(self, observation: HostObservation, seconds: float) -> None:
        """Write ``look.done``, with the error where the host was not observed in full."""
        outcome = status_of(observation)
        self._write(
            _LEVELS[outcome],
            "look.done",
            host=observation.host,
            outcome=outcome,
            seconds=seconds,
            message=observation.error,
        )

    def _compared(self, report: DriftReport) -> None:
        """Write ``drift.found`` for each sandbox that drifted, and ``drift.resolved``; paths only, without values."""
        for change in report.drifted:
            paths = ", ".join(field.path for field in change.drift)
            self._of_change("warning", "drift.found", change, message=paths)
        for one in report.resolved:
            self._write("info", "drift.resolved", host=one.host, sandbox=one.sandbox, message=", ".join(one.paths))

    def _ended(self, outcome: Outcome) -> None:
        """Write ``change.ended``: the outcome, and where it did not succeed, why and what to do."""
        level: Level = "info" if outcome.ok else "error"
        if outcome.change.action is Action.BLOCKED and not outcome.error:
            level = "warning"
        self._of_change(
            level,
            "change.ended",
            outcome.change,
            reason=outcome.change.reason.value,
            outcome=outcome.word,
            seconds=outcome.seconds,
            message="" if outcome.ok else outcome.error or outcome.change.message,
            hint="" if outcome.ok else outcome.hint or remedy(outcome.change),
        )

    def _failed(self, error: SandboxerError) -> None:
        """Write ``error``, and before it ``manifest.finding`` for each finding of invalid manifests."""
        for found in error.diagnostics if isinstance(error, ManifestError) else ():
            self._write(
                found.severity,
                "manifest.finding",
                code=found.code,
                file=found.location.file,
                line=found.location.line,
                column=found.location.column,
                message=found.message,
                hint=found.hint,
            )
        host = error.host if isinstance(error, HostError) else ""
        sandbox = error.sandbox if isinstance(error, SandboxError) else ""
        self._write("error", "error", host=host, sandbox=sandbox, message=message_of(error), hint=hint_of(error))

    def _finish(self, exit_code: int) -> None:
        """Write ``run.finished``; later calls belong to the next run, or are ignored."""
        level: Level = "error" if exit_code == 1 else "info"
        self._write(level, "run.finished", exit_code=exit_code, seconds=time.monotonic() - self._began)
        self._open = False

    def _of_change(self, level: Level, event: str, change: Change, **more: JsonValue) -> None:
        action = change.action.value
        self._write(level, event, host=change.host, sandbox=change.sandbox, id=change.id, action=action, **more)

    def _write(self, level: Level, event: str, **more: JsonValue) -> None:
        self._line(level, event, self._clock(), more)

    def _line(self, level: Level, event: str, moment: datetime, more: JsonObject) -> None:
        line: dict[str, JsonValue] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "event": event,
        }
        line |= {key: _clean(value) for key, value in {**self._of, **more}.items() if value not in (None, "")}
        with self._lock:
            # Threads that were abandoned after an interrupt may still report something.
            if not self._open:
                return
            with suppress(OSError, ValueError):  # the reader of the log is gone
                self._stream.write(json.dumps(line) + "\n")
                self._stream.flush()


def _clean(value: JsonValue) -> JsonValue:
    if isinstance(value, float):
        return round(value, 3)
    return "\n".join(safe_lines(value)) if isinstance(value, str) else value


class Lines(io.TextIOBase):
    """A stream for code that writes text where a log is required: ``on_line`` gets each line that is not blank.

    It is not a terminal, so nothing draws or prompts there.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = ""
        self._lock = threading.Lock()

    def writable(self) -> bool:
        """Return True, as it takes text."""
        return True

    def write(self, text: str) -> int:
        """Take text; a line is reported when it is complete."""
        with self._lock:
            *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._on_line(line.rstrip())
        return len(text)

    def finish(self) -> None:
        """Report the rest, even without a line break at its end."""
        self.write("\n")
