"""Durations (``90s``, ``15m``, ``8h``, ``2d``) and sizes (``512MiB``, ``1GiB``): text in YAML, numbers in models."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from sandboxer.model.base import problem
from sandboxer.model.text import printable

DURATION_PATTERN = r"^[1-9][0-9]{0,8}[smhd]$"
SIZE_PATTERN = r"^[1-9][0-9]{0,15}(B|KiB|MiB|GiB|TiB)$"

LONGEST = timedelta(days=3650)
LARGEST = 1 << 50

_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_BYTES = {"TiB": 1 << 40, "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "B": 1}
_SIZE = re.compile(r"([1-9][0-9]{0,15})(B|KiB|MiB|GiB|TiB)")
_FOREIGN_SIZE = re.compile(r"([1-9][0-9]{0,15}) ?([kmgt])i?b?", re.IGNORECASE)


def parse_duration(text: str) -> timedelta:
    """Return the time that ``text`` names: a whole number of s, m, h or d. Raise ValueError with the reason."""
    if not re.fullmatch(DURATION_PATTERN, text) or "\n" in text:
        raise ValueError("a duration must be a whole number with a unit: 90s, 15m, 8h or 2d")
    seconds = int(text[:-1]) * _SECONDS[text[-1]]
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"a duration must be at most {format_duration(LONGEST)}")
    return timedelta(seconds=seconds)


def format_duration(value: timedelta) -> str:
    """Return the canonical text of a duration: its whole seconds in the largest unit that divides them.

    26 hours are ``26h``.
    """
    seconds = int(value.total_seconds())
    if seconds == 0:
        return "0s"
    unit = next(unit for unit, size in _SECONDS.items() if seconds % size == 0)
    return f"{seconds // _SECONDS[unit]}{unit}"


def parse_size(text: str) -> int:
    """Return the bytes that ``text`` names: a whole number of B, KiB, MiB, GiB or TiB.

    Raise ValueError with the reason otherwise.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        foreign = _FOREIGN_SIZE.fullmatch(text)
        instead = f"; write {foreign[1]}{foreign[2].upper()}iB" if foreign else ""
        raise ValueError(f"a size must be a whole number with a unit: 512MiB, 1GiB{instead}")
    count = int(match[1]) * _BYTES[match[2]]
    if count > LARGEST:
        raise ValueError(f"a size must be at most {format_size(LARGEST)}")
    return count


def format_size(count: int) -> str:
    """Return the canonical text of a number of bytes: the largest unit that divides it; 1536 MiB is ``1536MiB``."""
    if count == 0:
        return "0B"
    unit = next(unit for unit, size in _BYTES.items() if count % size == 0)
    return f"{count // _BYTES[unit]}{unit}"


def _validate_duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise problem("wrong-type", "must be a duration", "write a whole number with a unit: 90s, 15m, 8h or 2d")
    try:
        return parse_duration(value)
    except ValueError as error:
        raise problem("bad-value", f"is not a duration: `{printable(value)}`", str(error)) from None


def _validate_size(value: object) -> int:
    if not isinstance(value, str):
        raise problem("wrong-type", "must be a size", "write a whole number with a unit: 512MiB, 1GiB")
    try:
        return parse_size(value)
    except ValueError as error:
        raise problem("bad-value", f"is not a size: `{printable(value)}`", str(error)) from None


Duration = Annotated[
    timedelta,
    PlainValidator(_validate_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["90s", "15m", "8h", "2d"]}),
]

#: Whole bytes.
Size = Annotated[
    int,
    PlainValidator(_validate_size),
    PlainSerializer(format_size, return_type=str),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["512MiB", "1GiB"]}),
]
