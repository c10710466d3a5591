"""Manifests are read from the work tree or from git's objects, and only what is a manifest."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.git import FleetRepository
from sandboxer.errors import SourceError
from tests.support.gitrepo import FIRST_COMMIT_AT, FLEET, GitRepo, as_bytes, isolate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    return GitRepo.fleet(tmp_path / "fleet")


def test_the_work_tree_of_a_clean_fleet(repo: GitRepo) -> None:
    found = FleetRepository(repo.path).read(None)

    assert dict(found.files) == as_bytes(FLEET)
    assert found.commit == found.root_commit == repo.git("rev-parse", "HEAD")
    assert found.committed_at == datetime.fromtimestamp(FIRST_COMMIT_AT, UTC)
    assert not found.dirty


@pytest.mark.parametrize(
    ("path", "content", "dirty"),
    [
        ("manifests/a.yaml", "changed\n", True),
        ("manifests/untracked.yaml", "new\n", True),
        ("manifests/team/b.yml", None, True),
        ("README.md", "changed\n", False),
        ("elsewhere/x.yaml", "new\n", False),
        ("manifests/notes.txt", "changed\n", False),
    ],
)
def test_only_manifests_make_a_fleet_dirty(repo: GitRepo, path: str, content: str | None, dirty: bool) -> None:
    if content is None:
        (repo.path / path).unlink()
    else:
        repo.write(path, content)

    assert FleetRepository(repo.path).read(None).dirty is dirty


def test_a_manifest_that_git_ignores_is_read_so_it_makes_the_fleet_dirty(repo: GitRepo) -> None:
    repo.commit({".gitignore": "manifests/mine.yaml\n"})
    repo.write("manifests/mine.yaml", "mine\n")

    found = FleetRepository(repo.path).read(None)

    assert found.files["manifests/mine.yaml"] == b"mine\n"
    assert found.dirty


def test_line_endings_that_git_converts_are_no_difference(repo: GitRepo) -> None:
    repo.git("config", "core.autocrlf", "true")
    repo.write("manifests/a.yaml", "a\r\n")

    assert not FleetRepository(repo.path).read(None).dirty


def test_a_revision_is_read_without_touching_the_work_tree(repo: GitRepo) -> None:
    first = repo.git("rev-parse", "HEAD")
    repo.git("tag", "-a", "-m", "v1", "v1")
    repo.commit({"manifests/a.yaml": "second\n"})
    repo.write("manifests/a.yaml", "not committed\n")
    repo.write("manifests/staged.yaml", "staged\n")
    repo.git("add", "manifests/staged.yaml")
    index = repo.path / ".git/index"
    os.utime(index, (1, 1))
    before = sorted((str(p), p.lstat().st_mtime_ns) for p in repo.path.rglob("*"))

    fleet = FleetRepository(repo.path)
    found = {ref: fleet.read(ref) for ref in ("v1", "HEAD~1", first, first[:10])}
    fleet.read("main")
    fleet.read(None)
    fleet.history(None)

    assert all(dict(r.files) == as_bytes(FLEET) and r.commit == first and not r.dirty for r in found.values())
    assert sorted((str(p), p.lstat().st_mtime_ns) for p in repo.path.rglob("*")) == before


def test_a_fleet_in_a_folder_of_its_repository(tmp_path: Path) -> None:
    repo = GitRepo.create(tmp_path / "mono")
    first = repo.commit({"other/x": "x"})
    repo.commit({f"deploy/fleet/{path}": text for path, text in FLEET.items()} | {"manifests/not-ours.yaml": "x"})
    fleet = FleetRepository(repo.path / "deploy/fleet")

    assert dict(fleet.read(None).files) == dict(fleet.read("HEAD").files) == as_bytes(FLEET)
    assert fleet.read(None).root_commit == first
    assert not fleet.read(None).dirty
    repo.write("manifests/not-ours.yaml", "changed")
    assert not fleet.read(None).dirty
    repo.write("deploy/fleet/profiles/p.yaml", "changed")
    assert fleet.read(None).dirty


def test_a_linked_work_tree(repo: GitRepo, tmp_path: Path) -> None:
    repo.git("worktree", "add", "-q", "-b", "topic", str(tmp_path / "linked"))
    linked = GitRepo(tmp_path / "linked", repo.commits)
    commit = linked.commit({"manifests/a.yaml": "topic\n"})

    assert FleetRepository(linked.path).read(None).commit == commit
    assert FleetRepository(repo.path).read("topic").files["manifests/a.yaml"] == b"topic\n"


def test_a_folder_in_no_repository_is_a_fleet_without_commit(tmp_path: Path) -> None:
    (tmp_path / "sandboxer.yaml").write_text("fleet\n")
    fleet = FleetRepository(tmp_path)

    found = fleet.read(None)

    assert (found.commit, found.root_commit, found.committed_at, found.dirty) == (None, None, None, False)
    assert fleet.history(None) == ()
    assert fleet.is_ancestor("a" * 40, "b" * 40) is None
    with pytest.raises(SourceError, match="not in a git repository"):
        fleet.read("main")


def test_a_repository_without_a_commit_is_dirty(tmp_path: Path) -> None:
    repo = GitRepo.create(tmp_path / "new")
    repo.write("sandboxer.yaml")

    found = FleetRepository(repo.path).read(None)

    assert (found.commit, found.dirty) == (None, True)
    with pytest.raises(SourceError, match="no revision 'HEAD'"):
        FleetRepository(repo.path).read("HEAD")


def test_a_missing_fleet_file_is_reported_with_what_to_do(repo: GitRepo, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no sandboxer\.yaml in") as missing:
        FleetRepository(tmp_path).read(None)
    assert "-C DIR" in missing.value.hint

    repo.git("checkout", "-q", "--orphan", "empty")
    repo.git("rm", "-rqf", ".")
    repo.commit()
    with pytest.raises(SourceError, match=r"no sandboxer\.yaml at empty"):
        FleetRepository(repo.path).read("empty")
    with pytest.raises(SourceError, match="no folder"):
        FleetRepository(tmp_path / "nowhere").read(None)


@pytest.mark.parametrize("bad", ["", "-main", "--all", "ma\nin", "\x1b[2J"])
def test_what_git_may_not_be_handed_is_refused(repo: GitRepo, bad: str) -> None:
    with pytest.raises(SourceError, match="cannot be passed to git"):
        FleetRepository(repo.path).read(bad)


def test_an_unknown_revision_names_its_neighbours(repo: GitRepo) -> None:
    repo.git("branch", "feature/checkout")

    with pytest.raises(SourceError, match="no revision 'feature/chekout'") as unknown:
        FleetRepository(repo.path).read("feature/chekout")

    assert "feature/checkout" in unknown.value.hint
    with pytest.raises(SourceError, match=r"no revision 'main\.\.HEAD'"):
        FleetRepository(repo.path).read("main..HEAD")
    with pytest.raises(SourceError, match="no revision"):
        FleetRepository(repo.path).read("HEAD:manifests")


class TestOddFiles:
    @pytest.mark.parametrize(
        ("path", "target", "why"),
        [
            ("manifests/out.yaml", "../../secret.yaml", "points outside the fleet's folder"),
            ("manifests/out.yaml", "/etc/hostname", "points outside the fleet's folder"),
            ("manifests/more", "../other", "points to a folder"),
            ("manifests/gone.yaml", "nothing.yaml", "points to a missing file"),
            ("manifests/round.yaml", "round.yaml", "points to a missing file"),
        ],
    )
    def test_a_link_out_of_the_fleet_is_named_not_followed(
        self, repo: GitRepo, tmp_path: Path, path: str, target: str, why: str
    ) -> None:
        (tmp_path / "secret.yaml").write_text("secret")
        repo.write("other/o.yaml")
        repo.link(path, target)
        repo.commit()

        for revision in (None, "HEAD"):
            with pytest.raises(SourceError, match=f"{path} is a link that {why}"):
                FleetRepository(repo.path).read(revision)

    def test_a_link_within_the_fleet_is_followed_in_both(self, repo: GitRepo) -> None:
        repo.write("shared/s.yaml", "shared\n")
        repo.link("manifests/s.yaml", "../shared/s.yaml")
        repo.commit()
        fleet = FleetRepository(repo.path)

        assert fleet.read(None).files["manifests/s.yaml"] == b"shared\n"
        assert fleet.read("HEAD").files["manifests/s.yaml"] == b"shared\n"
        assert not fleet.read(None).dirty
        repo.write("shared/s.yaml", "changed\n")
        assert fleet.read(None).dirty

    def test_a_link_shows_no_file_that_is_no_manifest(self, repo: GitRepo) -> None:
        repo.write(".env", "PASSWORD=x\n")
        repo.link("manifests/env.yaml", "../.env")
        with pytest.raises(SourceError, match="not a manifest"):
            FleetRepository(repo.path).read(None)

    def test_a_large_file_is_cut_one_byte_above_the_limit(self, repo: GitRepo) -> None:
        repo.write("manifests/large.yaml", b"x" * 3_000_000)
        repo.commit()
        fleet = FleetRepository(repo.path)

        for revision in (None, "HEAD"):
            assert len(fleet.read(revision).files["manifests/large.yaml"]) == 1024 * 1024 + 1
            assert fleet.read(revision).files["profiles/p.yaml"] == b"p\n"

    def test_a_submodule_among_manifests_is_refused(self, repo: GitRepo, tmp_path: Path) -> None:
        other = GitRepo.create(tmp_path / "other")
        other.commit({"x.yaml": "x"})
        repo.git("submodule", "--quiet", "add", str(other.path), "manifests/shared")
        repo.commit()

        for revision in (None, "HEAD"):
            with pytest.raises(SourceError, match="manifests/shared is a submodule"):
                FleetRepository(repo.path).read(revision)

    def test_what_is_no_file_or_has_no_plain_name_is_refused(self, repo: GitRepo) -> None:
        os.mkfifo(repo.path / "manifests/pipe.yaml")
        with pytest.raises(SourceError, match=r"pipe\.yaml is not a file"):
            FleetRepository(repo.path).read(None)
        (repo.path / "manifests/pipe.yaml").unlink()

        repo.write("manifests/two\nlines.yaml")
        repo.commit()
        for revision in (None, "HEAD"):
            with pytest.raises(SourceError, match="without control characters"):
                FleetRepository(repo.path).read(revision)


def test_a_repository_of_sha256(tmp_path: Path) -> None:
    repo = GitRepo.create(tmp_path / "new-hash", "--object-format=sha256")
    repo.commit(FLEET)
    repo.commit({"manifests/a.yaml": "second\n"})
    fleet = FleetRepository(repo.path)

    assert not fleet.read(None).dirty
    assert len(fleet.read(None).commit or "") == 64
    assert [dict(r.files) for r in fleet.history(None)] == [as_bytes(FLEET)]


def test_replaced_objects_do_not_change_what_a_commit_has(repo: GitRepo) -> None:
    repo.git("replace", repo.git("rev-parse", "HEAD:manifests/a.yaml"), repo.blob("replaced\n"))
    assert FleetRepository(repo.path).read("HEAD").files["manifests/a.yaml"] == b"a\n"
