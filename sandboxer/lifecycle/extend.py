"""Putting off a sandbox's end: the record alone is written anew, under the sandbox's lock."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from sandboxer.errors import LookIncomplete, StaleChange, UsageError
from sandboxer.extensions.workbench import Workbench
from sandboxer.model.lifecycle import Phase
from sandboxer.model.record import RecordRefused, parse_record
from sandboxer.reconcile.expiry import extended

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from sandboxer.extensions.base import Work
    from sandboxer.model.record import Record


def extend(work: Work, by: timedelta, host_clock: datetime, now: datetime) -> Record:
    """Moves the end of the sandbox that ``work`` is about ``by`` so much; gives its record as written.

    Raises UsageError where the profile does not allow it, StaleChange where another life of the sandbox has begun, and
    what a Workbench raises.
    """
    with Workbench(work) as bench:
        data = bench.call("record").output.rstrip(b"\n") + b"\n"
        if not data.strip():
            raise StaleChange(work.name, f"{work.name} is gone from {work.place.host} meanwhile")
        try:
            record = parse_record(data, fleet=work.fleet, identifier=work.id)
        except RecordRefused as refused:
            message = f"the record of {work.name} on {work.place.host} cannot be read: {refused}"
            raise LookIncomplete(work.place.host, message) from refused
        if record.uid != work.expected_uid:
            raise StaleChange(
                work.name, f"{work.name} was made anew meanwhile", hint="see `sandboxer get`, and try again"
            )
        if record.phase is Phase.DESTROYING:
            raise UsageError(f"{work.name} is being removed", hint="`sandboxer apply` ends that")
        end = extended(record, by, host_clock, now)
        record = record.model_copy(update={"expires_at": end, "generation": record.generation + 1})
        former = hashlib.sha256(data).hexdigest()
        bench.must("its record cannot be written", "rewrite", former, payload=record.to_bytes())
        return record
