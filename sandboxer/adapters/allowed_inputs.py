"""The inputs that a request from elsewhere may use: those below the Fleet's ``spec.api.repoRoots``, and its own.

One refusal for everything outside, whether it is there or not, and before anything is asked about it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxer.errors import InputUnavailable
from sandboxer.model.repo_roots import OWN, location_of, root_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandboxer.model.manifest import Fleet
    from sandboxer.model.protocols import Archive, InputSource, InputTree

OUTSIDE = "this repository is not one that requests over the API may use: spec.api.repoRoots of the Fleet lists those"
# A folder of this machine: no part of a URL, nor of what was asked for.
_FOLDER = re.compile(r"(?<![\w:/.~-])/[^\s'\",;]+")


def check_allowed(repo: str, fleet: Fleet | None, root: Path) -> None:
    """Raise InputUnavailable, always the same one, where a repository is none that the Fleet in ``root`` lets in."""
    if repo != OWN and not _is_within(repo, fleet.spec.api.repo_roots if fleet else (), _base(root)):
        raise InputUnavailable(OUTSIDE, hint="use the fleet's own repository, or add the folder or URL there")


class AllowedInputs:
    """``inputs``, of which only those that the Fleet in ``root`` lets in can be had."""

    def __init__(self, inputs: InputSource, fleet: Fleet | None, root: Path) -> None:
        self._inputs, self._fleet, self._root = inputs, fleet, root

    def resolve(self, repo: str, ref: str, path: str, until: float | None = None) -> InputTree:
        """As the inputs do. Raises InputUnavailable, which names no folder of this machine."""
        check_allowed(repo, self._fleet, self._root)
        try:
            return self._inputs.resolve(repo, ref, path, until)
        except InputUnavailable as error:
            where = location_of(repo, _base(self._root))
            if repo != OWN and where is not None and not where.place:
                message = (
                    f"{repo!r} at {ref!r} is no repository with that branch, tag or commit, and with {path!r} in it"
                )
            else:
                message = _FOLDER.sub("…", error.message)
            raise InputUnavailable(message) from None

    def give_up(self) -> None:
        """As the inputs do."""
        self._inputs.give_up()

    def read(self, tree: InputTree, path: str) -> bytes:
        """As the inputs do."""
        return self._inputs.read(tree, path)

    def archive(self, tree: InputTree, paths: Iterable[str] | None = None) -> Archive:
        """As the inputs do."""
        return self._inputs.archive(tree, paths)


def _base(root: Path) -> str:
    """Return what folders are relative to: lexical, as the inputs are found."""
    return os.path.abspath(root)  # noqa: PTH100


def _is_within(repo: str, roots: Sequence[str], base: str) -> bool:
    where = location_of(repo, base)
    known = [found for root in roots if (found := root_of(root, base)) is not None]
    holding = [root for root in known if where is not None and root.holds(where)]
    if where is None or not holding:
        return False
    # Only what is below a root as it is written is looked for on the disk.
    return bool(where.place) or any(_really_within(where.path, root.path) for root in holding)


def _really_within(path: Sequence[str], root: Sequence[str]) -> bool:
    """Return whether a folder is below another one once the links on both ways are followed."""
    try:
        real, top = (Path("/", *parts).resolve() for parts in (path, root))
    except (OSError, RuntimeError):  # links that lead in a circle
        return False
    return real.is_relative_to(top)
