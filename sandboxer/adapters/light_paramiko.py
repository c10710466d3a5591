"""Paramiko, imported without invoke.

Paramiko uses invoke, where it is installed, for one thing that must never happen here: to run the commands of ``Match
exec`` in an ssh_config. Without it the import takes half the time, and no ssh_config can have a command run.
"""

from __future__ import annotations

import sys

_MISSING = object()
_there = sys.modules.get("invoke", _MISSING)
sys.modules["invoke"] = None  # type: ignore[assignment]  # Python reads None as: there is no such module
try:
    import paramiko
finally:
    if _there is _MISSING:
        del sys.modules["invoke"]
    else:
        sys.modules["invoke"] = _there  # type: ignore[assignment]

__all__ = ["paramiko"]
