"""Ctrl-C in a command that changes sandboxes: it finishes what has begun, and a second one stops at once.

SIGTERM counts as Ctrl-C: a service manager or CI system that ends the program wants no half-done work either.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandboxer.cli.exit_codes import EXIT_INTERRUPTED
from sandboxer.cli.session import session
from sandboxer.cli.signals import finishing
from sandboxer.model.lifecycle import Action
from sandboxer.model.outcome import WAITING
from sandboxer.model.text import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandboxer.cli.session import Session
    from sandboxer.model.plan import Change

_SHOW_CURSOR = b"\x1b[?25h\n"
_REPORT_SECONDS = 2.0


@contextmanager
def finishing_changes(stopping: threading.Event | None = None, *, always: bool = False) -> Iterator[None]:
    """Let the first Ctrl-C finish the changes in progress, and the second end the program.

    The first sets ``stopping``, so that no other change begins, and the program ends with exit code 130 then. Before
    any change has begun it ends the program at once, except with ``always``, for a change that emits no events.
    """
    here = session()

    def first() -> None:
        here.interrupt()
        if stopping is not None:
            stopping.set()
        _in_thread(lambda: here.notify("info", finishing_words(max(len(here.screen().running()), int(always)))))

    def second() -> None:
        # A signal may arrive while this thread writes: another one writes, and is not waited for if it cannot.
        _in_thread(lambda: _report(here)).join(_REPORT_SECONDS)
        if os.isatty(2):
            os.write(2, _SHOW_CURSOR)
        os._exit(EXIT_INTERRUPTED)

    with finishing(lambda: always or here.screen().has_begun(), first, second):
        yield


def finishing_words(count: int) -> str:
    """Return what the first Ctrl-C prints: how many changes are being finished, and how to stop at once."""
    what = f" {count} change{'' if count == 1 else 's'}" if count else ""
    return f"Interrupted: finishing{what}; Ctrl-C again stops now."


def _in_thread(report: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    return thread


def _report(here: Session) -> None:
    running = here.screen().running()
    here.screen().close()
    for change, step in running:
        here.notify("warning", left_behind(change, step))
    if not running:
        here.notify("warning", "Stopped; no change was in progress.")


def left_behind(change: Change, step: str) -> str:
    """Return what a change that was stopped at a step leaves on its host, and what finishes or removes it."""
    what = f"{named('sandbox', change.sandbox)} on {named('host', change.host or '')}"
    if step.startswith(WAITING):
        return f"{what} was not changed: it was {step}."
    by_hand = change.origin == "api"
    if change.action is Action.DELETE:
        again = f"`sandboxer destroy {change.sandbox}`" if by_hand else "the next apply"
        return f"{what} may be partly removed, and its record says so until the end: {again} finishes that."
    verb = "recreate" if change.action is Action.REPLACE else "resume"
    again = f"`sandboxer {verb} {change.sandbox}`" if by_hand else "the next apply"
    at = f" at the step `{step}`" if step else ""
    return (
        f"{what} was stopped{at}, and is on record as not ready: {again} finishes that; "
        f"check with `sandboxer get {change.sandbox}`, remove with `sandboxer destroy {change.sandbox}`."
    )
