"""The name of this client as the holder of a lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandboxer.model.desired import Fleet


def holder_of(fleet: Fleet) -> str:
    """Return the lock holder's name, for other clients that wait: who works on which commit."""
    from sandboxer.adapters.runner import who
    from sandboxer.model.lock import holder_line

    return holder_line(who(), fleet.commit)
