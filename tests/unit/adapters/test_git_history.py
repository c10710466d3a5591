"""The history in git: a fleet's first commit, what was before a revision, which commit is the older one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.git import FleetRepository
from sandboxer.errors import SourceError
from tests.support.gitrepo import FLEET, GitRepo, as_bytes, isolate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    return GitRepo.fleet(tmp_path / "fleet")


def clone(repo: GitRepo, where: Path, *options: str) -> GitRepo:
    repo.git("clone", "-q", *options, repo.path.as_uri(), str(where))
    return GitRepo(where, repo.commits)


def test_a_shallow_clone_knows_no_root_and_has_a_hint(repo: GitRepo, tmp_path: Path) -> None:
    first = repo.git("rev-parse", "HEAD")
    second = repo.commit({"manifests/a.yaml": "second\n"})
    third = repo.commit({"manifests/a.yaml": "third\n"})
    fleet = FleetRepository(clone(repo, tmp_path / "shallow", "--depth=1").path)

    found = fleet.read(None)

    assert (found.commit, found.root_commit, found.dirty) == (third, None, False)
    assert fleet.history(None) == ()
    with pytest.raises(SourceError) as unknown:
        fleet.read(first)
    assert "fetch-depth: 0" in unknown.value.hint
    assert fleet.is_ancestor(second, third) is None
    assert fleet.is_ancestor(third, third) is False


def test_ancestry_is_strict_and_none_where_it_is_unknown(repo: GitRepo, tmp_path: Path) -> None:
    first = repo.git("rev-parse", "HEAD")
    second = repo.commit()
    third = repo.commit()
    repo.git("checkout", "-q", "-b", "side", first)
    side = repo.commit({"x": "side"})
    fleet = FleetRepository(repo.path)

    assert fleet.is_ancestor(first, third) is True
    assert fleet.is_ancestor(third, first) is False
    assert fleet.is_ancestor(second, second) is False
    assert fleet.is_ancestor(side, third) is False
    for odd in ("f" * 40, "--help", "", "a\nb", "nope"):
        assert fleet.is_ancestor(odd, third) is None
        assert fleet.is_ancestor(third, odd) is None

    repo.git("checkout", "-q", "main")
    shallow = FleetRepository(clone(repo, tmp_path / "two", "--depth=2").path)
    assert shallow.is_ancestor(second, third) is True
    assert shallow.is_ancestor(third, second) is False
    assert shallow.is_ancestor(first, third) is None


def test_the_root_is_that_of_the_first_parents(repo: GitRepo) -> None:
    root = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "-q", "--orphan", "imported")
    repo.git("rm", "-rqf", ".")
    repo.commit({"imported": "x"})
    repo.git("checkout", "-q", "main")
    repo.git("merge", "-q", "--allow-unrelated-histories", "-m", "import", "imported")

    assert FleetRepository(repo.path).read(None).root_commit == root


class TestHistory:
    def test_a_clean_tree_has_its_first_parent_before_it(self, repo: GitRepo) -> None:
        first = repo.git("rev-parse", "HEAD")
        repo.commit({"manifests/a.yaml": "second\n"})
        fleet = FleetRepository(repo.path)

        for revision in (None, "HEAD"):
            fleet.read(revision)
            (before,) = fleet.history(revision)
            assert before.commit == first
            assert dict(before.files) == as_bytes(FLEET)
            assert before.root_commit == first

    def test_a_dirty_tree_has_head_and_its_parent_before_it(self, repo: GitRepo) -> None:
        first = repo.git("rev-parse", "HEAD")
        second = repo.commit({"manifests/a.yaml": "second\n"})
        repo.write("manifests/a.yaml", "third\n")

        assert [r.commit for r in FleetRepository(repo.path).history(None)] == [second, first]

    def test_a_parent_with_the_same_manifests_is_left_out(self, repo: GitRepo) -> None:
        repo.commit({"README.md": "changed\n", "manifests/notes.txt": "changed\n"})

        assert FleetRepository(repo.path).history(None) == ()
        assert FleetRepository(repo.path).history("main") == ()

    def test_the_first_commit_has_nothing_before_it(self, repo: GitRepo) -> None:
        assert FleetRepository(repo.path).history("HEAD") == ()

    def test_of_a_merge_it_is_the_first_parent(self, repo: GitRepo) -> None:
        repo.git("checkout", "-q", "-b", "topic")
        repo.commit({"manifests/topic.yaml": "t\n"})
        repo.git("checkout", "-q", "main")
        main = repo.commit({"README.md": "more\n"})
        repo.git("merge", "-q", "--no-ff", "-m", "merge", "topic")

        (before,) = FleetRepository(repo.path).history(None)

        assert before.commit == main
        assert "manifests/topic.yaml" not in before.files

    def test_a_parent_that_was_no_readable_fleet_is_left_out(self, tmp_path: Path) -> None:
        repo = GitRepo.create(tmp_path / "late")
        repo.commit({"README.md": "before the fleet"})
        repo.commit(FLEET)
        assert FleetRepository(repo.path).history(None) == ()

        repo.link("manifests/out.yaml", "/etc/hostname")
        repo.commit()
        (repo.path / "manifests/out.yaml").unlink()
        repo.commit()
        assert FleetRepository(repo.path).history(None) == ()
