"""The content of delivered files, file by file: on a host, compared with the input at the record's commit."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import secrets
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from sandboxer.errors import ObservationIncomplete
from sandboxer.extensions.compose_ssh.sections import Sections
from sandboxer.extensions.compose_ssh.source import inspect
from sandboxer.extensions.compose_ssh.tree import Tree
from sandboxer.extensions.scripts import script
from sandboxer.model.plan import FieldChange
from sandboxer.model.protocols import Command

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sandboxer.model.protocols import CommandResult, InputSource, InputTree
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
    data = "".join(f"{line}\n" for line in (nonce, root, fleet, *identifiers)).encode()
    text = script("root.sh", "compose_ssh/contents.sh")
    return Command(text, data, timeout=CONTENTS_SECONDS, max_output=MAX_OUTPUT), nonce


def read_contents(host: str, nonce: str, result: CommandResult) -> dict[str, Listing]:
    """Return the listings, by sandbox. Raise ObservationIncomplete if the output is incomplete."""
    sections = Sections(result.stdout, nonce)
    if not sections.complete:
        said = result.stderr.decode("utf-8", "replace").strip().splitlines()
        words = f": {said[-1]}" if said else ""
        raise ObservationIncomplete(
            host, f"the list of files of {host} broke off (exit code {result.exit_code}){words}"
        )
    found: dict[str, Listing] = {}
    for line in (sections.body("files") or b"").split(b"\n"):
        if match := _SUM.fullmatch(line):
            # GNU's sha256sum puts a backslash in front of the line where it doubled one in the name.
            name = match[3].replace(rb"\\", b"\\") if match[1] else match[3]
            identifier, path = _place(name)
            found.setdefault(identifier, Listing()).files[path] = match[2].decode()
    names = (sections.body("links") or b"").split(b"\n")
    for name, target in zip(names[::2], names[1::2], strict=False):
        identifier, path = _place(name)
        found.setdefault(identifier, Listing()).links[path] = os.fsdecode(target)
    return found


def _place(name: bytes) -> tuple[str, str]:
    """Return the id and the path of ``<id>/workspace/<path>``."""
    identifier, _, rest = os.fsdecode(name).partition("/")
    return identifier, rest.removeprefix("workspace/")


def differences(record: Record, listing: Listing, tree: InputTree, inputs: InputSource) -> tuple[FieldChange, ...]:
    """Return every delivered file that differs from ``tree``, in the delivered tree or where a service mounts it.

    ``tree`` is the one that the record names. Raise InputUnavailable if its contents cannot be read, and
    ComposeRefused if its compose files can no longer be followed.
    """
    home = f"tree/{tree.digest}"
    needed = {f"{home}/{path}": path for path in _needed(record, tree, inputs)}
    needed |= _mounted(tree, {place for place in (*listing.files, *listing.links) if place.startswith("bind/")})
    known = {**{f"{home}/{path}": path for path in tree.entries}, **needed}
    wanted = _contents(tree, inputs)
    found = {**listing.files, **{place: f"link to {target}" for place, target in listing.links.items()}}
    states: dict[str, tuple[str | None, str]]
    states = {path: ("present", "missing") for place, path in needed.items() if place not in found}
    for place, content in found.items():
        path = known.get(place)
        if path is None:
            states[place.removeprefix(home + "/")] = (None, "extra")
        elif content != wanted[path]:
            states[path] = (_short(wanted[path]), _short(content))
    return tuple(FieldChange(f"workspace.files.{path}", *states[path]) for path in sorted(states))


def _short(content: str) -> str:
    return content if content.startswith("link to ") else f"sha256:{content[:12]}"


def _needed(record: Record, tree: InputTree, inputs: InputSource) -> Iterable[str]:
    """Return the paths of the tree that were delivered.

    That is all of it, or with ``workspace.mode: none`` the files that Compose reads.
    """
    if record.spec.get("workspace", {}).get("mode") == "copy":
        return tree.entries
    files = {path: inputs.read(tree, path) for path in record.spec.get("compose", {}).get("files", ())}
    return inspect(files, lambda path: inputs.read(tree, path), tree.entries, sandbox=record.name).files


def _mounted(tree: InputTree, places: set[str]) -> dict[str, str]:
    """Return the path in the tree of each mounted file at ``places``, keyed by its path in the workspace.

    Mounted files are in ``bind/<digest>/<name>``, the digest being that of their own content.
    """
    folders = {tuple(place.split("/")[1:3]) for place in places}
    view = Tree(tree.entries)
    paths = {"", *tree.entries, *(str(folder) for path in tree.entries for folder in PurePosixPath(path).parents[:-1])}
    sources = {(view.digest(path), posixpath.basename(path) or "tree"): path for path in paths} if folders else {}
    found: dict[str, str] = {}
    for digest, name in folders & sources.keys():
        source = sources[digest, name]
        for path in tree.entries:
            if source in ("", path) or path.startswith(source + "/"):
                rest = posixpath.relpath(path, source or ".")
                found[posixpath.normpath(f"bind/{digest}/{name}/{rest}")] = path
    return found


def _contents(tree: InputTree, inputs: InputSource) -> Mapping[str, str]:
    """Return what a listing says of each path of the tree when it is as it was delivered."""
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
