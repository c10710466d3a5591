"""What a Compose sandbox is delivered of its input, for the comparison of its files with git."""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from sandboxer.extensions.compose_ssh.source import inspect
from sandboxer.extensions.compose_ssh.tree import Tree
from sandboxer.hosts.contents import Delivered

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandboxer.hosts.contents import Listing
    from sandboxer.model.protocols import InputSource, InputTree
    from sandboxer.model.record import Record


def delivered(record: Record, listing: Listing, tree: InputTree, inputs: InputSource) -> Delivered:
    """Return what is in the delivered tree, and where services mount parts of it.

    ``tree`` is the one that the record names. Raise InputUnavailable if its files cannot be read, and ComposeRefused if
    its compose files can no longer be followed.
    """
    home = f"tree/{tree.digest}"
    needed = {f"{home}/{path}": path for path in _needed(record, tree, inputs)}
    needed |= _mounted(tree, {path for path in (*listing.files, *listing.links) if path.startswith("bind/")})
    return Delivered(needed, {f"{home}/{path}": path for path in tree.entries})


def _needed(record: Record, tree: InputTree, inputs: InputSource) -> Iterable[str]:
    """Return the paths of the tree that were delivered.

    That is all of it, or with ``workspace.mode: none`` the files that Compose reads.
    """
    if record.spec.get("workspace", {}).get("mode") == "copy":
        return tree.entries
    files = {path: inputs.read(tree, path) for path in record.spec.get("compose", {}).get("files", ())}
    return inspect(files, lambda path: inputs.read(tree, path), tree.entries, sandbox=record.name).files


def _mounted(tree: InputTree, mounted: set[str]) -> dict[str, str]:
    """Return the path in the tree of each mounted file at ``mounted``, keyed by its path in the workspace.

    Mounted files are in ``bind/<digest>/<name>``, the digest being that of their own content.
    """
    folders = {tuple(path.split("/")[1:3]) for path in mounted}
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
