"""The search for a fleet, from a folder upwards: what it finds, where it ends, and whose fleet it refuses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.fleet_folder import find_fleet
from sandboxer.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def below(tmp_path: Path) -> Path:
    """A folder two levels below ``top``, which may become a fleet or a repository."""
    folder = tmp_path / "top/manifests/team"
    folder.mkdir(parents=True)
    return folder


def put(folder: Path, name: str) -> None:
    (folder / name).write_text("")


def test_it_is_the_nearest_folder_with_the_file(below: Path, tmp_path: Path) -> None:
    put(tmp_path, "sandboxer.yaml")
    assert find_fleet(below) == tmp_path
    put(tmp_path / "top", "sandboxer.yaml")
    assert find_fleet(below) == tmp_path / "top"
    put(below, "sandboxer.yaml")
    assert find_fleet(below) == below


def test_a_folder_of_that_name_is_no_fleet(below: Path, tmp_path: Path) -> None:
    put(tmp_path, "sandboxer.yaml")
    (tmp_path / "top/sandboxer.yaml").mkdir()
    assert find_fleet(below) == tmp_path


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_a_repository_is_not_left_upwards(below: Path, tmp_path: Path, kind: str) -> None:
    put(tmp_path, "sandboxer.yaml")
    if kind == "directory":
        (tmp_path / "top/.git").mkdir()
    else:
        put(tmp_path / "top", ".git")  # a worktree or submodule
    with pytest.raises(SourceError) as caught:
        find_fleet(below)
    assert caught.value.message == (
        f"there is no sandboxer.yaml in {below} or in a folder above it, up to {tmp_path / 'top'}, the root of its git "
        "repository"
    )
    assert "-C DIR" in caught.value.hint


def test_the_root_of_a_repository_may_be_the_fleet(below: Path, tmp_path: Path) -> None:
    (tmp_path / "top/.git").mkdir()
    put(tmp_path / "top", "sandboxer.yaml")
    assert find_fleet(below) == tmp_path / "top"


def test_where_nothing_lies_above_only_that_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    with pytest.raises(SourceError) as caught:
        find_fleet(tmp_path)
    assert caught.value.message == f"there is no sandboxer.yaml in {tmp_path}"


def test_a_file_system_is_not_left(below: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "sandboxer.yaml")
    real, top = type(below).stat, tmp_path / "top"

    def stat(path: Path, **given: bool) -> os.stat_result:
        found = real(path, **given)
        if path.is_relative_to(top):
            return found
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:]))

    monkeypatch.setattr(type(below), "stat", stat)
    with pytest.raises(SourceError, match=f"up to {top}$"):
        find_fleet(below)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_fleet_that_another_user_put_above_is_refused(below: Path, tmp_path: Path) -> None:
    put(tmp_path, "sandboxer.yaml")
    os.chown(tmp_path / "sandboxer.yaml", 4711, 4711)
    with pytest.raises(SourceError, match="another user") as caught:
        find_fleet(below)
    assert caught.value.hint == f"to use this fleet, select it with -C {tmp_path}"
    assert find_fleet(tmp_path) == tmp_path  # where the user went by intention
