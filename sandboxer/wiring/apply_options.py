"""How an apply is carried out; the command line and the library choose it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """The options of an apply: hosts at once, seconds to wait for another client's lock, and how far to go.

    Once ``stopping`` is set, no further change begins, and those in progress are finished.
    """

    parallelism: int = 16
    lock_timeout: float = 60.0
    only_requested: bool = False
    stopping: threading.Event = field(default_factory=threading.Event)
