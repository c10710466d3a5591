"""A session with ``git cat-file``: objects by name, from the object store alone."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.adapters.git_process import MAX_OUTPUT, WHOLE_CLONE, GitLocation, Process, failure
from sandboxer.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from types import TracebackType
    from typing import Self

_BLOCK = 256 * 1024
_CHUNK = 1024 * 1024
_STREAMED = "core.bigFileThreshold=1m"  # git itself streams larger blobs, where it can

_FOUND = re.compile(rb"([0-9a-f]{40,64}) ([a-z]+) (\d+)")
_LINK_ENDS = re.compile(rb"(symlink|dangling|loop|notdir) (\d+)")


@dataclass(frozen=True, slots=True)
class GitObject:
    """An object: its id, its kind (``blob, tree, commit, tag``), and its bytes up to the requested limit.

    If links are followed and one leads nowhere, the kind says how (``symlink``: out of the tree, ``dangling``,
    ``loop``, ``notdir``) and the id is empty.
    """

    id: str
    kind: str
    size: int
    data: bytes


class Objects:
    """A session with one ``git cat-file``: objects by name, one after another, from the object store alone.

    ``timeout`` in seconds is for the whole session. With ``follow``, names like ``tree:path`` are followed through
    symbolic links that stay in that tree.
    """

    def __init__(self, location: GitLocation, *, timeout: float, follow: bool = False) -> None:
        options = ("--follow-symlinks",) if follow else ()
        self._process = Process((*location.options, "-c", _STREAMED, "cat-file", "--batch", *options), timeout=timeout)

    def __enter__(self) -> Self:
        self._process.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        try:
            if kind is None:
                self._process.finish()
        finally:
            self._process.__exit__(kind, exc, tb)

    def get(self, name: str, limit: int = MAX_OUTPUT) -> GitObject | None:
        """Return the named object with at most ``limit`` of its bytes; None if it does not exist.

        Raise SourceError if the name is ambiguous, or git has ended.
        """
        if "\n" in name:
            return None
        head = self._request(name)
        if found := _FOUND.fullmatch(head):
            size = int(found[3])
            return GitObject(found[1].decode(), found[2].decode(), size, self._body(name, size, limit))
        if ends := _LINK_ENDS.fullmatch(head):
            size = int(ends[2])
            return GitObject("", ends[1].decode(), size, self._body(name, size, limit))
        if head.endswith(b" ambiguous"):
            raise SourceError(
                f"{name.split('^{')[0]!r} is ambiguous: several objects match",
                hint="specify more digits of the commit ID",
            )
        return None

    def blocks(self, blob: str, size: int) -> Iterator[bytes]:
        """Yield a blob's bytes, a block at a time; ``timeout`` is for each block.

        The caller must read each blob to its end before the next request. Raise SourceError unless all of it is there.
        """
        self._process.renew()
        found = _FOUND.fullmatch(self._request(blob))
        if found is None or found[2] != b"blob" or int(found[3]) != size:
            raise SourceError(f"file {blob[:12]} is no longer in the repository", hint=WHOLE_CLONE)
        left = size
        while left:
            block = self._process.output.read(min(left, _BLOCK))
            if not block:
                raise self._gone(blob)
            left -= len(block)
            yield block
            self._process.renew()
        if not self._process.output.read(1):
            raise self._gone(blob)

    def _request(self, name: str) -> bytes:
        """Return the line that git answers with."""
        try:
            self._process.input.write(os.fsencode(name) + b"\n")
            self._process.input.flush()
            head = self._process.output.readline()
        except OSError:
            head = b""
        if not head.endswith(b"\n"):
            raise self._gone(name)
        return head[:-1]

    def _body(self, name: str, size: int, limit: int) -> bytes:
        output = self._process.output
        data = output.read(min(size, limit))
        rest = size - len(data) + 1  # the newline after it
        while rest and (skipped := output.read(min(rest, _CHUNK))):
            rest -= len(skipped)
        if rest:
            raise self._gone(name)
        return data

    def _gone(self, name: str) -> SourceError:
        _, errors = self._process.finish()
        return failure(f"git exited while reading {name!r}", errors)


def tree_entries(tree: GitObject) -> Iterator[tuple[str, str, str]]:
    """Yield the entries of a tree object: mode (as git writes it, ``40000`` for a directory), name, id.

    Raise SourceError if the tree cannot be parsed.
    """
    width = len(tree.id) // 2
    data, at = tree.data, 0
    while at < len(data):
        end = data.find(b"\0", at)
        if end < 0 or end + width >= len(data):
            raise SourceError(f"tree {tree.id} is damaged or too large", hint="check the repository with `git fsck`")
        mode, _, name = data[at:end].partition(b" ")
        at = end + 1 + width
        yield mode.lstrip(b"0").decode("ascii", "replace"), os.fsdecode(name), data[end + 1 : at].hex()


def blobs_of(location: GitLocation, names: Collection[str], limit: int, seconds: float) -> Iterator[tuple[str, bytes]]:
    """Yield each named blob of at most ``limit`` bytes, read with one process. Raise SourceError if git has ended."""
    if len(names) > 1:  # for one alone, another read costs as much
        with Objects(location, timeout=seconds) as objects:
            for name in sorted(names):
                found = objects.get(name, limit)
                if found is not None and found.kind == "blob" and found.size <= limit:
                    yield name, found.data
