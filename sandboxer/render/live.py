"""The sinks of an apply for people: a live table on a terminal, plain lines elsewhere, and a summary at the end."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from sandboxer.model.lifecycle import Action
from sandboxer.model.outcome import DONE_WORDS, REQUESTED, WAITING
from sandboxer.model.run_events import ChangeEnded, ChangeProgressed, ChangeStarted, ServiceProgressed
from sandboxer.render.host_errors import without_host_errors
from sandboxer.render.lines import Lines
from sandboxer.render.plan_text import STYLES
from sandboxer.render.words import list_of, remedy, safe, safe_lines, seconds_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from rich.console import Console

    from sandboxer.model.outcome import Outcome
    from sandboxer.model.plan import Change, HostSummary
    from sandboxer.model.run_events import RunEvent
    from sandboxer.model.service_operation import ServiceOperation

DOING_WORDS = {
    Action.CREATE: "creating",
    Action.UPDATE: "updating",
    Action.REPLACE: "replacing",
    Action.REPAIR: "repairing",
    Action.DELETE: "deleting",
}
_READY = ("started", "healthy", "completed")
_STATE_STYLES = {
    **dict.fromkeys(_READY, "green"),
    **dict.fromkeys(("failed", "unhealthy", "restarting"), "bold red"),
    "paused": "yellow",
}
# The states that are worth a line of a log; the others are on the way to one of these.
_LOGGED = ("pulling", "building", *_READY, "failed", "unhealthy", "restarting", "paused")
_PER_SECOND = 8
# The lines of the terminal that the header, the note below the table and the cursor take.
_AROUND = 3


@dataclass(slots=True)
class _Row:
    change: Change
    began: float
    step: str = ""
    outcome: Outcome | None = None
    interrupted: bool = False
    services: dict[str, tuple[ServiceProgressed, float]] = field(default_factory=dict)

    def reach(self, event: ServiceProgressed, now: float) -> None:
        """Show the state of a service, and the time since it reached that; another detail of it begins no other."""
        before = self.services.get(event.service)
        since = before[1] if before and before[0].state == event.state else now
        self.services[event.service] = event, since

    def update(self, change: Change, step: str | None, outcome: Outcome | None) -> None:
        """Show this of the change; without a step, the former one."""
        self.change, self.outcome = change, outcome
        self.step = self.step if step is None else step

    def interrupt(self) -> None:
        """Mark it as interrupted unless it has ended."""
        self.interrupted = self.outcome is None


class LiveView:
    """A sink of events for a terminal: a table whose rows show step and seconds while the apply runs.

    Use as a context manager. Safe to call from several threads, also after it was left: calls are then ignored.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: dict[tuple[str, str | None], _Row] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._spinner = Spinner("line" if console.options.ascii_only else "dots", style="cyan")
        self._live = Live(
            console=console,
            get_renderable=self.table,
            refresh_per_second=_PER_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._closed = True
            for row in self._rows.values():
                row.interrupt()
        self._live.stop()

    def __call__(self, event: RunEvent) -> None:
        """Show a row for a change, its step, its services' states, and whether it is done or failed."""
        match event:
            case ServiceProgressed(change):
                with self._lock:
                    if (row := self._rows.get(_key(change))) is not None:
                        row.reach(event, self._console.get_time())
            case ChangeStarted(change):
                self._show(change)
            case ChangeProgressed(change, step):
                self._show(change, step=step)
            case ChangeEnded(outcome, begun=True):
                self._show(outcome.change, outcome=outcome)

    def _show(self, change: Change, *, step: str | None = None, outcome: Outcome | None = None) -> None:
        with self._lock:
            if self._closed:
                return
            row = self._rows.setdefault(_key(change), _Row(change, self._console.get_time()))
            row.update(change, step, outcome)

    def table(self) -> Table:
        """Return the table as it is now."""
        with self._lock:
            rows, left_out, unfolded = list(self._rows.values()), 0, set()
            if not self._closed:
                height = self._console.height - _AROUND
                rows, left_out = _fitting(rows, height)
                unfolded = _unfolded(rows, height - len(rows))
            table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
            for title in ("", "SANDBOX", "HOST", "ACTION", "STEP"):
                table.add_column(title, overflow="fold", no_wrap=title == "")
            table.add_column("TIME", justify="right", no_wrap=True)
            for row in rows:
                table.add_row(*self._cells(row, folded=id(row) not in unfolded))
                for event, since in row.services.values() if id(row) in unfolded else ():
                    table.add_row(*self._service_cells(event, since))
                for operation in _acted(row.outcome) if self._closed and row.outcome else ():
                    name, words = (
                        Text(f"  {safe(operation.service)}", style="dim"),
                        Text(safe(operation.words), style="dim"),
                    )
                    table.add_row("", name, "", Text(operation.action, style="dim"), words)
            if left_out:
                table.add_row("", Text(f"and {left_out} more", style="dim"))
            return table

    def _service_cells(self, event: ServiceProgressed, since: float) -> tuple[Text | str, ...]:
        state = Text(event.state, style=_STATE_STYLES.get(event.state, "cyan"))
        took = Text(seconds_text(self._console.get_time() - since), style="dim")
        return "", Text(f"  {safe(event.service)}"), "", state, _one_line(event.detail), took

    def _cells(self, row: _Row, *, folded: bool) -> tuple[Text | Spinner, ...]:
        change, outcome = row.change, row.outcome
        ascii_only = self._console.options.ascii_only
        name, host = Text(safe(change.sandbox), style="bold"), Text(safe(change.host or ""))
        action = Text(change.action, style=STYLES[change.action])
        if outcome is not None:
            style = "green" if outcome.ok else "bold red"
            mark = ("ok" if outcome.ok else "x") if ascii_only else ("✓" if outcome.ok else "✗")
            word, took = Text(outcome.word, style=style), Text(seconds_text(outcome.seconds), style="dim")
            return Text(mark, style=style), name, host, action, word, took
        took = Text(seconds_text(self._console.get_time() - row.began), style="dim")
        if row.interrupted:
            return Text("-", style="yellow"), name, host, action, Text("interrupted", style="yellow"), took
        ready = sum(event.state in _READY for event, _ in row.services.values())
        counted = f": {ready} of {len(row.services)} services ready" if folded and row.services else ""
        return self._spinner, name, host, action, Text(safe(row.step) + counted), took


def _one_line(detail: str) -> Text:
    return Text(safe(detail), style="dim", no_wrap=True, overflow="ellipsis")


def _key(change: Change) -> tuple[str, str | None]:
    return change.id, change.host


def _unfolded(rows: list[_Row], lines: int) -> set[int]:
    """Return the rows, by identity, below which the services fit into so many lines: those of the first changes."""
    unfolded = set()
    for row in rows:
        if row.outcome is None and row.services and len(row.services) <= lines:
            lines -= len(row.services)
            unfolded.add(id(row))
    return unfolded


def _fitting(rows: list[_Row], height: int) -> tuple[list[_Row], int]:
    """Return as many rows as fit, running ones before ended ones, and how many are left out."""
    if len(rows) <= height:
        return rows, 0
    working = [row for row in rows if row.outcome is None]
    ended = [row for row in reversed(rows) if row.outcome is not None]
    kept = {id(row) for row in (*working, *ended)[: max(height, 1)]}
    return [row for row in rows if id(row) in kept], len(rows) - len(kept)


class PlainView:
    """A sink of events for logs: one line as a change begins, one where it waits, and one as it ends.

    Each service has a line for each state that it reaches, once: a service that is restarted again and again is one.

    ``stream`` takes text. Use as a context manager. Safe to call from several threads, also after it was left.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._closed = False
        self._reached: set[tuple[str, str | None, str, str]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._closed = True

    def __call__(self, event: RunEvent) -> None:
        """Write that a change begins, which client it waits for, and its outcome with the whole error and hint.

        Other steps are for live views, and not for a log.
        """
        match event:
            case ChangeStarted(change):
                self._write(f"{_subject(change)}: {DOING_WORDS.get(change.action, change.action)}")
            case ChangeProgressed(change, step) if step.startswith(WAITING):
                self._write(f"{_subject(change)}: {safe(step)}")
            case ServiceProgressed(change, service, state, detail) if state in _LOGGED:
                reached = (*_key(change), service, state)
                if reached not in self._reached:
                    self._reached.add(reached)
                    more = f" ({safe(detail)})" if detail and state == "failed" else ""
                    self._write(f"{_subject(change)}: {safe(service)} {state}{more}")
            case ChangeEnded(outcome, begun=True):
                head = f"{_subject(outcome.change)}: {outcome.word} ({seconds_text(outcome.seconds)})"
                services = [f"    {safe(one.service)}: {one.action}, {safe(one.words)}" for one in _acted(outcome)]
                self._write("\n".join([head, *services, *_reasons(outcome)]))

    def _write(self, text: str) -> None:
        with self._lock:
            if self._closed:
                return
            # The reader of the log is gone; the apply continues.
            with suppress(OSError):
                self._stream.write(text + "\n")
                self._stream.flush()


def _subject(change: Change, *alike: Change) -> str:
    """Return the name of a sandbox and its host; with the names of others there that are ``alike``."""
    names = ", ".join(safe(one.sandbox) for one in (change, *alike))
    return names + (f" on {safe(change.host)}" if change.host else "")


def _acted(outcome: Outcome) -> list[ServiceOperation]:
    """Return what was done with each service; what was kept is not worth a line."""
    return [operation for operation in outcome.services if operation.action != "keep"]


def _reasons(outcome: Outcome) -> list[str]:
    """Return why it failed or is blocked, and what to do, indented below its line."""
    if outcome.ok:
        return []
    lines = [f"    {line}".rstrip() for line in safe_lines(outcome.error or outcome.change.message)]
    first, *more = safe_lines(outcome.hint or remedy(outcome.change)) or [""]
    return lines + ([f"    hint: {first}", *(f"          {line}" for line in more)] if first else [])


def apply_summary(
    outcomes: Sequence[Outcome], seconds: float, hosts: Sequence[HostSummary] = (), left: int = 0
) -> Lines:
    """Return the summary of an apply that took ``seconds``: every failure in full, then a line of counts.

    ``hosts`` are those of the plan, which were shown with their errors. What several sandboxes of one host have in
    common is shown once. ``left`` changes did not begin before an interrupt.
    """
    out = Lines()
    groups: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome in without_host_errors(outcomes, hosts):
        if not outcome.ok:
            key = (outcome.change.host or "", outcome.word, *_reasons(outcome))
            groups.setdefault(key, []).append(outcome)
    for (_, word, *reasons), alike in groups.items():
        out.blank()
        out.add((_subject(*(outcome.change for outcome in alike)), "bold"), ": ", (word, "bold red"))
        for line in reasons:
            stripped = line.lstrip()
            out.add(stripped, indent=len(line) - len(stripped))
    out.blank()
    words = Counter(outcome.word for outcome in outcomes)
    done = [word for action, word in DONE_WORDS.items() if action is not Action.BLOCKED]
    well = list_of((word, words[word]) for word in (REQUESTED, *done))
    badly = list_of([*((word, words[word]) for word in ("failed", "blocked")), ("not begun", left)])
    summary = "; ".join(part for part in (well, badly) if part) or "nothing to do"
    out.add((f"Applied: {summary}. It took {seconds_text(seconds)}.", "bold red" if badly else "bold green"))
    return out
