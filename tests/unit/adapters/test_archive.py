"""What is packed, and what a tar from a stranger may not do."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.archive import Unpacking, pack
from sandboxer.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def _tar(*entries: tuple[str, bytes | str | None, bytes]) -> io.BytesIO:
    """Return a tar of entries: a name, what is in it or where it leads to, and its type."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content, kind in entries:
            entry = tarfile.TarInfo(name)
            entry.type = kind
            if isinstance(content, str):
                entry.linkname = content
            data = content if isinstance(content, bytes) else b""
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    buffer.seek(0)
    return buffer


FILE, FOLDER, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
TOP = ("d", None, FOLDER)


def _unpack(target: Path, tar: io.BytesIO) -> list[str]:
    warned: list[str] = []
    with Unpacking(target, warned.append) as unpacking:
        unpacking.take(tar)
        unpacking.put()
    return warned


@pytest.mark.parametrize(
    "entries",
    [
        [TOP, ("d/../../escaped", b"x", FILE)],
        [("../escaped", b"x", FILE)],
        [TOP, ("d/l", "..", LINK), ("d/l/escaped", b"x", FILE)],
        [TOP, ("d/l", "/", LINK)],
        [TOP, ("d/l", "../..", LINK)],
        [TOP, ("d/a/b", None, FOLDER), ("d/a/b/l", "../..", LINK), ("d/m", "a/b/l/../escaped", LINK)],
        [TOP, ("d/l", "../escaped", LINK), ("d/l", b"x", FILE), ("d/l", "../escaped", LINK)],
        [TOP, ("d/h", "d/none", HARD)],
        [TOP, ("d/h", "/etc/passwd", HARD)],
        [TOP, ("d/l", "x", LINK), ("d/h", "d/l", HARD)],
        [TOP, ("d/f", b"x", FILE), ("d/f/g", b"x", FILE)],
        [TOP, ("d/f", None, FOLDER), ("d/f", b"x", FILE)],
        [("l", "/etc/passwd", LINK)],
    ],
)
def test_nothing_leaves_the_target(tmp_path: Path, entries: list[tuple[str, bytes | str | None, bytes]]) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with pytest.raises(UsageError):
        _unpack(outside / "target", _tar(*entries))
    assert list(outside.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]


def test_what_comes_again_counts_as_it_came_last_and_devices_are_left_out(tmp_path: Path) -> None:
    entries = [
        TOP, ("d/l", "f", LINK), ("d/l", b"new", FILE), ("d/f", b"one", FILE), ("d/f", b"two", FILE),
        ("d/h", "d/f", HARD), ("d/dev", None, tarfile.CHRTYPE), ("/d/deep/er/f", b"x", FILE),
        ("d/in", "deep/../f", LINK),
    ]  # fmt: skip
    warned = _unpack(tmp_path / "target", _tar(*entries))
    target = tmp_path / "target"
    assert (target / "l").read_bytes() == b"new"
    assert (target / "h").read_bytes() == (target / "f").read_bytes() == (target / "in").read_bytes() == b"two"
    assert (target / "deep/er/f").exists()
    assert warned == ["d/dev is not a file, folder or link; skipped"]


@pytest.mark.parametrize("cut", [0, 100, 700, 1500])
def test_what_is_torn_is_not_put_in_place(tmp_path: Path, cut: int) -> None:
    target = tmp_path / "target"
    target.write_text("before")
    torn = io.BytesIO(_tar(("f", b"x" * 2000, FILE)).getvalue()[:cut])
    with pytest.raises(EOFError):
        _unpack(target, torn)
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_merged_only_where_all_of_it_fits(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (target / "a" / "sub").mkdir(parents=True)
    (target / "z").mkdir()
    tar = _tar(TOP, ("d/a/sub/f", b"x", FILE), ("d/z", b"x", FILE))
    with pytest.raises(UsageError, match="is a folder; cannot replace it with a file"):
        _unpack(target, tar)
    assert list((target / "a" / "sub").iterdir()) == []
    (target / "z").rmdir()
    tar.seek(0)
    _unpack(target, tar)
    assert (target / "a/sub/f").exists()
    away = tmp_path / "away"
    away.mkdir()
    (target / "a" / "sub" / "f").unlink()
    (target / "a" / "sub").rmdir()
    (target / "a" / "sub").symlink_to(away)
    tar.seek(0)
    with pytest.raises(UsageError, match="is not a folder"):
        _unpack(target, tar)
    assert list(away.iterdir()) == [], "a link of the user's is not followed"


def test_what_is_packed_belongs_to_root_and_is_what_was_named(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "f").write_text("x")
    (source / "l").symlink_to("/etc/passwd")
    (tmp_path / "alias").symlink_to(source)
    packed = {}
    for path, name in ((source, "name"), (tmp_path / "alias", "alias"), (source, "")):
        buffer = io.BytesIO()
        pack(path, name, buffer, lambda words: None)
        buffer.seek(0)
        with tarfile.open(fileobj=buffer) as tar:
            packed[path.name + name] = [(entry.name, entry.type) for entry in tar]
            assert {(entry.uid, entry.gid, entry.uname) for entry in tar} == {(0, 0, "")}
    assert packed["sourcename"] == [("name", FOLDER), ("name/f", FILE), ("name/l", LINK)]
    assert packed["aliasalias"] == [("alias", FOLDER), ("alias/f", FILE), ("alias/l", LINK)]
    assert packed["source"] == [("f", FILE), ("l", LINK)]
    with pytest.raises(UsageError, match="cannot read"):
        pack(tmp_path / "none", "none", io.BytesIO(), lambda words: None)
