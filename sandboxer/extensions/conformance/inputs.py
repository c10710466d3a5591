"""The input of the suite's sandboxes: the files of a folder, and some whose names a shell would misread."""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import tarfile
from typing import TYPE_CHECKING

from sandboxer.errors import InputUnavailable
from sandboxer.model.jsontypes import canonical
from sandboxer.model.protocols import Archive, InputTree, TreeEntry

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from pathlib import Path

    from pydantic import JsonValue

FIRST, SECOND = "first", "second"
#: What a command in a value would make; of this process alone.
PWNED = f"conformance-pwned-{secrets.token_hex(4)}"
HOSTILE = f'it\'s a "name" $(touch {PWNED}) `touch {PWNED}`; & \\n *.txt'
MARKED = "conformance.txt"


class FolderInputs:
    """An input source with two commits: ``first`` and ``second``, which has another content of MARKED.

    ``withhold`` makes every archive fail, as an input repository does that is lost in the meantime, until ``restore``.
    """

    def __init__(self, folder: Path) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): (path.read_bytes(), os.access(path, os.X_OK))
            for path in sorted(folder.rglob("*"))
            if path.is_file() and ".git" not in path.relative_to(folder).parts
        }
        self._withheld = False

    def files(self, ref: str) -> Mapping[str, bytes]:
        """Return the content of each file of a commit."""
        commit = ref if ref in (FIRST, SECOND) else {_commit(one): one for one in (FIRST, SECOND)}.get(ref, "")
        if not commit:
            raise InputUnavailable(f"there is no commit {ref}")
        own = {MARKED: f"{commit}\n".encode(), HOSTILE: b"its name is data\n", "conformance dir/run": b"#!/bin/sh\n"}
        return {path: content for path, (content, _) in self._files.items()} | own

    def resolve(self, repo: str, ref: str, path: str, deadline: float | None = None) -> InputTree:  # noqa: ARG002
        """Return the tree of a commit."""
        files = self.files(ref)
        entries = {name: TreeEntry(name, _blob(files[name]), self._executable(name)) for name in sorted(files)}
        listed: list[JsonValue] = [[entry.path, entry.blob, entry.executable] for entry in entries.values()]
        digest = hashlib.sha256(canonical(listed)).hexdigest()
        return InputTree(repo, ref, _commit(ref) if ref in (FIRST, SECOND) else ref, path, digest, entries)

    def withhold(self) -> None:
        """Let every archive fail from now on."""
        self._withheld = True

    def restore(self) -> None:
        """Return archives again."""
        self._withheld = False

    def give_up(self) -> None:
        """Do nothing: no read takes time."""

    def read(self, tree: InputTree, path: str) -> bytes:
        """Return the bytes of one file."""
        files = self.files(tree.commit)
        if path not in files:
            raise InputUnavailable(f"the input has no file {path!r}")
        return files[path]

    def archive(self, tree: InputTree, paths: Iterable[str] | None = None) -> Archive:
        """Return a tar of a tree."""
        if self._withheld:
            raise InputUnavailable("the input repository is not available: the suite took it away")
        files, buffer = self.files(tree.commit), io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name in sorted(files if paths is None else paths):
                member = tarfile.TarInfo(name)
                member.size, member.mtime = len(files[name]), tree.entries[name].seconds
                member.mode = 0o755 if tree.entries[name].executable else 0o644
                tar.addfile(member, io.BytesIO(files[name]))

        def pieces() -> Generator[bytes]:
            yield buffer.getvalue()

        return Archive(len(buffer.getvalue()), pieces())

    def _executable(self, name: str) -> bool:
        return name == "conformance dir/run" or (name in self._files and self._files[name][1])


def _commit(ref: str) -> str:
    return hashlib.sha1(ref.encode(), usedforsecurity=False).hexdigest()


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()
