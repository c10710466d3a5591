"""The inputs that a remote request may use: those below the Fleet's ``spec.api.repoRoots``, and the fleet's own.

Every path outside gets the same error, whether it exists or not, and before anything is read from it.
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

OUTSIDE = "API requests may not use this repository: spec.api.repoRoots of the Fleet lists those"
# A directory of this machine that is neither part of a URL nor part of the request.
_FOLDER = re.compile(r"(?<![\w:/.~-])/[^\s'\",;]+")


def check_allowed(repo: str, fleet: Fleet | None, root: Path) -> None:
    """Raise InputUnavailable if the Fleet in ``root`` does not allow the repository; the error is always the same."""
    if repo != OWN and not _is_within(repo, fleet.spec.api.repo_roots if fleet else (), _base(root)):
        raise InputUnavailable(OUTSIDE, hint="use the fleet's own repository, or add the folder or URL there")


class AllowedInputs:
    """An input source that limits ``inputs`` to those that the Fleet in ``root`` allows."""

    def __init__(self, inputs: InputSource, fleet: Fleet | None, root: Path) -> None:
        self._inputs, self._fleet, self._root = inputs, fleet, root

    def resolve(self, repo: str, ref: str, path: str, deadline: float | None = None) -> InputTree:
        """Resolve an allowed input, as ``InputSource.resolve`` does.

        Raise InputUnavailable, which names no directory of this machine.
        """
        check_allowed(repo, self._fleet, self._root)
        try:
            return self._inputs.resolve(repo, ref, path, deadline)
        except InputUnavailable as error:
            where = location_of(repo, _base(self._root))
            if repo != OWN and where is not None and not where.server:
                message = (
                    f"{repo!r} at {ref!r} cannot be used: no such repository, branch, tag, commit, or path {path!r}"
                )
            else:
                message = _FOLDER.sub("…", error.message)
            raise InputUnavailable(message) from None

    def give_up(self) -> None:
        """Stop all running git processes, as ``InputSource.give_up`` does."""
        self._inputs.give_up()

    def read(self, tree: InputTree, path: str) -> bytes:
        """Return one file of an input, as ``InputSource.read`` does."""
        return self._inputs.read(tree, path)

    def archive(self, tree: InputTree, paths: Iterable[str] | None = None) -> Archive:
        """Return an archive of an input, as ``InputSource.archive`` does."""
        return self._inputs.archive(tree, paths)


def _base(root: Path) -> str:
    """Return the directory that paths are relative to: lexical, as for the inputs."""
    return os.path.abspath(root)  # noqa: PTH100


def _is_within(repo: str, roots: Sequence[str], base: str) -> bool:
    where = location_of(repo, base)
    known = [found for root in roots if (found := root_of(root, base)) is not None]
    holding = [root for root in known if where is not None and root.holds(where)]
    if where is None or not holding:
        return False
    # Only a path that is lexically below a root is checked on the disk.
    return bool(where.server) or any(_really_within(where.path, root.path) for root in holding)


def _really_within(path: Sequence[str], root: Sequence[str]) -> bool:
    """Return whether a directory is below another one after all links in both paths are resolved."""
    try:
        real, top = (Path("/", *parts).resolve() for parts in (path, root))
    except (OSError, RuntimeError):  # a circle of links
        return False
    return real.is_relative_to(top)
