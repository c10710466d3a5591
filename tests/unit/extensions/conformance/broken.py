"""Backends that break one rule each: the example's folders, with the mistake that the rule is about."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sandboxer.errors import (
    CommandTimeout,
    HostUnreachable,
    ObservationIncomplete,
    ProvisionFailed,
    SandboxerError,
    SandboxError,
)
from sandboxer.extensions import records
from sandboxer.extensions.base import ObserveRequest, Operation
from sandboxer.hosts.session import HostSession
from sandboxer.model.lifecycle import Phase
from sandboxer.model.protocols import Command
from sandboxer.reconcile.fields import digest_of
from sandboxer_example_folder import backend as example
from sandboxer_example_folder.backend import FolderBackend
from sandboxer_example_folder.folder import VERBS, Folder

if TYPE_CHECKING:
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.observed import ObservedDirectory
    from sandboxer.model.protocols import InputTree
    from sandboxer.model.record import Record

# The example's backend makes a Folder by name: of each thread, the one that is broken there.
FOLDER: ContextVar[type[Folder]] = ContextVar("FOLDER", default=Folder)
example.Folder = lambda operation: FOLDER.get()(operation)  # type: ignore[misc, assignment]
OWN_VERBS = "tests.unit.extensions.conformance:broken.sh"


def on_host(operation: Operation, script: str, *values: str) -> None:
    """Run a script with values on standard input."""
    data = "".join(f"{value}\n" for value in values).encode()
    operation.target.transport.run(Command(script, data))


def found_by(backend: FolderBackend, operation: Operation) -> ObservedDirectory | None:
    """Return what is on the host now, whatever the plan saw."""
    target = operation.target
    seen: Any = backend.observe(target.transport, ObserveRequest(target.host, target.root, operation.fleet))
    found: ObservedDirectory | None = seen.found.get(operation.id)
    return found


def as_it_is(backend: FolderBackend, operation: Operation) -> Operation:
    """Return the operation with what is on the host, whatever the plan saw."""
    found = found_by(backend, operation)
    if not found or not found.record:
        return operation
    return replace(operation, expected_generation=found.record.generation, expected_uid=found.record.uid)


class WithFolder(FolderBackend):
    """A backend with another Folder."""

    folder: type[Folder]

    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        token = FOLDER.set(self.folder)
        try:
            return super().provision(operation, desired, fresh=fresh)
        finally:
            FOLDER.reset(token)

    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        token = FOLDER.set(self.folder)
        try:
            super().teardown(operation, tombstone=tombstone)
        finally:
            FOLDER.reset(token)


class OwnVerbs(Folder):
    def __init__(self, operation: Operation) -> None:
        super().__init__(operation)
        self._session = HostSession(operation, VERBS, OWN_VERBS)


class ReturnsTooEarly(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        written: list[Record] = []

        def on_event(event: Any, record: Record, containers: Any) -> None:
            written.append(record)
            operation.on_event(event, record, containers)

        super().provision(replace(operation, on_event=on_event), desired, fresh=fresh)
        return written[0]


class NotesItsTime(Folder):
    def deliver(self, tree: InputTree) -> None:
        super().deliver(tree)
        self.put("workspace/time.txt", f"{time.time_ns()}".encode())


class ChangesWhatIsReady(WithFolder):
    folder = NotesItsTime


class AddsAFile(Folder):
    def deliver(self, tree: InputTree) -> None:
        super().deliver(tree)
        self.put(f"workspace/tree/{tree.digest}/.delivered", b"")


class DeliversAFileMore(WithFolder):
    folder = AddsAFile


class FilesFirst(OwnVerbs):
    def begin(self, record: Record, request: bytes) -> Record:
        self.put("workspace/early", b"before the record")
        call = self._session.must

        def adopting(what: str, verb: str, uid: str, _new: str, *rest: str, **given: Any) -> Any:
            return call(what, verb, uid, "adopt", *rest, **given)

        self._session.must = adopting  # type: ignore[method-assign, assignment]
        try:
            return super().begin(record, request)
        finally:
            call("a former tombstone stays", "forget_tombstone")
            self._session.must = call  # type: ignore[method-assign]


class MakesFilesBeforeTheRecord(WithFolder):
    folder = FilesFirst


class EventsLate(OwnVerbs):
    def rewrite(self, record: Record, *through: Phase) -> Record:
        call, late = self._session.must, []

        def without(what: str, verb: str, former: str, *lines: str, **given: Any) -> Any:
            late.extend(lines)
            return call(what, verb, former, **given)

        self._session.must = without  # type: ignore[method-assign, assignment]
        emit, events = self.operation.on_event, []
        self.operation = replace(self.operation, on_event=lambda *given: events.append(given))
        try:
            return super().rewrite(record, *through)
        finally:
            self._session.must = call  # type: ignore[method-assign]
            self.operation = replace(self.operation, on_event=emit)
            call("late", "late_events", *late)
            for given in events:
                emit(*given)


class WritesTheJournalLast(WithFolder):
    folder = EventsLate


class ReportsOnlyTheEnd(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        def emit(event: Any, record: Any, containers: Any) -> None:
            if event.phase is not Phase.PROVISIONING:
                operation.on_event(event, record, containers)

        return super().provision(replace(operation, on_event=emit), desired, fresh=fresh)


class LeavesPlacingBeforeItWrites(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        with operation.placing():
            pass
        operation = replace(operation, placing=Operation.__dataclass_fields__["placing"].default)
        return super().provision(operation, desired, fresh=fresh)


class BeginsWhereItIsRefused(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        try:
            return super().provision(operation, desired, fresh=fresh)
        except SandboxError as error:
            if "refuses" not in error.message:
                raise
            operation = replace(operation, placing=Operation.__dataclass_fields__["placing"].default)
            return super().provision(operation, desired, fresh=fresh)


class ProvisionsWhatNobodyPlanned(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        return super().provision(as_it_is(self, operation), desired, fresh=fresh)


class RemovesWhatNobodyPlanned(FolderBackend):
    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        super().teardown(as_it_is(self, operation), tombstone=tombstone)


class Rejuvenated(Folder):
    def rewrite(self, record: Record, *through: Phase) -> Record:
        if record.generation > 2 and Phase.READY in through:
            record = record.model_copy(update={"created_at": record.created_at + timedelta(seconds=1)})
        return super().rewrite(record, *through)


class MakesAnUpdateYounger(WithFolder):
    folder = Rejuvenated


class RepairsNothing(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        found = found_by(self, operation)
        record = found.record if found else None
        sound = record and record.phase is Phase.READY and record.uid == operation.expected_uid
        if record and sound and not fresh and record.desired_digest == digest_of(records.sealed_for(record, desired)):
            with Folder(operation) as folder:
                folder.observe_as_planned()
                return folder.rewrite(records.again(record))
        return super().provision(operation, desired, fresh=fresh)


class KeepsTheFormerLife(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        return super().provision(operation, desired, fresh=fresh and not operation.expected_uid)


class RemovesWhatFailed(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        try:
            return super().provision(operation, desired, fresh=fresh)
        except SandboxerError as error:
            if "took it away" in error.message:
                self.teardown(as_it_is(self, operation))
            raise


class MissesWhatIsNotThere(FolderBackend):
    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        if found_by(self, operation) is None:
            raise ProvisionFailed(operation.name, f"{operation.name} is not there")
        super().teardown(operation, tombstone=tombstone)


class LeavesAFile(FolderBackend):
    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        known = operation.expected_uid
        super().teardown(operation, tombstone=tombstone)
        if known:
            script = 'read -r home; mkdir -p "$home"; : >"$home/.left"'
            on_host(operation, script, f"{operation.target.root}/{operation.fleet}")


class RecordFirst(OwnVerbs):
    def remove(self, record: Record, *, tombstone: str | None = None, again: bool = False) -> None:
        call = self._session.must

        def before(what: str, verb: str, *given: str, **more: Any) -> Any:
            if verb == "remove":
                call(what, "unrecord")
            return call(what, verb, *given, **more)

        self._session.must = before  # type: ignore[method-assign, assignment]
        super().remove(record, tombstone=tombstone, again=again)


class RemovesTheRecordFirst(WithFolder):
    folder = RecordFirst


class EndsWithoutAWord(FolderBackend):
    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        super().teardown(replace(operation, on_event=lambda *_given: None), tombstone=tombstone)


class LeavesNoTombstone(FolderBackend):
    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        super().teardown(operation)


class RemovesStrangers(FolderBackend):
    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        super().teardown(operation, tombstone=tombstone)
        script = 'read -r home; for one in "$home"/*; do case ${one##*/} in ????????) ;; *) rm -rf "$one" ;; esac; done'
        on_host(operation, script, f"{operation.target.root}/{operation.fleet}")


class TakesAForeignRecordForNone(FolderBackend):
    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        try:
            super().teardown(operation, tombstone=tombstone)
        except ObservationIncomplete:
            return


class BeginsAgainAfterAKill(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        found = found_by(self, operation)
        killed = bool(found and found.record and found.record.phase is Phase.PROVISIONING)
        return super().provision(operation, desired, fresh=fresh or killed)


class TakesAnInterruptedEndForOne(FolderBackend):
    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        found = found_by(self, operation)
        if not (found and found.record and found.record.phase is Phase.DESTROYING):
            super().teardown(operation, tombstone=tombstone)


class TakesALostHostForSuccess(FolderBackend):
    error: type[SandboxerError] = HostUnreachable

    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        try:
            return super().provision(operation, desired, fresh=fresh)
        except self.error:
            return records.begin(operation, desired)


class TakesASlowHostForSuccess(TakesALostHostForSuccess):
    error = CommandTimeout


class BuildsShellText(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        on_host(operation, f"ls -d '{operation.target.root}/{operation.fleet}/{operation.id}'")
        return super().provision(operation, desired, fresh=fresh)


class EvaluatesAValue(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        record = super().provision(operation, desired, fresh=fresh)
        for secret in desired.secrets:
            on_host(operation, 'read -r value; eval "value=$value"', secret.value.reveal() if secret.value else "")
        return record


class RecordsASecret(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        for secret in desired.secrets:
            operation.progress(f"with {secret.value.reveal() if secret.value else ''}")
        return super().provision(operation, desired, fresh=fresh)


class KeepsState(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        self.work = operation, desired
        time.sleep(0.1)
        operation, desired = self.work
        return super().provision(operation, desired, fresh=fresh)
