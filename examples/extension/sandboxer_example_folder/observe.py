"""Observes a host: the command, and its output read into values. Output not understood in full counts as none."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sandboxer.errors import ObservationIncomplete
from sandboxer.extensions.scripts import script
from sandboxer.model.observed import FileSums, ObservedDirectory, Reachable
from sandboxer.model.protocols import Command
from sandboxer.model.record import RecordRefused, parse_record
from sandboxer_example_folder.folder import VERBS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.extensions.base import ObserveRequest
    from sandboxer.model.protocols import HostTransport


def observe(transport: HostTransport, request: ObserveRequest) -> Reachable:
    """Return the observation of the host.

    Raise ObservationIncomplete if the output is incomplete; errors of the transport pass through.
    """
    nonce = secrets.token_hex(16)
    header = "".join(f"{line}\n" for line in (nonce, request.root, request.fleet)).encode()
    text = script("root.sh", VERBS, "sandboxer_example_folder:observe.sh")
    result = transport.run(Command(text, header, timeout=60))
    parts = [part.partition(b"\n") for part in result.stdout.split(f"\n@{nonce} ".encode())[1:]]
    if not parts or parts[-1][0] != b"end":
        raise ObservationIncomplete(request.host, f"{request.host} broke off its answer (exit code {result.exit_code})")
    try:
        return _read(request, {head.decode(): body for head, _, body in parts})
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ObservationIncomplete(
            request.host, f"the answer of {request.host} cannot be understood: {error!r}"
        ) from error


def _read(request: ObserveRequest, sections: Mapping[str, bytes]) -> Reachable:
    found = (_found(request, head.split()[1], sections) for head in sections if head.startswith("record "))
    return Reachable(
        host=request.host,
        clock=datetime.fromtimestamp(int(sections["clock"]), UTC),
        boot_id=sections["boot"].decode().strip(),
        free_bytes=int(sections["disk"].split()[3]) * 1024,
        cpus=float(sections["cpus"]),
        memory_bytes=int(sections["memory"]) * 1024,
        engine=None,  # a folder needs none
        engines={},
        found={one.id: one for one in found},
        error=sections["problem"].decode("utf-8", "replace").strip() if "problem" in sections else None,
    )


def _found(request: ObserveRequest, identifier: str, sections: Mapping[str, bytes]) -> ObservedDirectory:
    try:
        record = parse_record(sections[f"record {identifier}"], fleet=request.fleet, identifier=identifier)
    except RecordRefused as refused:
        return ObservedDirectory(identifier, None, f"its record cannot be read: {refused}")
    sums = sections.get(f"workspace {identifier}")
    files = FileSums(*map(int, sums.split())) if sums else None  # None: the host could not count them
    return ObservedDirectory(identifier, record, has_workspace=sums is not None, files=files)
