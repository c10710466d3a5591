"""The tree that a sandbox receives: its listing, the rules for its names and links, its digest, its archive."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandboxer.adapters.git_process import LINK, MAX_OUTPUT, SUBMODULE, WHOLE_CLONE, unprintable
from sandboxer.errors import InputUnavailable
from sandboxer.model.protocols import TreeEntry
from sandboxer.model.text import redact_urls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

MAX_BYTES = 1024**3
MAX_FILES = 100_000
MAX_TARGET = 4096
_MAX_HOPS = 40
_NARROWER = "narrow workspace.path in the profile to the required folder"
_BUFFER = 256 * 1024
_IN_A_HEADER = 100  # bytes of a name or target that fit in ustar, whatever they are


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of one tree by path, their digest, their total size in bytes, and that of each that is not a link."""

    entries: Mapping[str, TreeEntry]
    digest: str
    size: int
    sizes: Mapping[str, int] = field(default_factory=dict, repr=False)


def list_tree(raw: bytes, target_of: Callable[[str], bytes]) -> Listing:
    """Parse the output of ``git ls-tree -r -z -l``; ``target_of`` returns a link's bytes by its blob.

    Submodules are left out. Raise InputUnavailable for names that cannot be delivered safely, for links that leave the
    tree, for objects that the repository lacks, and for more than 100,000 files or 1 GiB.
    """
    refuse_too_many(raw.count(b"\0"), len(raw))
    entries: dict[str, TreeEntry] = {}
    sizes: dict[str, int] = {}
    size = 0
    for line in raw.split(b"\0")[:-1]:
        head, _, name = line.partition(b"\t")
        mode, _, blob, length = head.decode("ascii").split()
        path = os.fsdecode(name)
        if mode == SUBMODULE:
            continue
        _refuse_name(path, entries)
        if not length.isdigit():  # git writes BAD
            raise InputUnavailable(f"the repository lacks the content of {path}", hint=WHOLE_CLONE)
        target = _target(path, target_of(blob)) if mode == LINK else None
        entries[path] = TreeEntry(path, blob, mode == "100755", target)
        size += int(length)
        if target is None:
            sizes[path] = int(length)
    if size > MAX_BYTES:
        raise InputUnavailable(
            f"its files have {size / MAX_BYTES:.1f} GiB together; {MAX_BYTES >> 30} GiB is the limit for a sandbox",
            hint=_NARROWER,
        )
    _refuse_nested(entries)
    for entry in entries.values():
        if entry.target is not None:
            follow(entries, entry.path)
    return Listing(entries, _digest(entries), size, sizes)


def refuse_too_many(count: int, listed: int) -> None:
    """Raise InputUnavailable for more files than a sandbox may have, or a list of more than 64 MiB."""
    if count > MAX_FILES or listed > MAX_OUTPUT:
        raise InputUnavailable(f"more than {MAX_FILES:,} files, the limit for a sandbox", hint=_NARROWER)


def follow(entries: Mapping[str, TreeEntry], path: str) -> str:
    """Return the path that a path of the tree resolves to; it may not exist, or be a directory.

    Raise InputUnavailable if a link leaves the tree or is part of a circle.
    """
    done: list[str] = []
    todo = path.split("/")[::-1]
    hops = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            if not done:
                raise _link_refused(entries, path, "points outside the delivered tree")
            done.pop()
            continue
        done.append(part)
        entry = entries.get("/".join(done))
        if entry is None or entry.target is None:
            continue
        hops += 1
        if hops > _MAX_HOPS:
            raise _link_refused(entries, path, "points to itself in a loop")
        if entry.target.startswith("/"):
            raise _link_refused(entries, path, "is absolute")
        done.pop()
        todo += entry.target.split("/")[::-1]
    return "/".join(done)


def pack(
    entries: Iterable[TreeEntry], sizes: Mapping[str, int], blocks: Callable[[str, int], Iterator[bytes]]
) -> Iterator[bytes]:
    """Yield a POSIX (ustar) archive of some entries and their directories, in blocks.

    Its length is that of ``packed_size``. ``sizes`` are the bytes of each file, and ``blocks`` yields a blob's, given
    their number.

    The same entries give the same bytes: sorted, owner 0, modes 0644, 0755 and 0777 for links. A file's time is derived
    from its content, because an image builder takes a file of the same size and time for the same file. A name too long
    for ustar is written as GNU tar does, which busybox reads as well; it does not read pax headers.
    """
    import tarfile  # only an apply packs, and this import takes longer than a plan needs to read all of git

    out = bytearray()
    for folder, entry in _members(entries):
        if entry is None:
            out += _header(folder, tarfile.DIRTYPE, 0o755)
        elif entry.target is not None:
            out += _header(entry.path, tarfile.SYMTYPE, 0o777, target=entry.target)
        else:
            size, mode = sizes[entry.path], 0o755 if entry.executable else 0o644
            out += _header(entry.path, tarfile.REGTYPE, mode, size=size, time=entry.seconds)
            for block in blocks(entry.blob, size):
                out += block
                if len(out) >= _BUFFER:
                    yield bytes(out)
                    out.clear()
            out += bytes(-size % tarfile.BLOCKSIZE)
        if len(out) >= _BUFFER:
            yield bytes(out)
            out.clear()
    out += bytes(2 * tarfile.BLOCKSIZE)
    yield bytes(out)


def packed_size(entries: Iterable[TreeEntry], sizes: Mapping[str, int]) -> int:
    """Return the length in bytes of the archive that ``pack`` yields."""
    import tarfile

    total = 2 * tarfile.BLOCKSIZE
    for path, entry in _members(entries):
        kind = tarfile.DIRTYPE if entry is None else tarfile.REGTYPE if entry.target is None else tarfile.SYMTYPE
        target = (entry.target or "") if entry else ""
        long = max(len(text.encode()) for text in (path, target)) >= _IN_A_HEADER
        total += len(_header(path, kind, 0, target=target)) if long else tarfile.BLOCKSIZE
        if entry is not None and entry.target is None:
            total += sizes[entry.path] + -sizes[entry.path] % tarfile.BLOCKSIZE
    return total


def _members(entries: Iterable[TreeEntry]) -> Iterator[tuple[str, TreeEntry | None]]:
    """Yield the entries by path, and None for each directory, which comes before its content."""
    folders: set[str] = set()
    for entry in sorted(entries, key=lambda entry: entry.path):
        parts = entry.path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/".join(parts[:depth])
            if folder not in folders:
                folders.add(folder)
                yield folder, None
        yield entry.path, entry


def _header(name: str, kind: bytes, mode: int, *, size: int = 0, time: int = 0, target: str = "") -> bytes:
    import tarfile

    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size, info.mtime, info.linkname = kind, mode, size, time, target
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
    except ValueError:  # a name or target longer than ustar's fields
        return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


def _refuse_name(path: str, entries: Mapping[str, TreeEntry]) -> None:
    parts = path.split("/")
    if unprintable(path):
        why = "names must be UTF-8 without control characters"
    elif any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        why = "git clients refuse this name"
    elif path in entries:
        why = "the name is listed twice"
    else:
        return
    raise InputUnavailable(f"the file {path!r} cannot be delivered: {why}", hint="rename the file in that repository")


def _refuse_nested(entries: Mapping[str, TreeEntry]) -> None:
    """Raise InputUnavailable for a file below a file or link.

    Only a forged tree has one, and it would be written through the link.
    """
    folders = {path.rpartition("/")[0] for path in entries}
    while folders:
        if both := folders & entries.keys():
            raise InputUnavailable(
                f"{min(both)!r} is both a file and a folder", hint="check the repository with `git fsck`"
            )
        folders = {folder.rpartition("/")[0] for folder in folders} - {""}


def _target(path: str, raw: bytes) -> str:
    target = os.fsdecode(raw)
    if not target or len(raw) > MAX_TARGET or unprintable(target):
        raise InputUnavailable(f"the link {path} has an invalid target", hint="remove or recreate the link")
    return target


def _link_refused(entries: Mapping[str, TreeEntry], path: str, why: str) -> InputUnavailable:
    entry = entries.get(path)
    target = f" to {redact_urls(entry.target)}" if entry and entry.target is not None else ""
    return InputUnavailable(
        f"the link {path}{target} {why}",
        hint="use a relative link within the delivered folder, or deliver a folder that contains both",
    )


def _digest(entries: Mapping[str, TreeEntry]) -> str:
    """Return the SHA-256 of the sorted entries, each ``mode blob target path`` and a zero byte."""

    def mode(entry: TreeEntry) -> str:
        return LINK if entry.target is not None else "100755" if entry.executable else "100644"

    lines = sorted(f"{mode(e)} {e.blob} {e.target or ''} {e.path}\0" for e in entries.values())
    return hashlib.sha256("".join(lines).encode()).hexdigest()
