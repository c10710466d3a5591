"""Observes a host and what is below its root, for every backend: the command, and its output read into values.

Output not understood in full counts as none. A backend adds its own part to the command, and none where it keeps
nothing outside the root::

    def observe(self, transport, request):
        return observe_host(transport, request)
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sandboxer.errors import ObservationIncomplete
from sandboxer.hosts.scripts import host_command
from sandboxer.hosts.sections import Sections
from sandboxer.model.observed import (
    RECORD_MISSING,
    FileSums,
    Head,
    ObservedDirectory,
    Reachable,
    Tombstone,
)
from sandboxer.model.record import RecordRefused, parse_record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandboxer.hosts.operation import ObserveRequest
    from sandboxer.model.observed import HostObservation
    from sandboxer.model.protocols import Command, CommandResult, HostTransport

OBSERVE_SECONDS = 60.0
_SUMS = re.compile(r"(.+) (\d+) (\d+) (-?\d+)")


@dataclass(frozen=True, slots=True)
class ObservationPart:
    """A backend's own part of an observation.

    ``scripts`` are shell files, by the names that ``scripts.script`` takes; they print sections with ``section``, and
    write nothing. ``values`` are those of the parameters that they state. ``read`` returns the observation of the rest
    of the host with what the sections say; the last argument is standard error. Whatever it raises for output that it
    does not understand makes the observation incomplete.
    """

    scripts: tuple[str, ...]
    values: Mapping[str, str]
    read: Callable[[Reachable, Sections, bytes], Reachable]


def observe_host(
    transport: HostTransport, request: ObserveRequest, part: ObservationPart | None = None
) -> HostObservation:
    """Return the observation of a host, with a backend's own part in the same command.

    Without a part, what another backend's command showed a moment ago is enough. Raise what the transport raises, and
    ObservationIncomplete.
    """
    if part is None and request.known is not None:
        return replace(request.known, engine=None, engines={}, backend_error=None, absence_error=None)
    command, nonce = observe_command(request, part)
    return read_observation(request, nonce, transport.run(command), part)


def observe_command(request: ObserveRequest, part: ObservationPart | None = None) -> tuple[Command, str]:
    """Return the command that observes one host, and the nonce that marks its sections."""
    nonce = secrets.token_hex(16)
    scripts: tuple[str, ...] = part.scripts if part else ()
    values: Mapping[str, Any] = part.values if part else {}
    command = host_command(
        "prelude.sh",
        "files.sh",
        "observe.sh",
        *scripts,
        "end.sh",
        timeout=OBSERVE_SECONDS,
        nonce=nonce,
        root=request.root,
        fleet=request.fleet,
        **values,
    )
    return command, nonce


def read_observation(
    request: ObserveRequest, nonce: str, result: CommandResult, part: ObservationPart | None = None
) -> Reachable:
    """Return the observation. Raise ObservationIncomplete if the output is incomplete, or not as expected."""
    sections = Sections(result.stdout, nonce)
    if not sections.complete:
        errors = result.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ObservationIncomplete(
            request.host,
            f"observing {request.host} was interrupted (exit code {result.exit_code})"
            + (f": {errors[-1]}" if errors else ""),
            hint="check with `sandboxer doctor` that the host has sh, coreutils, `timeout`, `flock` and `tar`",
        )
    try:
        observation = _read(request, sections)
        return part.read(observation, sections, result.stderr) if part else observation
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ObservationIncomplete(
            request.host, f"cannot parse the observation of {request.host}: {error!r}", hint="see `sandboxer doctor`"
        ) from error


def _read(request: ObserveRequest, sections: Sections) -> Reachable:
    return Reachable(
        host=request.host,
        clock=datetime.fromtimestamp(int(_text(sections, "clock")), UTC),
        boot_id=_text(sections, "boot"),
        free_bytes=int(_text(sections, "disk").splitlines()[-1].split()[3]) * 1024,
        cpus=float(_text(sections, "cpus")),
        memory_bytes=int(_text(sections, "memory")) * 1024,
        engine=None,
        engines={},
        found=_found(request.fleet, sections),
        directories=_foreign_directories(request, sections),
        leftovers=(
            *(name for name in _names(sections, "fleet-entries") if name.startswith((".staging-", ".trash-"))),
            *_names(sections, "locks"),
        ),
        tombstones=_tombstones(sections),
        head=_head(sections),
        error=_root_problem(request.root, sections),
    )


def _text(sections: Sections, name: str) -> str:
    return (sections.body(name) or b"").decode("utf-8", "replace").strip()


def _names(sections: Sections, name: str) -> tuple[str, ...]:
    body = sections.body(name) or b""
    return tuple(sorted(part.decode("utf-8", "backslashreplace") for part in body.split(b"\0") if part))


def _root_problem(root: str, sections: Sections) -> str | None:
    if unsafe := _text(sections, "way"):
        return f"{unsafe}: set another spec.root on the Host, such as /var/lib/sandboxer"
    linked = _text(sections, "linked")
    if linked:
        return f"{linked} is a symbolic link: remove it"
    state = _text(sections, "root")
    if state == "absent":
        return None
    owner, _mode, kind = state.split(" ", 2)
    if kind != "directory":
        return f"{root} is a {kind}, not a directory: remove it, or set another spec.root on the Host"
    if owner != _text(sections, "uid"):
        return (
            f"{root} belongs to user id {owner}, not to the login user ({_text(sections, 'uid')}): "
            "remove it, or set another spec.root on the Host"
        )
    return None


def _found(fleet: str, sections: Sections) -> dict[str, ObservedDirectory]:
    workspaces = {argument for name, argument, _ in sections if name == "workspace"}
    files, reported = sections.body("files"), _reported_drift(sections)
    digests = {argument: hashlib.sha256(body).hexdigest() for name, argument, body in sections if name == "drift"}
    sums = file_sums(files) if files is not None else None
    found: dict[str, ObservedDirectory] = {}
    for name, identifier, body in sections:
        if name == "record":
            try:
                record, error = parse_record(body, fleet=fleet, identifier=identifier), None
            except RecordRefused as refused:
                record, error = None, f"its record cannot be read: {refused}"
        elif name == "record-missing":
            record, error = None, RECORD_MISSING
        elif name == "record-too-large":
            record, error = None, "its record is too large to be read beside the others"
        elif name == "misplaced":
            record, error = None, f"its directory is a {body.decode('utf-8', 'replace').strip()}: remove that"
        else:
            continue
        found[identifier] = ObservedDirectory(
            identifier,
            record,
            error,
            has_workspace=identifier in workspaces,
            files=sums.get(identifier, FileSums()) if sums is not None else None,
            reported_drift=reported.get(identifier, {}),
            reported_digest=digests.get(identifier, ""),
        )
    return found


def file_sums(printed: bytes) -> dict[str, FileSums]:
    """Return what ``files.sh`` printed, by its keys; what has no files is left out."""
    lines = (_SUMS.fullmatch(line) for line in os.fsdecode(printed).splitlines())
    # A name with a line break below the workspace, which nothing of ours has, makes lines that do not match.
    return {line[1]: FileSums(int(line[2]), int(line[3]), int(line[4])) for line in lines if line}


def _foreign_directories(request: ObserveRequest, sections: Sections) -> tuple[str, ...]:
    own = {".locks", ".tombstones", ".journals", ".head.json", ".head.json.new"}
    beside = [name for name in _names(sections, "entries") if name != request.fleet]
    within = [
        f"{request.fleet}/{name}"
        for name in _names(sections, "fleet-entries")
        if name not in own and not name.startswith((".staging-", ".trash-")) and not re.fullmatch(r"[0-9a-f]{8}", name)
    ]
    return (*beside, *within)


def _each_json(sections: Sections, section: str, use: Callable[[str, Any], None]) -> None:
    for name, argument, body in sections:
        if name == section:
            try:
                use(argument, json.loads(body))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                # Half a file is worth nothing: whoever has something to note writes it again.
                continue


def _tombstones(sections: Sections) -> dict[str, Tombstone]:
    found: dict[str, Tombstone] = {}
    _each_json(sections, "tombstone", lambda i, v: found.__setitem__(i, Tombstone(i, str(v["spec_digest"]))))
    return found


def _reported_drift(sections: Sections) -> dict[str, dict[str, datetime]]:
    found: dict[str, dict[str, datetime]] = {}

    def add(identifier: str, value: Any) -> None:
        found[identifier] = {str(path): _utc(since) for path, since in value["told"].items()}

    _each_json(sections, "drift", add)
    return found


def _utc(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without a zone is no moment")
    return moment.astimezone(UTC)


def _head(sections: Sections) -> Head | None:
    found: list[Head] = []

    def add(_argument: str, value: Any) -> None:
        found.append(Head(str(value["commit"]), datetime.fromisoformat(value["committed_at"])))

    _each_json(sections, "head", add)
    return found[-1] if found else None
