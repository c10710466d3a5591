"""The library as the commands use it: progress is shown, and Ctrl-C reports what it leaves behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from sandboxer.cli.console import stderr
from sandboxer.cli.main import EXIT_ERROR
from sandboxer.cli.session import session
from sandboxer.model.lifecycle import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta
    from types import FrameType

    from sandboxer.cli.session import Following
    from sandboxer.client import Client
    from sandboxer.model.outcome import ApplyView, Outcome
    from sandboxer.model.plan import Change

_SHOW_CURSOR = b"\x1b[?25h\n"


@contextmanager
def calling(lock_timeout: timedelta | None = None, *, warn: Callable[[str], None] | None = None) -> Iterator[Client]:
    """Yield a client that shows progress on standard error, and its warnings there unless ``warn`` is given.

    Without ``lock_timeout`` it does not wait for other clients, which suits commands that only read. On Ctrl-C it
    prints how to show and remove the changes that have begun, and lets them end; a second Ctrl-C ends the program at
    once.
    """
    from sandboxer.client import Client

    patience = lock_timeout.total_seconds() if lock_timeout else 0.0
    with ExitStack() as stack:
        view = ProgressView(stack)
        with _interruptible(view):
            here = session()
            yield Client(
                lock_timeout=patience, view=view, warn=warn or warned, on_event=here.receive, run_id=here.run_id
            )


def warned(words: str) -> None:
    """Report a failure that does not fail the command, to a person or the log."""
    session().said("warning", f"{words}.")


class ProgressView:
    """View of an apply that begins with the first change: before it the hosts are observed.

    ``begun`` holds the changes that have begun, except completed deletes.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._view: Following | None = None
        self._open: dict[tuple[str, str | None], Change] = {}
        self._lock = threading.Lock()

    @property
    def begun(self) -> list[Change]:
        """The changes that an interrupt leaves behind."""
        with self._lock:
            return list(self._open.values())

    def started(self, change: Change) -> None:
        """Show that a change begins."""
        with self._lock:
            self._open[change.id, change.host] = change
            self._view = self._view or session().following(*self._screen())
        self._view.started(change)

    def progressed(self, change: Change, step: str) -> None:
        """Show that a change has reached a step; one without a change, such as a wait for a lock, becomes a line."""
        if self._view is not None:
            self._view.progressed(change, step)
            return
        session().following().progressed(change, step)
        if not session().logs:
            stderr().print(f"{change.sandbox} on {change.host}: {step}", markup=False)

    def ended(self, outcome: Outcome) -> None:
        """Show that a change has ended."""
        with self._lock:
            if outcome.ok and outcome.change.action is Action.DELETE:
                self._open.pop((outcome.change.id, outcome.change.host), None)
        if self._view is not None:
            self._view.ended(outcome)

    def _screen(self) -> Iterator[ApplyView]:
        if session().logs:
            return
        from sandboxer.render.live import LiveView, PlainView

        console = stderr()
        view: LiveView | PlainView = LiveView(console) if console.is_terminal else PlainView(sys.stderr)
        self._stack.enter_context(view)
        yield view


@contextmanager
def _interruptible(view: ProgressView) -> Iterator[None]:
    """Let the first Ctrl-C also print what it leaves; a second one waits for nothing: no host, no State Hub."""
    present = session()  # another thread would not find it

    def tell() -> None:
        for change in view.begun:
            present.said("warning", _left_of(change))

    def second(_number: int, _frame: FrameType | None) -> None:
        if os.isatty(2):
            os.write(2, _SHOW_CURSOR)
        os._exit(EXIT_ERROR)

    def first(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, second)
        threading.Thread(target=tell).start()  # a signal may arrive in the middle of a line
        raise KeyboardInterrupt

    # If the program was started with Ctrl-C ignored, that is intended.
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is first:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _left_of(change: Change) -> str:
    how = "may be half removed" if change.action is Action.DELETE else "may not be ready yet"
    return (
        f"{change.sandbox} on {change.host} {how}: `sandboxer get {change.id}` shows it, "
        f"`sandboxer destroy {change.id}` removes it. What was begun ends by itself; Ctrl-C again ends at once."
    )
