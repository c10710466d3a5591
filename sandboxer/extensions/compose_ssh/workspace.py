"""The delivered files of a sandbox on its host, and whether they are whole, judged by numbers, sizes and times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.extensions.recorded_directory import is_whole
from sandboxer.model.observed import FileSums

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandboxer.extensions.compose_ssh.policy import Bind
    from sandboxer.model.protocols import InputTree, TreeEntry


@dataclass(frozen=True, slots=True)
class Workspace:
    """The delivered ``trees``, by digest, and the sums of each tree and each mounted directory, by path.

    ``files`` is None if the sums are unknown: then what exists counts as whole.
    """

    trees: frozenset[str] = frozenset()
    files: Mapping[str, FileSums] | None = None

    @property
    def total(self) -> FileSums | None:
        """The sums of all files, as an observation reports them."""
        if self.files is None:
            return None
        every = self.files.values()
        return FileSums(sum(s.files for s in every), sum(s.bytes for s in every), sum(s.seconds for s in every))

    def has_tree(self, tree: InputTree, paths: Iterable[str] | None) -> bool:
        """Return whether the tree, or only ``paths`` of it, is there whole, with nothing else beside it."""
        entries = tree.entries.values() if paths is None else [tree.entries[path] for path in paths]
        return tree.digest in self.trees and self._whole(f"tree/{tree.digest}", entries)

    def damaged(self, tree: InputTree, mounts: Mapping[str, Iterable[Bind]]) -> list[str]:
        """Return the paths of those ``mounts`` that are not whole, or missing.

        The state of writable ones is known only to containers. A build context has files that no build sees, and these
        may be of any version.
        """
        damaged = []
        for path, binds in mounts.items():
            # Sources of equal content and name are one, wherever they are in the tree.
            compared = (bind for bind in binds if not (bind.writable or bind.left_out) and bind.access is None)
            sources = {bind.destination: bind.source for bind in compared}
            inside = [entry for source in sources.values() for entry in _below(source, tree)]
            if sources and not self._whole(path, inside):
                damaged.append(path)
        return damaged

    def _whole(self, path: str, entries: Iterable[TreeEntry]) -> bool:
        if self.files is None:
            return True
        return is_whole(self.files.get(path, FileSums()), entries)


def _below(source: str, tree: InputTree) -> Iterable[TreeEntry]:
    """Return the entries of a file or directory of the tree; the empty path is the tree itself."""
    folder = source and f"{source}/"
    return (entry for path, entry in tree.entries.items() if path == source or path.startswith(folder))
