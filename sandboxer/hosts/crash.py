"""Crash points: places where a run can be made to die as by ``kill -9``, to test what follows.

Inert unless ``SANDBOXER_CRASH_AT`` is set. ``<point>`` or ``<point>#<n>`` kills this process when it passes that point
the n-th time (the first without a number). ``@FILE`` kills nothing, and appends each point passed to that file.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from pathlib import Path

VARIABLE = "SANDBOXER_CRASH_AT"

_passed: Counter[str] = Counter()
_counting = threading.Lock()


def crash_point(name: str) -> None:
    """Pass a point: ``<step>.before`` a request, ``<step>.sent`` once it is sent, ``<step>.after`` its reply."""
    selected = os.environ.get(VARIABLE)
    if not selected:
        return
    with _counting:
        _passed[name] += 1
        point = f"{name}#{_passed[name]}"
        if selected.startswith("@"):
            with Path(selected[1:]).open("a", encoding="utf-8") as notes:
                notes.write(f"{point}\n")
        elif point in (selected, f"{selected}#1"):
            os.kill(os.getpid(), signal.SIGKILL)
