"""Prefetched files come with one git process for each repository; what it does not find is read as usual."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.git_inputs import GitInputs
from sandboxer.errors import InputUnavailable
from tests.support.gitrepo import GitRepo, isolate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GitRepo:
    isolate(monkeypatch, tmp_path)
    (tmp_path / "fleet").mkdir()
    made = GitRepo.create(tmp_path / "shop")
    made.link("link.yaml", "a.yaml")
    made.commit({"a.yaml": "a\n", "b.yaml": "b\n", "large": "x" * 2_000_000})
    return made


def test_what_was_prefetched_needs_no_git(repo: GitRepo, tmp_path: Path) -> None:
    inputs = GitInputs(tmp_path / "fleet")
    tree = inputs.resolve("../shop", "main", ".")
    inputs.prefetch((tree, path) for path in ("link.yaml", "b.yaml", "large", "none"))
    shutil.rmtree(repo.path)
    assert inputs.read(tree, "a.yaml") == b"a\n"
    assert inputs.read(tree, "b.yaml") == b"b\n"
    with pytest.raises(InputUnavailable):
        inputs.read(tree, "large")


def test_what_cannot_be_prefetched_is_an_error_only_where_it_is_read(repo: GitRepo, tmp_path: Path) -> None:
    inputs = GitInputs(tmp_path / "fleet")
    tree = inputs.resolve("../shop", "main", ".")
    shutil.rmtree(repo.path)
    inputs.prefetch([(tree, "a.yaml"), (tree, "b.yaml")])
    with pytest.raises(InputUnavailable):
        inputs.read(tree, "a.yaml")
