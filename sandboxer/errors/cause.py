"""Why an operation failed, as far as its backend knows: what a record, a handle and an event say about it later."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """The cause of an error.

    ``code`` is a short stable word, such as ``build-failed``. ``message`` is the cause in one line; without one, the
    error's own message is. ``service`` is the one at fault. ``text`` is all that is known, such as the whole output of
    a build; without it, the error's message is all.
    """

    code: str
    message: str = ""
    service: str | None = None
    text: str = ""
