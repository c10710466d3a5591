"""Comparison of delivered contents: one more command for each host, and the inputs read from git."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors import HostError, InputUnavailable, SandboxerError
from sandboxer.extensions.compose_ssh.contents import Listing, contents_command, differences, read_contents
from sandboxer.reconcile.drift_report import Contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sandboxer.model.protocols import HostTransport, InputSource, InputTree
    from sandboxer.model.record import Input, Record
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox

AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Comparer:
    """A comparer of delivered contents. ``roots`` are the hosts' roots, by name."""

    fleet: str
    roots: Mapping[str, str]
    transport: Callable[[str], HostTransport]
    inputs: InputSource

    def compare(self, copies: Iterable[ObservedSandbox]) -> dict[tuple[str, str], Contents]:
        """Return what differs in each of these sandboxes, by host and id.

        Errors of a host or of an input are part of the result.
        """
        by_host: dict[str, list[ObservedSandbox]] = {}
        for observed in copies:
            if observed.record is not None and observed.record.inputs is not None:
                by_host.setdefault(observed.host, []).append(observed)
        if not by_host:
            return {}
        with ThreadPoolExecutor(max_workers=min(AT_ONCE, len(by_host)), thread_name_prefix="contents") as pool:
            return {key: found for one in pool.map(self._on_host, by_host.values()) for key, found in one.items()}

    def _on_host(self, copies: Sequence[ObservedSandbox]) -> dict[tuple[str, str], Contents]:
        host = copies[0].host
        command, nonce = contents_command(self.roots[host], self.fleet, [observed.id for observed in copies])
        try:
            listings = read_contents(host, nonce, self.transport(host).run(command))
        except HostError as error:
            return {(host, observed.id): Contents(error=error.message) for observed in copies}
        return {(host, observed.id): self._one(observed, listings.get(observed.id, Listing())) for observed in copies}

    def _one(self, observed: ObservedSandbox, listing: Listing) -> Contents:
        record = observed.record
        if record is None or record.inputs is None:
            return Contents()
        try:
            return Contents(differences(record, listing, self._tree(record, record.inputs), self.inputs))
        except SandboxerError as error:
            return Contents(error=error.message)

    def _tree(self, record: Record, given: Input) -> InputTree:
        """Return the very tree that was delivered. Raise InputUnavailable if it is not available."""
        tree = self.inputs.resolve(given.repo, given.commit, record.spec.get("workspace", {}).get("path", "."))
        if f"sha256:{tree.digest}" != given.digest:
            raise InputUnavailable(f"{given.repo} at {given.commit[:12]} no longer has what was delivered")
        return tree
