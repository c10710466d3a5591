"""What is kept of an error, for every backend: its cause in one line for the record, and its whole text beside it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandboxer.errors import SandboxError
from sandboxer.errors.cause import Cause
from sandboxer.hosts.last_error import heading
from sandboxer.model.failure import MOST_HINT, MOST_MESSAGE, MOST_SERVICE, MOST_STEP, MOST_TEXT, Failure
from sandboxer.model.text import printable

if TYPE_CHECKING:
    from datetime import datetime

    from sandboxer.errors import SandboxerError

#: strerror of ENOSPC and EDQUOT, as every engine, builder and program prints them.
DISK_FULL = ("no space left on device", "disk quota exceeded")
_DISK_FULL = re.compile("|".join(DISK_FULL), re.IGNORECASE)
#: As `session.sh` replies of a verb that it had to end.
_OVER = re.compile(r"did not end within \d+ s, and was ended")
_HINTS = {"disk-full": "free disk space on the host, then apply again"}
_CUT = "\n[...]\n"


def cause_of(error: SandboxerError) -> Cause:
    """Return the cause of an error: its own, else what its words stand for."""
    if isinstance(error, SandboxError) and error.cause is not None:
        return error.cause
    if _DISK_FULL.search(error.message):
        return Cause("disk-full")
    return Cause("timeout" if _OVER.search(error.message) else "failed")


def hint_of(code: str) -> str:
    """Return what to do about a failure with this code, where its error does not say; empty if nothing specific."""
    return _HINTS.get(code, "")


def failure_of(cause: Cause, hint: str, *, at: datetime, step: str) -> Failure:
    """Return what a record keeps of an error; what is too long for it is cut."""
    return Failure(
        code=cause.code,
        message=_line(cause.message, MOST_MESSAGE),
        hint=_line(hint, MOST_HINT),
        at=at,
        step=_line(step, MOST_STEP),
        service=_line(cause.service, MOST_SERVICE) if cause.service else None,
    )


def text_of(text: str, failure: Failure) -> bytes:
    """Return the content of ``last-error.txt``: a line that binds it to the record, and the whole text, bounded.

    Of a text that is too long the middle is left out.
    """
    data = f"{text}\n".encode("utf-8", "replace")
    if len(data) > MOST_TEXT:
        half = (MOST_TEXT - len(_CUT)) // 2
        data = data[:half] + _CUT.encode() + data[-half:]
    return f"{heading(failure)}\n\n".encode() + data


def _line(text: str, limit: int) -> str:
    return printable(" ".join(text.split()), limit)
