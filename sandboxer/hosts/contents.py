"""The content of delivered files, file by file: on a host, compared with the input at the record's commit.

For a backend that delivers to ``workspace/tree/<digest>`` in the sandbox's directory::

    def contents(self, transport, request, records, inputs):
        return compare_contents(transport, request, records, inputs)
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandboxer.errors import InputUnavailable, ObservationIncomplete, SandboxerError
from sandboxer.hosts.scripts import host_command
from sandboxer.hosts.sections import Sections
from sandboxer.model.plan import FieldChange
from sandboxer.model.text import named
from sandboxer.reconcile.drift_report import Contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from sandboxer.hosts.operation import ObserveRequest
    from sandboxer.model.protocols import Command, CommandResult, HostTransport, InputSource, InputTree
    from sandboxer.model.record import Record

CONTENTS_SECONDS = 600.0
MAX_OUTPUT = 256 * 1024 * 1024  # bytes; each file is one line
_SUM = re.compile(rb"(\\?)([0-9a-f]{64}) [ *](.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Listing:
    """The content of a sandbox's ``workspace``: the digest of each file and the target of each link, by path."""

    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


def contents_command(root: str, fleet: str, identifiers: Iterable[str]) -> tuple[Command, str]:
    """Return the command that lists the contents of sandboxes on one host, and the nonce that marks its sections."""
    nonce = secrets.token_hex(16)
    command = host_command(
        "prelude.sh",
        "contents.sh",
        timeout=CONTENTS_SECONDS,
        max_output=MAX_OUTPUT,
        nonce=nonce,
        root=root,
        fleet=fleet,
        lines=identifiers,
    )
    return command, nonce


def read_contents(host: str, nonce: str, result: CommandResult) -> dict[str, Listing]:
    """Return the listings, by sandbox. Raise ObservationIncomplete if the output is incomplete."""
    sections = Sections(result.stdout, nonce)
    if not sections.complete:
        errors = result.stderr.decode("utf-8", "replace").strip().splitlines()
        words = f": {errors[-1]}" if errors else ""
        raise ObservationIncomplete(
            host, f"listing the files of {host} was interrupted (exit code {result.exit_code}){words}"
        )
    found: dict[str, Listing] = {}
    for line in (sections.body("files") or b"").split(b"\n"):
        if match := _SUM.fullmatch(line):
            # GNU's sha256sum puts a backslash in front of the line where it doubled one in the name.
            name = match[3].replace(rb"\\", b"\\") if match[1] else match[3]
            identifier, path = _split_path(name)
            found.setdefault(identifier, Listing()).files[path] = match[2].decode()
    names = (sections.body("links") or b"").split(b"\n")
    for name, target in zip(names[::2], names[1::2], strict=False):
        identifier, path = _split_path(name)
        found.setdefault(identifier, Listing()).links[path] = os.fsdecode(target)
    return found


def _split_path(name: bytes) -> tuple[str, str]:
    """Return the id and the path of ``<id>/workspace/<path>``."""
    identifier, _, rest = os.fsdecode(name).partition("/")
    return identifier, rest.removeprefix("workspace/")


@dataclass(frozen=True, slots=True)
class Delivered:
    """What should be in a sandbox's ``workspace``: paths of the input's tree, by their paths there.

    What is in ``allowed`` alone may be missing.
    """

    needed: Mapping[str, str]
    allowed: Mapping[str, str] = field(default_factory=dict)


def whole_tree(_record: Record, _listing: Listing, tree: InputTree, _inputs: InputSource) -> Delivered:
    """Return the delivery of a whole tree to ``tree/<digest>``."""
    return Delivered({f"tree/{tree.digest}/{path}": path for path in tree.entries})


def compare_contents(
    transport: HostTransport,
    request: ObserveRequest,
    records: Sequence[Record],
    inputs: InputSource,
    delivered: Callable[[Record, Listing, InputTree, InputSource], Delivered] = whole_tree,
) -> dict[str, Contents]:
    """Return by id what differs in these sandboxes of one host, in one command; see ``SupportsContents``.

    ``delivered`` returns what a backend delivers.
    """
    command, nonce = contents_command(request.root, request.fleet, [record.id for record in records])
    listings = read_contents(request.host, nonce, transport.run(command))

    def one(record: Record) -> Contents:
        listing = listings.get(record.id, Listing())
        try:
            tree = delivered_tree(record, inputs)
            return Contents(differences(listing, tree, delivered(record, listing, tree, inputs), inputs))
        except SandboxerError as error:
            return Contents(error=error.message)

    return {record.id: one(record) for record in records}


def delivered_tree(record: Record, inputs: InputSource) -> InputTree:
    """Return the very tree that was delivered. Raise InputUnavailable if it is not available."""
    given = record.inputs
    if given is None:
        raise InputUnavailable(f"{named('sandbox', record.name)} was delivered no files")
    tree = inputs.resolve(given.repo, given.commit, record.spec.get("workspace", {}).get("path", "."))
    if f"sha256:{tree.digest}" != given.digest:
        raise InputUnavailable(f"{given.repo} at {given.commit[:12]} no longer has the delivered files")
    return tree


def differences(
    listing: Listing, tree: InputTree, delivered: Delivered, inputs: InputSource
) -> tuple[FieldChange, ...]:
    """Return every file that differs from what was delivered of ``tree``.

    Raise InputUnavailable if its contents cannot be read.
    """
    home = f"tree/{tree.digest}"
    known = {**delivered.allowed, **delivered.needed}
    desired = _contents(tree, inputs)
    found = {**listing.files, **{at: f"link to {target}" for at, target in listing.links.items()}}
    states: dict[str, tuple[str | None, str]]
    states = {path: ("present", "missing") for at, path in delivered.needed.items() if at not in found}
    for at, content in found.items():
        path = known.get(at)
        if path is None:
            states[at.removeprefix(home + "/")] = (None, "extra")
        elif content != desired[path]:
            states[path] = (_short(desired[path]), _short(content))
    return tuple(FieldChange(f"workspace.files.{path}", *states[path]) for path in sorted(states))


def _short(content: str) -> str:
    return content if content.startswith("link to ") else f"sha256:{content[:12]}"


def _contents(tree: InputTree, inputs: InputSource) -> Mapping[str, str]:
    """Return the content that a listing shows for each path of an unchanged tree."""
    import tarfile

    found = {path: f"link to {entry.target}" for path, entry in tree.entries.items() if entry.target is not None}
    files = [path for path in tree.entries if path not in found]
    with tarfile.open(fileobj=_Pieces(inputs.archive(tree, files).pieces), mode="r|") as archive:  # type: ignore[call-overload]
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                found[member.name] = hashlib.file_digest(file, hashlib.sha256).hexdigest()
    return found


class _Pieces:
    """Chunks of bytes as a file that is read once, from its beginning to its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = bytearray()

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes, or fewer at the end."""
        while len(self._left) < size and (piece := next(self._pieces, None)) is not None:
            self._left += piece
        data = bytes(self._left[:size])
        del self._left[:size]
        return data
