"""Queries of the delivered files by path: what a path leads to, links followed, and the digest of its content."""

from __future__ import annotations

import hashlib
import posixpath
from bisect import bisect_left
from typing import TYPE_CHECKING

from sandboxer.model.jsontypes import canonical

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from sandboxer.model.protocols import TreeEntry

MAX_LINKS = 40
NOT_TRACKED = "is not a file or folder tracked by git at this commit (submodules are not delivered)"


class NotInTreeError(ValueError):
    """A path that leads to none of the delivered files; the message says how."""


class NotTrackedError(NotInTreeError):
    """A path that stays inside the tree and leads to nothing that is delivered."""


class Tree:
    """A read-only view of an input tree's entries. Paths are relative to it; the empty path is the tree itself."""

    def __init__(self, entries: Mapping[str, TreeEntry]) -> None:
        self._entries = entries
        self._paths = sorted(entries)
        self._digests: dict[str, str] = {}
        self._folders = {""}
        for path in entries:
            while (path := posixpath.dirname(path)) not in self._folders:
                self._folders.add(path)

    def is_file(self, path: str) -> bool:
        """Return whether a resolved path is a file rather than a directory."""
        return path in self._entries

    def is_link(self, path: str) -> bool:
        """Return whether a path, with its directories resolved, is itself a link."""
        entry = self._entries.get(path)
        return entry is not None and entry.target is not None

    def resolve(self, path: str) -> str:
        """Return the file or directory that a path leads to. Raise NotInTreeError if it leads to none."""
        return self.trail(path)[-1]

    def trail(self, path: str) -> tuple[str, ...]:
        """Return the links that a path goes through, and last the file or directory that it leads to.

        Raise NotInTreeError if it leads to none.
        """
        if posixpath.isabs(path):
            raise NotInTreeError("points outside the sandbox's files")
        todo = posixpath.normpath(path).split("/")[::-1]
        links: list[str] = []
        here: list[str] = []
        while todo:
            part = todo.pop()
            if part == "..":
                if not here:
                    raise NotInTreeError("points outside the sandbox's files")
                here.pop()
            elif part not in ("", "."):
                here.append(part)
                entry = self._entries.get("/".join(here))
                if entry is not None and entry.target is not None:
                    links.append(self._follow(entry, len(links)))
                    here.pop()
                    todo += entry.target.split("/")[::-1]
        found = "/".join(here)
        if found not in self._folders and found not in self._entries:
            raise NotTrackedError(NOT_TRACKED)
        return (*links, found)

    @staticmethod
    def _follow(entry: TreeEntry, followed: int) -> str:
        if posixpath.isabs(entry.target or ""):
            raise NotInTreeError(f"is a link that points outside the sandbox's files ({entry.path})")
        if followed >= MAX_LINKS:
            raise NotInTreeError("goes through too many links")
        return entry.path

    def digest(self, path: str) -> str:
        """Return the SHA-256, in hex, of the content at a resolved path: names, modes, blobs and link targets."""
        if path not in self._digests:
            self._digests[path] = hashlib.sha256(canonical(self._content(path))).hexdigest()
        return self._digests[path]

    def digest_without(self, path: str, left_out: Collection[str]) -> str:
        """Return the digest of a directory without some of its files, given by their paths in it."""
        content = [entry for entry in self._content(path) if entry[0] not in left_out]
        return hashlib.sha256(canonical(content)).hexdigest()

    def below(self, path: str) -> list[str]:
        """Return the files and links in a directory, by their paths in it."""
        return [str(entry[0]) for entry in self._content(path)]

    def _content(self, path: str) -> list[list[str | bool | None]]:
        if path in self._entries:
            entry = self._entries[path]
            return [["", entry.blob, entry.executable, entry.target]]
        prefix = f"{path}/" if path else ""
        content: list[list[str | bool | None]] = []
        for name in self._paths[bisect_left(self._paths, prefix) :]:
            if not name.startswith(prefix):
                break
            entry = self._entries[name]
            content.append([name.removeprefix(prefix), entry.blob, entry.executable, entry.target])
        return content
