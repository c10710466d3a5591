"""The directory of one sandbox on its host: observed, recorded, delivered and removed under the sandbox's lock."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from sandboxer.errors import ObservationIncomplete, SandboxerError, StaleChange
from sandboxer.extensions import records
from sandboxer.hosts.session import HostSession
from sandboxer.model.event import events_of, last_number
from sandboxer.model.lifecycle import Phase
from sandboxer.model.record import Record, RecordRefused, WorkspaceFiles, parse_record

if TYPE_CHECKING:
    from sandboxer.extensions.base import Operation
    from sandboxer.model.protocols import InputTree

VERBS = "sandboxer_example_folder:verbs.sh"
REMOVE_SECONDS = 300.0


class Folder:
    """A session with the host about one sandbox. Entering it takes the lock; leaving it releases the lock."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        self._session = HostSession(operation, VERBS)
        self._record: Record | None = None
        self._written = b""
        self._last_event = 0

    def __enter__(self) -> Self:
        self._session.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._session.__exit__(*exc)

    def observe_as_planned(self) -> Record | None:
        """Return the record, now that nobody else may change it. Raise StaleChange if it is not the planned one."""
        operation, host = self.operation, self.operation.target.host
        data = self._session.must("the record cannot be read", "record").output
        try:
            self._record = parse_record(data, fleet=operation.fleet, identifier=operation.id) if data else None
        except RecordRefused as refused:
            raise ObservationIncomplete(
                host, f"the record of {operation.name} on {host} cannot be read: {refused}"
            ) from refused
        seen = (self._record.generation, self._record.uid) if self._record else (0, "")
        if seen != (operation.expected_generation, operation.expected_uid):
            raise StaleChange(
                operation.name, f"{operation.name} on {host} has changed since it was planned", hint="plan again"
            )
        self._written = data
        counted = self._record.last_event if self._record else 0
        self._last_event = max(last_number(self._session.call("journal_end").output), counted)
        return self._record

    def begin(self, record: Record, request: bytes) -> Record:
        """Create the directory together with the record and the first events; return the record.

        `request` is what an imperative sandbox was requested with, empty for one of git's.
        """
        capacity = self.operation.target.capacity or 0
        name = record.name if request and not self.operation.expected_uid else ""
        arguments = (record.uid, "new", str(capacity), str(len(request)), name)
        return self._write("begin", arguments, record, (Phase.REQUESTED, Phase.PROVISIONING), behind=request)

    def rewrite(self, record: Record, *through: Phase) -> Record:
        """Write the next record, after the phases in `through`. Raise StaleChange if the host has another record."""
        return self._write("rewrite", (hashlib.sha256(self._written).hexdigest(),), record, through)

    def note_failure(self) -> None:
        """Record the phase `failed` if that is still possible: the error being raised matters more."""
        if self._record is not None:
            with suppress(SandboxerError):
                self.rewrite(records.again(self._record), Phase.FAILED)

    def deliver(self, tree: InputTree) -> None:
        """Replace the delivered files with those of a commit, all of them or none."""
        archive = self.operation.inputs.archive(tree)
        self._session.must("the files cannot be delivered", "deliver", tree.digest, payload=archive)

    def put(self, path: str, content: bytes) -> None:
        """Write one file of the directory, whole or not at all."""
        self._session.must(f"{path} cannot be written", "put", path, "600", payload=content)

    def sums(self) -> WorkspaceFiles:
        """Return the sums of what is delivered, which later observations are compared with."""
        files, size, seconds = map(int, self._session.must("the files cannot be counted", "sums").text.split())
        return WorkspaceFiles(files=files, bytes=size, seconds=seconds)

    def remove(self, record: Record, *, tombstone: str | None = None, again: bool = False) -> None:
        """Remove the directory, `record` last.

        `tombstone` is the digest of an expired sandbox's document: it is kept, so that the sandbox is not created
        again. With `again` it is about to be recreated, and the record of an imperative sandbox then says so.
        """
        operation = self.operation
        requested = record.requested.model_copy(update={"again": again}) if record.requested else None
        through: tuple[Phase, ...] = () if record.phase is Phase.DESTROYING else (Phase.DESTROYING,)
        if tombstone and through and record.phase is not Phase.EXPIRED:
            through = (Phase.EXPIRED, *through)
        operation.progress("destroying")
        record = self.rewrite(records.again(record.model_copy(update={"requested": requested})), *through)
        if tombstone is not None:
            content = json.dumps({"spec_digest": tombstone, "at": operation.clock().isoformat()}).encode()
            self._session.must("the tombstone cannot be written", "tombstone", payload=content)
        (last,) = events_of(
            record,
            (Phase.DESTROYED,),
            former=record.phase,
            after=self._last_event,
            at=operation.clock(),
            reason=operation.reason,
        )
        kept = (last.to_line(),) if operation.keeps_journal else ()
        what = "the directory cannot be removed"
        self._session.must(what, "remove", record.engine, record.uid, *kept, timeout=REMOVE_SECONDS)
        self._record, self._written, self._last_event = None, b"", 0
        operation.on_event(last, record, ())

    def _write(
        self, verb: str, arguments: tuple[str, ...], record: Record, through: tuple[Phase, ...], behind: bytes = b""
    ) -> Record:
        """Write a record and the events that led to it in one request; the host writes the journal's lines first."""
        at, former = self.operation.clock(), self._record.phase if self._record else None
        events = events_of(record, through, former=former, after=self._last_event, at=at, reason=self.operation.reason)
        if events:
            record = record.model_copy(update={"phase": events[-1].phase, "last_event": events[-1].number})
        data = record.to_bytes()
        lines = (event.to_line() for event in events)
        self._session.must("the record cannot be written", verb, *arguments, *lines, payload=data + behind)
        self._record, self._written = record, data
        self._last_event = max(self._last_event, record.last_event)
        for event in events:
            self.operation.on_event(event, record, ())
        return record
