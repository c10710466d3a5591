"""Times in records, events and handles: UTC, and far enough from the calendar's ends that a TTL can be added."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator

_FIRST_YEAR, _LAST_YEAR = 1970, 9000


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None or value.utcoffset() != timedelta(0):
        raise ValueError("a timestamp must be in UTC")
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise ValueError("timestamp out of range (1970 to 9000)")
    return value


Utc = Annotated[datetime, AfterValidator(_utc)]
