"""The grammar of a compose model's values: the forms that each may have, the same for both engines.

podman-compose puts values on a command line and joins them with ``,``, ``:`` and ``=`` (see rules), and Compose splits
some of them again. So each value is a word of a known form, a number, a duration or a size, or free text if its reader
takes all of it as text. Every check refuses a value that does not fit, says what does, and returns what is kept.
"""

from __future__ import annotations

import math
import re
import shlex
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.limits import ITEMS, WORDS, WORDS_BYTES
from sandboxer.model.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.extensions.compose_ssh.limits import Limit
    from sandboxer.extensions.compose_ssh.scope import Scope

    Check = Callable[[Any, Scope], Any]

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}", re.ASCII)
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ns|us|µs|ms|s|m|h))+", re.ASCII)
_PART = re.compile(r"([\d.]+)(\D+)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,9})?)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE | re.ASCII)


def shown(value: Any) -> str:
    """Return a value for a message: short, and without anything that a terminal would act on."""
    return printable(repr(value), 80)


def too_many(limit: Limit, count: int, scope: Scope) -> bool:
    """Return whether there is more than a limit allows, and add a finding if so."""
    if count > limit.most:
        scope.refuse(f"{limit.what}: there are {count}, and at most {limit.most} are allowed")
    return count > limit.most


def too_large(limit: Limit, size: int, scope: Scope) -> bool:
    """Return whether a text has more bytes or characters than a limit allows, and add a finding if so."""
    if size > limit.most:
        scope.refuse(f"{limit.what}: {size} is too long, and at most {limit.shown} are allowed")
    return size > limit.most


def word(pattern: str, what: str, longest: int = 255) -> Check:
    """Return a check of a text, or a number, that a pattern matches as a whole; ``what`` says what is allowed."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: Any, scope: Scope) -> str | None:
        text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if len(text) <= longest and compiled.fullmatch(text):
            return text
        scope.refuse(f"{shown(value)} is not {what}")
        return None

    return check


def flag(value: Any, scope: Scope) -> bool | None:
    """Return a boolean; refuse a text that only one of the engines would take for one."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    scope.refuse(f"{shown(value)} is neither true nor false")
    return None


def whole(value: Any) -> int | None:
    """Return the whole number that a value is or spells; None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value.is_integer() and abs(value) < 2**62 else None
    text = str(value) if isinstance(value, str) or abs(value) < 2**62 else ""
    return int(text) if re.fullmatch(r"-?\d{1,18}", text, re.ASCII) else None


def number(low: int, high: int, *, lowered: bool = False) -> Check:
    """Return a check of a whole number from ``low`` to ``high``; a larger one is refused, or lowered to ``high``."""

    def check(value: Any, scope: Scope) -> int | None:
        given = whole(value)
        if given is None or given < low or (given > high and not lowered):
            scope.refuse(f"{shown(value)} is not a whole number from {low} to {high}")
            return None
        return min(given, high)

    return check


def seconds(value: Any) -> float | None:
    """Return the seconds of a duration such as 1m30s; None if it is not one."""
    if not isinstance(value, str) or len(value) > 40 or not _DURATION.fullmatch(value):
        return None
    return sum(float(amount) * _SECONDS[unit] for amount, unit in _PART.findall(value))


def duration(least: int, most: int) -> Check:
    """Return a check of a duration, which is limited to between ``least`` and ``most`` seconds."""

    def check(value: Any, scope: Scope) -> str | None:
        time = seconds(value)
        if time is None:
            scope.refuse(f"{shown(value)} is not a duration such as 1m30s")
            return None
        return str(value) if least <= time <= most else f"{min(max(int(time), least), most)}s"

    return check


def size(value: Any) -> int | None:
    """Return the bytes of a size such as 64m or 1GiB, in units of 1024; None if it is not one."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value) if math.isfinite(value) and 0 <= value < 2**62 else None
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    total = float(match[1]) * 1024 ** " kmgtp".index(match[2].lower() or " ")
    return int(total) if total < 2**62 else None


def capped_size(most: int) -> Check:
    """Return a check of a size, which is lowered to ``most`` bytes if it is larger."""

    def check(value: Any, scope: Scope) -> str | None:
        given = size(value)
        if given is None or given == 0:
            scope.refuse(f"{shown(value)} is not a size such as 64m")
            return None
        return str(value) if given <= most else str(most)

    return check


def is_text(value: Any) -> bool:
    """Return whether a value is text that can be an argument of a program, or a variable of its environment."""
    if not isinstance(value, str) or "\x00" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def listed(check: Check, limit: Limit = ITEMS) -> Check:
    """Return a check of a list that checks each item by itself."""

    def check_all(value: Any, scope: Scope) -> list[Any]:
        if isinstance(value, list) and too_many(limit, len(value), scope):
            return []
        checked = [check(item, here) for here, item in scope.items(value)]
        return [item for item in checked if item is not None]

    return check_all


def _can_be_split(text: str) -> bool:
    """Return whether podman-compose and Compose can split a command into words, which both do as a shell would."""
    try:
        shlex.split(text)
    except ValueError:
        return False
    return True


def free_words(value: Any, scope: Scope) -> Any:
    """Return a command or entrypoint: one text or a list of them.

    Their form is free, because only the container reads them.
    """
    items = value if isinstance(value, list) else [value]
    if too_many(WORDS, len(items), scope):
        return None
    texts = [str(item) if isinstance(item, int | float) and not isinstance(item, bool) else item for item in items]
    if not all(is_text(text) for text in texts):
        scope.refuse("must be text, or a list of texts, without a NUL character")
        return None
    if too_large(WORDS_BYTES, sum(len(text.encode()) + 1 for text in texts), scope):
        return None
    if not isinstance(value, list) and not _can_be_split(texts[0]):
        scope.refuse("has a quote that is not closed, or ends in a backslash")
        return None
    return texts if isinstance(value, list) else texts[0]
