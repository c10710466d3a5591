"""Backends that break one rule of ``observe`` each: the example's, with the mistake that the rule is about."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sandboxer.errors import HostUnreachable, ObservationIncomplete
from sandboxer.hosts.observation import observe_host
from sandboxer.model.protocols import Command
from sandboxer_example_folder.backend import FolderBackend
from sandboxer_example_folder.observe import FOLDER_PART

if TYPE_CHECKING:
    from sandboxer.extensions.base import ObserveRequest
    from sandboxer.model.observed import HostObservation, Reachable
    from sandboxer.model.protocols import HostTransport


class ObservesTwice(FolderBackend):
    def observe(self, transport: HostTransport, request: ObserveRequest) -> HostObservation:
        transport.run(Command("uname -a"))
        return super().observe(transport, request)


class ObservesAndWrites(FolderBackend):
    def observe(self, transport: HostTransport, request: ObserveRequest) -> HostObservation:
        scripts = (*FOLDER_PART.scripts, "tests.unit.extensions.conformance:touch.sh")
        return observe_host(transport, request, replace(FOLDER_PART, scripts=scripts))


class TakesALostHostForEmpty(FolderBackend):
    last: Reachable

    def observe(self, transport: HostTransport, request: ObserveRequest) -> HostObservation:
        try:
            seen: Any = super().observe(transport, request)
        except HostUnreachable:
            return replace(self.last, found={})
        self.last = seen
        return self.last


class TakesHalfAnAnswerForAll(TakesALostHostForEmpty):
    def observe(self, transport: HostTransport, request: ObserveRequest) -> HostObservation:
        try:
            seen: Any = FolderBackend.observe(self, transport, request)
        except ObservationIncomplete:
            return replace(self.last, found={})
        self.last = seen
        return self.last


class ForgetsItsFiles(FolderBackend):
    def observe(self, transport: HostTransport, request: ObserveRequest) -> HostObservation:
        seen: Any = super().observe(transport, request)
        found = {
            key: replace(one, files=one.files and replace(one.files, files=0, bytes=0, seconds=0))
            for key, one in seen.found.items()
        }
        return replace(seen, found=found)


class LeavesItsPartToOthers(FolderBackend):
    def observe(self, transport: HostTransport, request: ObserveRequest) -> HostObservation:
        return observe_host(transport, request) if request.known else super().observe(transport, request)
