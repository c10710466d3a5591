"""The lab's error, and its way to wait."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class LabError(Exception):
    """The lab cannot do what was requested; the message says why and what helps."""


def wait_until(ready: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Call ``ready`` until it returns true; raise LabError, with ``what`` in its message, after ``seconds``."""
    deadline = time.monotonic() + seconds
    pause = 0.005
    while not ready():
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds:g} seconds")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
