"""The changes of an apply on standard error, and those that an interrupt leaves behind."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from sandboxer.model.lifecycle import Action
from sandboxer.model.run_events import ChangeEnded, ChangeProgressed, ChangeStarted

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from sandboxer.model.plan import Change
    from sandboxer.model.run_events import RunEvent
    from sandboxer.render.live import LiveView, PlainView


class ChangeScreen:
    """A sink of events that shows changes from the first one that begins, or, as a context manager, from its start.

    It shows nothing unless ``draws`` returns True when it begins. Safe to call from several threads.
    """

    def __init__(self, draws: Callable[[], bool]) -> None:
        self._draws = draws
        self._view: LiveView | PlainView | None = None
        self._begun: dict[tuple[str, str | None], Change] = {}
        self._lock = threading.Lock()

    def begun(self) -> list[Change]:
        """Return the changes that have begun, except completed deletes: an interrupt leaves them behind."""
        with self._lock:
            return list(self._begun.values())

    def __call__(self, event: RunEvent) -> None:
        """Show a change's start, step or end; a step without a change, such as a wait for a lock, becomes a line."""
        match event:
            case ChangeStarted(change):
                with self._lock:
                    self._begun[change.id, change.host] = change
                    self._open()
            case ChangeEnded(outcome) if outcome.ok and outcome.change.action is Action.DELETE:
                with self._lock:
                    self._begun.pop((outcome.change.id, outcome.change.host), None)
            case ChangeProgressed(change, step) if self._view is None and self._draws():
                from sandboxer.cli.console import stderr

                stderr().print(f"{change.sandbox} on {change.host}: {step}", markup=False)
        if self._view is not None:
            self._view(event)

    def __enter__(self) -> Self:
        with self._lock:
            self._open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave what is shown as it is, and show nothing more."""
        if self._view is not None:
            self._view.__exit__()

    def _open(self) -> None:
        if self._view is not None or not self._draws():
            return
        from sandboxer.cli.console import stderr
        from sandboxer.render.live import LiveView, PlainView

        console = stderr()
        self._view = LiveView(console) if console.is_terminal else PlainView(sys.stderr)
        self._view.__enter__()
