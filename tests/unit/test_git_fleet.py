"""Manifests are read from the work tree or from git's objects, and what git had before is told."""

from __future__ import annotations

import contextlib
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.git import FleetRepository
from sandboxer.errors import SourceError
from tests.support.gitrepo import FIRST_COMMIT_AT, GitRepo, isolate

if TYPE_CHECKING:
    from collections.abc import Iterator

FLEET = {
    "sandboxer.yaml": "fleet\n",
    "manifests/a.yaml": "a\n",
    "manifests/team/b.yml": "b\n",
    "profiles/p.yaml": "p\n",
    "extensions/e.yaml": "e\n",
}


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    made = GitRepo.create(tmp_path / "fleet")
    made.commit({**FLEET, "README.md": "not a manifest\n", "manifests/notes.txt": "nor this\n"})
    return made


def as_bytes(files: dict[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in files.items()}


def clone(repo: GitRepo, where: Path, *options: str) -> GitRepo:
    repo.git("clone", "-q", *options, repo.path.as_uri(), str(where))
    return GitRepo(where, repo.commits)


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
    with pytest.raises(SourceError, match="in no git repository"):
        fleet.read("main")


def test_a_repository_without_a_commit_is_dirty(tmp_path: Path) -> None:
    repo = GitRepo.create(tmp_path / "new")
    repo.write("sandboxer.yaml")

    found = FleetRepository(repo.path).read(None)

    assert (found.commit, found.dirty) == (None, True)
    with pytest.raises(SourceError, match="no revision 'HEAD'"):
        FleetRepository(repo.path).read("HEAD")


def test_a_missing_fleet_file_is_told_with_what_to_do(repo: GitRepo, tmp_path: Path) -> None:
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
    with pytest.raises(SourceError, match="is not one that git"):
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


def test_a_shallow_clone_knows_no_root_and_says_how_to_get_more(repo: GitRepo, tmp_path: Path) -> None:
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


def test_ancestry_is_strict_and_none_where_it_cannot_be_told(repo: GitRepo, tmp_path: Path) -> None:
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


class TestOddFiles:
    @pytest.mark.parametrize(
        ("path", "target", "why"),
        [
            ("manifests/out.yaml", "../../secret.yaml", "leaves the fleet's folder"),
            ("manifests/out.yaml", "/etc/hostname", "leaves the fleet's folder"),
            ("manifests/more", "../other", "leads to a folder"),
            ("manifests/gone.yaml", "nothing.yaml", "leads nowhere"),
            ("manifests/round.yaml", "round.yaml", "leads nowhere"),
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
        with pytest.raises(SourceError, match="no manifest"):
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
def test_a_repository_of_another_user_says_what_to_do(repo: GitRepo) -> None:
    for path in (repo.path, repo.path / ".git"):
        shutil.chown(path, 12345)
    with pytest.raises(SourceError, match="belongs to another user") as refused:
        FleetRepository(repo.path).read(None)
    assert f"safe.directory '{repo.path}'" in refused.value.hint


def test_a_machine_without_git_is_told(repo: GitRepo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    FleetRepository(repo.path).read(None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceError, match="git cannot be run") as missing:
        FleetRepository(repo.path).read(None)
    assert "Install git" in missing.value.hint


def test_a_git_that_hangs_is_ended(repo: GitRepo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    FleetRepository(repo.path).read(None)
    (tmp_path / "bin").mkdir()
    slow = tmp_path / "bin/git"
    slow.write_text("#!/bin/sh\nexec sleep 30\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    with pytest.raises(SourceError, match=r"not done within 0\.2 s"):
        FleetRepository(repo.path, timeout=0.2).read(None)


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
