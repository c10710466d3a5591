"""Backends that disregard one thing each that an operation requests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.extensions import records
from sandboxer_example_folder.backend import FolderBackend
from sandboxer_example_folder.folder import Folder
from tests.unit.extensions.conformance.broken import WithFolder

if TYPE_CHECKING:
    from sandboxer.extensions.base import Operation
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.record import Record


class SaysNothingOfAReplacement(FolderBackend):
    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        super().teardown(replace(operation, again=False), tombstone=tombstone)


class TakesEachEndForAReplacement(FolderBackend):
    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        super().teardown(replace(operation, again=True), tombstone=tombstone)


class StopsHalfway(FolderBackend):
    def provision(self, operation: Operation, desired: DesiredSandbox, *, fresh: bool) -> Record:
        if not operation.only_requested:
            return super().provision(operation, desired, fresh=fresh)
        with Folder(operation) as folder:
            folder.observe_as_planned()
            with operation.placing():
                request = desired.request.to_bytes() if desired.request else b""
                return folder.begin(records.begin(operation, desired), request)


class Forgetful(Folder):
    def begin(self, record: Record, request: bytes) -> Record:
        return super().begin(record, b"")


class ForgetsTheRequest(WithFolder):
    folder = Forgetful


class KeepsNoJournal(FolderBackend):
    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        super().teardown(replace(operation, keeps_journal=False), tombstone=tombstone)


class KeepsTheJournalAlways(FolderBackend):
    def teardown(self, operation: Operation, *, tombstone: str | None = None) -> None:
        super().teardown(replace(operation, keeps_journal=True), tombstone=tombstone)
