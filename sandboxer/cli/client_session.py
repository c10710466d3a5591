"""The library as the commands use it: progress is shown, and Ctrl-C reports what it leaves behind."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandboxer.cli.exit_codes import EXIT_ERROR
from sandboxer.cli.fleet_folder import fleet_folder
from sandboxer.cli.session import session
from sandboxer.model.lifecycle import Action
from sandboxer.model.text import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta
    from types import FrameType

    from sandboxer.cli.session import Session
    from sandboxer.client import Client
    from sandboxer.model.plan import Change

_SHOW_CURSOR = b"\x1b[?25h\n"


@contextmanager
def client_session(
    lock_timeout: timedelta | None = None, *, warn: Callable[[str], None] | None = None
) -> Iterator[Client]:
    """Yield a client that shows progress on standard error, and its warnings there unless ``warn`` is given.

    Without ``lock_timeout`` it does not wait for other clients, which suits commands that only read. On Ctrl-C it
    prints how to show and remove the changes that have begun, and lets them end; a second Ctrl-C ends the program at
    once.
    """
    from sandboxer.client import Client

    patience, here = lock_timeout.total_seconds() if lock_timeout else 0.0, session()
    try:
        with _interruptible(here):
            root = fleet_folder()
            yield Client(root, lock_timeout=patience, warn=warn or warned, on_event=here.receive, run_id=here.run_id)
    finally:
        here.screen().close()


def warned(words: str) -> None:
    """Report a failure that does not fail the command, to a person or the log."""
    session().notify("warning", f"{words}.")


@contextmanager
def _interruptible(present: Session) -> Iterator[None]:
    """Let the first Ctrl-C also print what it leaves; a second one waits for nothing: no host, no State Hub."""

    def report() -> None:
        for change in present.screen().begun():
            present.notify("warning", _left_of(change))

    def second(_number: int, _frame: FrameType | None) -> None:
        if os.isatty(2):
            os.write(2, _SHOW_CURSOR)
        os._exit(EXIT_ERROR)

    def first(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, second)
        threading.Thread(target=report).start()  # a signal may arrive in the middle of a line
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
    state = "may be partly removed" if change.action is Action.DELETE else "may not be ready yet"
    return (
        f"{named('sandbox', change.sandbox)} on {named('host', change.host or '')} {state}: "
        f"check with `sandboxer get {change.sandbox}`, "
        f"remove with `sandboxer destroy {change.sandbox}`. "
        "Waiting for running steps; press Ctrl-C again to stop at once."
    )
