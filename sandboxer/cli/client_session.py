"""The library as the commands use it: progress is shown, and Ctrl-C finishes what has begun."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandboxer.cli.fleet_folder import fleet_folder
from sandboxer.cli.interruption import finishing_changes
from sandboxer.cli.session import session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta

    from sandboxer.client import Client


@contextmanager
def client_session(
    lock_timeout: timedelta | None = None, *, warn: Callable[[str], None] | None = None, changes_record: bool = False
) -> Iterator[Client]:
    """Yield a client that shows progress on standard error, and its warnings there unless ``warn`` is given.

    Without ``lock_timeout`` it does not wait for other clients, which suits commands that only read. On Ctrl-C changes
    that have begun are finished, or with ``changes_record`` the whole call; a second Ctrl-C ends the program at once.
    """
    from sandboxer.client import Client

    patience, here = lock_timeout.total_seconds() if lock_timeout else 0.0, session()
    try:
        with finishing_changes(always=changes_record):
            root = fleet_folder()
            yield Client(root, lock_timeout=patience, warn=warn or warned, on_event=here.receive, run_id=here.run_id)
    finally:
        here.screen().close()


def warned(words: str) -> None:
    """Report a failure that does not fail the command, to a person or the log."""
    session().notify("warning", f"{words}.")
