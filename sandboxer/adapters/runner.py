"""The machine and the user that Sandboxer runs as."""

from __future__ import annotations

import getpass
import socket
from contextlib import suppress


def who() -> str:
    """Return ``user@machine``; the user is ``unknown`` if this machine cannot name it."""
    user = "unknown"
    with suppress(OSError, KeyError):
        user = getpass.getuser()
    return f"{user}@{socket.gethostname()}"
