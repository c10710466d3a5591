"""Observe a host: the command, and its answer read into values. An answer that is not understood in full is none."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sandboxer.errors import LookIncomplete
from sandboxer.extensions.scripts import script
from sandboxer.model.observed import FileSums, Found, Reachable
from sandboxer.model.record import RecordRefused, parse_record
from sandboxer.model.seams import Command
from sandboxer_example_folder.folder import VERBS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.extensions.base import Question
    from sandboxer.model.seams import HostTransport


def observe(transport: HostTransport, question: Question) -> Reachable:
    """Return what is on the host. Raise LookIncomplete where the answer is not whole, and what the transport raises."""
    nonce = secrets.token_hex(16)
    header = "".join(f"{line}\n" for line in (nonce, question.root, question.fleet)).encode()
    text = script("root.sh", VERBS, "sandboxer_example_folder:observe.sh")
    result = transport.run(Command(text, header, timeout=60))
    parts = [part.partition(b"\n") for part in result.stdout.split(f"\n@{nonce} ".encode())[1:]]
    if not parts or parts[-1][0] != b"end":
        raise LookIncomplete(question.host, f"{question.host} broke off its answer (exit code {result.exit_code})")
    try:
        return _read(question, {head.decode(): body for head, _, body in parts})
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise LookIncomplete(question.host, f"the answer of {question.host} cannot be understood: {error!r}") from error


def _read(question: Question, sections: Mapping[str, bytes]) -> Reachable:
    found = (_found(question, head.split()[1], sections) for head in sections if head.startswith("record "))
    return Reachable(
        host=question.host,
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


def _found(question: Question, identifier: str, sections: Mapping[str, bytes]) -> Found:
    try:
        record = parse_record(sections[f"record {identifier}"], fleet=question.fleet, identifier=identifier)
    except RecordRefused as refused:
        return Found(identifier, None, f"its record cannot be read: {refused}")
    sums = sections.get(f"workspace {identifier}")
    files = FileSums(*map(int, sums.split())) if sums else None  # None: the host could not tell
    return Found(identifier, record, has_workspace=sums is not None, files=files)
