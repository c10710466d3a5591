"""The changes of an apply on standard error, and those that are in progress."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

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
        self._begun = False
        self._running: dict[tuple[str, str | None], tuple[Change, str]] = {}
        self._lock = threading.Lock()

    def has_begun(self) -> bool:
        """Return whether any change has begun, even if it has ended."""
        return self._begun

    def running(self) -> list[tuple[Change, str]]:
        """Return the changes that have begun and not ended, each with its latest step."""
        return list(self._running.copy().values())

    def __call__(self, event: RunEvent) -> None:
        """Show a change's start, step or end; a step without a change, such as a wait for a lock, becomes a line."""
        match event:
            case ChangeStarted(change):
                with self._lock:
                    self._begun, self._running[_key(change)] = True, (change, "")
                    self._open()
            case ChangeEnded(outcome):
                with self._lock:
                    self._running.pop(_key(outcome.change), None)
            case ChangeProgressed(change, step):
                with self._lock:
                    if _key(change) in self._running:
                        self._running[_key(change)] = change, step
                if self._view is None and self._draws():
                    from sandboxer.cli.console import stderr

                    stderr().print(f"{change.sandbox} on {change.host}: {step}", markup=False)
        view = self._view
        if view is not None:
            view(event)

    def __enter__(self) -> Self:
        with self._lock:
            self._open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave what is shown as it is; another change that begins is shown below it."""
        with self._lock:
            view, self._view = self._view, None
        if view is not None:
            view.__exit__()

    def _open(self) -> None:
        if self._view is not None or not self._draws():
            return
        from sandboxer.cli.console import stderr
        from sandboxer.render.live import LiveView, PlainView

        console = stderr()
        self._view = LiveView(console) if console.is_terminal else PlainView(sys.stderr)
        self._view.__enter__()


def _key(change: Change) -> tuple[str, str | None]:
    return change.id, change.from_host or change.host
