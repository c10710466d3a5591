"""Comparison of delivered contents: one more command for each host and extension, and the inputs read from git."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors import CapabilityMissing, HostError
from sandboxer.extensions.base import ObserveRequest
from sandboxer.hosts.parallel import on_hosts
from sandboxer.reconcile.drift_report import Contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sandboxer.extensions.registry import Registry
    from sandboxer.model.protocols import HostTransport, InputSource
    from sandboxer.model.record import Record
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox

AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Comparer:
    """A comparer of delivered contents. ``roots`` are the hosts' roots, by name."""

    fleet: str
    roots: Mapping[str, str]
    transport: Callable[[str], HostTransport]
    inputs: InputSource
    registry: Registry

    def compare(self, copies: Iterable[ObservedSandbox]) -> dict[tuple[str, str], Contents]:
        """Return what differs in each of these sandboxes, by host and id.

        Errors of a host or of an input are part of the result, and so is an extension that cannot compare.
        """
        groups: dict[tuple[str, str], list[Record]] = {}
        for observed in copies:
            if observed.record is not None and observed.record.inputs is not None:
                groups.setdefault((observed.host, observed.record.extension), []).append(observed.record)
        compared = on_hosts(self._compare_group, groups.items(), name="contents", at_once=AT_ONCE)
        return {key: found for one in compared for key, found in one.items()}

    def _compare_group(self, group: tuple[tuple[str, str], Sequence[Record]]) -> dict[tuple[str, str], Contents]:
        (host, extension), records = group
        request = ObserveRequest(host, self.roots[host], self.fleet)
        try:
            backend = self.registry.capable(records[0].name, extension, "contents")
            found: Mapping[str, Contents] = backend.contents(self.transport(host), request, records, self.inputs)
        except HostError as error:
            found = {record.id: Contents(error=error.message) for record in records}
        except CapabilityMissing:
            found = {
                record.id: Contents(error=CapabilityMissing(record.name, extension, "contents").message)
                for record in records
            }
        return {(host, record.id): found.get(record.id, Contents()) for record in records}
