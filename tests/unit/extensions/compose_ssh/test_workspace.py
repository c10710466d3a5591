"""Delivered files by number, size and time: what the host's scripts print, and what counts as complete."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandboxer.extensions.compose_ssh.policy import Bind
from sandboxer.extensions.compose_ssh.workspace import Workspace
from sandboxer.hosts.observation import file_sums
from sandboxer.hosts.scripts import script
from sandboxer.model.observed import FileSums
from sandboxer.model.protocols import InputTree, TreeEntry

if TYPE_CHECKING:
    from pathlib import Path

ODD = ("plain", "two words", "star*", "-n", "back\\slash", "tab\there", 'quo"te', "ü", "deep/er/file")
SHELLS = [shell for shell in ("dash", "bash", "busybox sh") if shutil.which(shell.split()[0])]


def printed(folder: Path, names: int, *folders: str, shell: str = "sh", path: str = "") -> dict[str, FileSums]:
    """Return what files.sh prints of folders below ``folder``."""
    text = script("files.sh") + '\nfile_sums "$@"\n'
    words = [*shell.split(), "-c", text, "sh", str(folder), str(names), *folders]
    env = {"PATH": path or os.environ["PATH"], "LC_ALL": "C"}
    done = subprocess.run(words, capture_output=True, env=env, check=True, timeout=60)
    return file_sums(done.stdout)


def put(path: Path, content: str, seconds: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    os.utime(path, (0, seconds))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for at, name in enumerate(ODD):
        put(tmp_path / "one/workspace/tree/aa" / name, "x" * at, 1_000_000_000 + at)
    put(tmp_path / "one/workspace/bind/bb/file", "four", 7)
    put(tmp_path / "two/workspace/tree/cc/file", "12", 1_200_000_000)
    (tmp_path / "one/workspace/tree/aa/link").symlink_to("plain")
    (tmp_path / "one/workspace/tree/empty").mkdir()
    return tmp_path


@pytest.fixture
def busybox(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH with busybox's find and stat alone."""
    program = shutil.which("busybox")
    if program is None:
        pytest.skip("there is no busybox here")
    folder = tmp_path_factory.mktemp("bin")
    for name in ("find", "stat"):
        (folder / name).symlink_to(program)
    return str(folder)


EXPECTED = {
    "one": FileSums(len(ODD) + 1, sum(range(len(ODD))) + 4, len(ODD) * 1_000_000_000 + sum(range(len(ODD))) + 7),
    "two": FileSums(1, 2, 1_200_000_000),
}


@pytest.mark.parametrize("shell", SHELLS)
def test_sums_by_sandbox(folder: Path, shell: str) -> None:
    folders = ("one/workspace/tree", "one/workspace/bind", "two/workspace/tree")
    assert printed(folder, 1, *folders, shell=shell) == EXPECTED


def test_busyboxs_find_prints_the_same(folder: Path, busybox: str) -> None:
    folders = ("one/workspace/tree", "one/workspace/bind", "two/workspace/tree")
    assert printed(folder, 1, *folders, shell="/bin/sh", path=busybox) == EXPECTED


def test_sums_by_delivered_folder(folder: Path, busybox: str) -> None:
    expected = {"tree/cc": FileSums(1, 2, 1_200_000_000)}
    assert printed(folder / "two/workspace", 2, "tree/cc") == expected
    assert printed(folder / "two/workspace", 2, "tree/cc", shell="/bin/sh", path=busybox) == expected
    both = printed(folder / "one/workspace", 2, "tree/aa", "tree/empty", "bind/bb")
    assert list(both) == ["tree/aa", "bind/bb"]
    assert both["bind/bb"] == FileSums(1, 4, 7)


def test_a_name_of_two_lines_is_nobody_elses_file(folder: Path, busybox: str) -> None:
    forged = folder / "two/workspace/tree/cc/x\n9 9 one"
    put(forged / "file", "", 0)
    folders = ("one/workspace/tree", "one/workspace/bind", "two/workspace/tree")
    assert printed(folder, 1, *folders)["one"] == EXPECTED["one"]
    assert printed(folder, 1, *folders)["two"].files == 2
    assert printed(folder, 1, *folders, shell="/bin/sh", path=busybox) == EXPECTED


# --- whole or not

ENTRIES = {
    path: TreeEntry(path, blob * 40, target="conf" if path == "alias" else None)
    for path, blob in {"compose.yaml": "0", "conf/a": "1", "conf/b": "2", "confuse": "3", "alias": "4"}.items()
}
TREE = InputTree("repo", "main", "c" * 40, ".", "dd", ENTRIES)


def sums(*paths: str) -> FileSums:
    return FileSums(len(paths), 0, sum(ENTRIES[path].seconds for path in paths))


def test_a_tree_is_whole_where_its_files_and_their_times_are_those_of_its_content() -> None:
    every = ("compose.yaml", "conf/a", "conf/b", "confuse")
    trees = frozenset({"dd"})
    assert Workspace(trees, {"tree/dd": sums(*every)}).has_tree(TREE, None)
    assert not Workspace(frozenset(), {"tree/dd": sums(*every)}).has_tree(TREE, None)
    assert not Workspace(trees, {"tree/dd": sums(*every[1:])}).has_tree(TREE, None)
    assert not Workspace(trees, {"tree/dd": FileSums(4, 0, 4)}).has_tree(TREE, None)
    assert not Workspace(trees, {}).has_tree(TREE, None)
    assert Workspace(trees, {"tree/dd": sums("compose.yaml")}).has_tree(TREE, ["compose.yaml", "alias"])
    assert not Workspace(trees, {"tree/dd": sums("compose.yaml")}).has_tree(TREE, None)


@pytest.mark.parametrize(
    ("source", "inside"),
    [
        ("conf", ("conf/a", "conf/b")),
        ("conf/a", ("conf/a",)),
        ("", ("compose.yaml", "conf/a", "conf/b", "confuse")),
    ],
)
def test_a_mounted_folder_is_whole_where_it_holds_what_lies_below_its_source(
    source: str, inside: tuple[str, ...]
) -> None:
    mounts = {"bind/bb": [Bind(source, "bb", "/w/bind/bb/name", False, ("web",))]}
    assert Workspace(files={"bind/bb": sums(*inside)}).damaged(TREE, mounts) == []
    assert Workspace(files={"bind/bb": sums(*inside[:-1])}).damaged(TREE, mounts) == ["bind/bb"]
    assert Workspace(files={}).damaged(TREE, mounts) == ["bind/bb"]


def test_files_of_equal_content_share_a_folder() -> None:
    binds = [Bind(source, "bb", f"/w/bind/bb/{source[-1]}", False, ("web",)) for source in ("conf/a", "conf/b")]
    assert Workspace(files={"bind/bb": sums("conf/a", "conf/b")}).damaged(TREE, {"bind/bb": binds}) == []
    assert Workspace(files={"bind/bb": sums("conf/a")}).damaged(TREE, {"bind/bb": binds}) == ["bind/bb"]
    twice = [Bind("conf/b", "bb", binds[0].destination, False, ("db",)), binds[0]]
    assert Workspace(files={"bind/bb": sums("conf/a")}).damaged(TREE, {"bind/bb": twice}) == []


def test_what_containers_may_write_to_is_theirs() -> None:
    bind = Bind("conf", "bb", "/w/bind-rw/bb/name", True, ("web",))
    assert Workspace(files={}).damaged(TREE, {"bind-rw/bb": [bind]}) == []


def test_where_nothing_is_known_what_is_there_counts_as_whole() -> None:
    known = Workspace(frozenset({"dd"}))
    assert known.has_tree(TREE, None)
    assert known.damaged(TREE, {"bind/bb": [Bind("conf", "bb", "/w/bind/bb/name", False, ())]}) == []
    assert known.total is None
    assert Workspace(files={"tree/dd": FileSums(1, 2, 3), "bind/bb": FileSums(4, 5, 6)}).total == FileSums(5, 7, 9)
