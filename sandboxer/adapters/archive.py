"""Files as a tar stream: packed from this machine, and unpacked on it without ever leaving the target.

A tar from a container may contain anything. It is unpacked into a separate directory beside the target, nothing in it
is written through a link, and only what arrived complete and stays inside is moved to its place.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from sandboxer.errors import UsageError
from sandboxer.model.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BLOCK = 256 * 1024
_ELSEWHERE = "remove the existing one, or choose another destination"

Parts = tuple[str, ...]


class Reader(Protocol):
    """A source of tar bytes."""

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes; empty at the end."""


class Writer(Protocol):
    """A sink for tar bytes."""

    def write(self, data: bytes) -> int:
        """Write all of the bytes."""


def pack(source: Path, name: str, writer: Writer, warn: Callable[[str], None]) -> None:
    """Write a file or directory as a tar, under ``name``; an empty name packs the directory's content.

    Everything in it belongs to root. Links are kept as they are. What is not a file, directory or link is left out and
    reported to ``warn``. Raise UsageError if something cannot be read, and whatever ``writer`` raises.
    """

    def member(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if not (entry.isreg() or entry.isdir() or entry.issym() or entry.islnk()):
            warn(f"{printable(entry.name)} is not a file, folder or link; skipped")
            return None
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = int(entry.mtime)
        return entry

    with _local("read", source), tarfile.open(fileobj=writer, mode="w|", bufsize=_BLOCK) as tar:  # type: ignore[call-overload]
        sources = [(source, name)] if name else [(path, path.name) for path in sorted(source.iterdir())]
        for path, called in sources:
            tar.add(path.resolve() if path == source else path, called, filter=member)


class Unpacking:
    """An unpacked file or directory that becomes ``target`` only with ``put``.

    ``warn`` receives what is left out. Use as a context manager: without ``put``, everything is removed at the end.
    Raise UsageError if the target cannot be written, or if something must not be unpacked.
    """

    def __init__(self, target: Path, warn: Callable[[str], None]) -> None:
        self._target, self._warn = target, warn
        with _local("write", target):
            self._aside = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.", dir=target.parent))
        self._root = self._aside / "it"
        self._folders: set[Parts] = set()
        self._files: set[Parts] = set()
        self._links: list[Path] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self._aside, ignore_errors=True)

    def take(self, reader: Reader) -> None:
        """Unpack a tar that has one entry at its top, under any name. Raise EOFError if it has none or is truncated."""
        with _local("write", self._target):
            try:
                with tarfile.open(fileobj=reader, mode="r|", bufsize=_BLOCK) as tar:  # type: ignore[call-overload]
                    for entry in tar:
                        self._take(tar, entry, parts_of(entry.name)[1:])
            except tarfile.TarError as error:
                raise EOFError(str(error)) from None
        if not os.path.lexists(self._root):
            raise EOFError("empty archive")
        for link in self._links:
            if not _within(self._root, link):
                raise _refused(link.relative_to(self._root), "is a link that points outside the copy")

    def put(self) -> None:
        """Move the result to the target; merge a directory into an existing one, file by file."""
        with _local("write", self._target):
            if self._root.is_dir() and os.path.lexists(self._target):
                moves = list(_moves(self._root, self._target))
                for source, destination in moves:
                    source.replace(destination)
            elif self._target.is_dir() and not self._target.is_symlink():
                raise UsageError(f"{self._target} is a folder; cannot replace it with a file")
            else:
                self._root.replace(self._target)

    def _take(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, parts: Parts) -> None:
        path = self._root.joinpath(*parts)
        if parts:
            self._make_folders(parts[:-1])
        if entry.isdir():
            self._make_folders(parts)
        elif entry.isreg():
            self._make_way(parts, path)
            self._write(tar, entry, path)
            self._files.add(parts)
        elif entry.issym():
            if not parts:
                raise _refused(
                    entry.name, f"is a link to {printable(entry.linkname)}; copy the target of the link instead"
                )
            self._make_way(parts, path)
            path.symlink_to(entry.linkname)
            self._links.append(path)
        elif entry.islnk():
            self._link(parts_of(entry.linkname)[1:], parts, path)
        else:
            self._warn(f"{printable(entry.name)} is not a file, folder or link; skipped")

    def _make_folders(self, parts: Parts) -> None:
        """Create the directory and its parents, each a real directory: nothing is written through a link."""
        for length in range(len(parts) + 1):
            folder = parts[:length]
            if folder not in self._folders:
                try:
                    self._root.joinpath(*folder).mkdir()
                except FileExistsError:
                    raise _refused("/".join(folder), "occurs twice in the archive, once not as a folder") from None
                self._folders.add(folder)

    def _make_way(self, parts: Parts, path: Path) -> None:
        """Make the path free for an entry; of entries with the same name, the last one counts."""
        if parts in self._folders:
            raise _refused("/".join(parts), "occurs twice in the archive, once as a folder")
        self._files.discard(parts)
        self._links = [link for link in self._links if link != path] if path.is_symlink() else self._links
        path.unlink(missing_ok=True)

    def _write(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, path: Path) -> None:
        mode = 0o777 if entry.mode & 0o100 else 0o666
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(number, "wb") as file:
            content = tar.extractfile(entry)
            if content is not None:
                shutil.copyfileobj(content, file, _BLOCK)
        with contextlib.suppress(OverflowError, ValueError):
            os.utime(path, (entry.mtime, entry.mtime))

    def _link(self, to: Parts, parts: Parts, path: Path) -> None:
        if to not in self._files:
            raise _refused("/".join(parts), "is a hard link to a file outside the copy")
        if to != parts:
            self._make_way(parts, path)
            os.link(self._root.joinpath(*to), path)
            self._files.add(parts)


def parts_of(name: str) -> Parts:
    """Return the parts of a path in a tar. Raise UsageError if it contains ``..``."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise _refused(name, "points outside the copy")
    return parts


def _within(root: Path, link: Path) -> bool:
    """Return whether a link stays inside, through all links on its path; its target need not exist."""
    whole = os.path.realpath(root)
    return os.path.commonpath([whole, os.path.realpath(link)]) == whole


def _moves(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the moves that merge one directory into another; nothing where the two do not fit."""
    if target.is_symlink() or not target.is_dir():
        raise UsageError(f"{target} is not a folder; cannot replace it with a folder", hint=_ELSEWHERE)
    for path in sorted(source.iterdir()):
        destination = target / path.name
        if path.is_dir() and not path.is_symlink() and os.path.lexists(destination):
            yield from _moves(path, destination)
        elif destination.is_dir() and not destination.is_symlink():
            raise UsageError(
                f"{destination} is a folder; cannot replace it with a file",
                hint="remove the existing one, or choose another destination",
            )
        else:
            yield path, destination


def _refused(name: object, why: str) -> UsageError:
    hint = "copy a part without this entry; nothing was copied"
    return UsageError(f"{printable(str(name), 200)} {why}", hint=hint)


@contextlib.contextmanager
def _local(verb: str, path: Path) -> Iterator[None]:
    """Map this machine's errors to UsageError; those of the stream's reader or writer pass through."""
    try:
        yield
    except (BrokenPipeError, TimeoutError, ConnectionError):
        raise
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else str(path)
        raise UsageError(f"cannot {verb} {where}: {(error.strerror or str(error)).lower()}") from None
