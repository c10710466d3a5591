"""A git that is missing, hangs or is misconfigured is reported with a hint, and nothing is left running."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.git import FleetRepository
from sandboxer.errors import SourceError
from tests.support.gitrepo import GitRepo, isolate

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    return GitRepo.fleet(tmp_path / "fleet")


def test_the_variables_of_a_git_hook_do_not_mislead(
    repo: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = GitRepo.create(tmp_path / "other")
    other.commit({"x": "x"})
    monkeypatch.setenv("GIT_DIR", str(other.path / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.path / ".git/index"))
    monkeypatch.setenv("GIT_PREFIX", "x/")

    found = FleetRepository(repo.path).read(None)

    assert found.commit == repo.git("rev-parse", "HEAD")
    assert not found.dirty


def test_a_repository_that_git_cannot_use_is_no_missing_repository(repo: GitRepo) -> None:
    (repo.path / ".git/HEAD").write_text("garbage")
    with pytest.raises(SourceError, match="cannot be used"):
        FleetRepository(repo.path).read(None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to someone else")
def test_a_repository_of_another_user_gets_a_hint(repo: GitRepo) -> None:
    for path in (repo.path, repo.path / ".git"):
        shutil.chown(path, 12345)
    with pytest.raises(SourceError, match="owned by another user") as refused:
        FleetRepository(repo.path).read(None)
    assert f"safe.directory '{repo.path}'" in refused.value.hint


def test_a_machine_without_git_is_reported(repo: GitRepo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    FleetRepository(repo.path).read(None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="git cannot be run") as missing:
        FleetRepository(repo.path).read(None)
    assert "install git" in missing.value.hint


def test_a_git_that_hangs_is_ended(repo: GitRepo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    FleetRepository(repo.path).read(None)
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "bin/git"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    with pytest.raises(SourceError, match=r"no result within 0\.2 s"):
        FleetRepository(repo.path, timeout=0.2).read(None)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
def test_nothing_is_left_running(repo: GitRepo) -> None:
    fleet = FleetRepository(repo.path)
    fleet.read("HEAD")
    fleet.history("HEAD")
    assert os.fsencode(repo.path) not in b"".join(_command_lines())


def _command_lines() -> Iterator[bytes]:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it may have ended
            yield file.read_bytes()
