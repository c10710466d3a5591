"""A sandbox's files come from one commit's objects, exactly, and nothing that leaves its tree is delivered."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import threading
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters import git_inputs, git_tree
from sandboxer.adapters.git_inputs import GitInputs
from sandboxer.errors import InputUnavailable
from tests.support.gitrepo import GitRepo, archive_of, isolate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    (tmp_path / "fleet").mkdir()
    return tmp_path / "fleet"


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    made = GitRepo.create(tmp_path / "checkout")
    made.write("run.sh", "#!/bin/sh\n", executable=True)
    made.link("web/index", "html/index.html")
    made.commit({"web/html/index.html": "hello\n", "e2e/compose.yaml": "services: {}\n"})
    return made


class TestResolve:
    def test_head_of_the_fleets_own_repository_is_the_revision_that_is_planned(self, tmp_path: Path) -> None:
        fleet = GitRepo.create(tmp_path / "own")
        other = GitRepo.create(tmp_path / "other")
        old = fleet.commit({"fleets/a/sandboxer.yaml": "old\n", "app/compose.yaml": "old\n"})
        elsewhere = other.commit({"compose.yaml": "x\n"})
        new = fleet.commit({"app/compose.yaml": "new\n"})
        root = fleet.path / "fleets/a"

        assert GitInputs(root).resolve("../..", "HEAD", "app").commit == new
        planned = GitInputs(root, revision=old)
        assert {planned.resolve(repo, "HEAD", ".").commit for repo in (".", "../..", "../../app")} == {old}
        assert planned.resolve("../..", "main", "app").commit == new
        assert planned.resolve("../../../other", "HEAD", ".").commit == elsewhere

    def test_the_tracked_files_of_the_commit(self, repo: GitRepo, fleet: Path) -> None:
        commit = repo.git("rev-parse", "HEAD")
        repo.write("untracked")
        repo.write("run.sh", "changed, not committed")

        tree = GitInputs(fleet).resolve("../checkout", "main", ".")

        assert (tree.repo, tree.ref, tree.commit, tree.path) == ("../checkout", "main", commit, ".")
        assert sorted(tree.entries) == ["e2e/compose.yaml", "run.sh", "web/html/index.html", "web/index"]
        assert tree.entries["run.sh"].executable
        assert not tree.entries["e2e/compose.yaml"].executable
        assert tree.entries["web/index"].target == "html/index.html"
        assert tree.entries["run.sh"].blob == repo.git("rev-parse", "HEAD:run.sh")

    @pytest.mark.parametrize("path", ["web", "web/", "./web", "web/."])
    def test_a_path_is_the_root_of_what_is_delivered(self, repo: GitRepo, fleet: Path, path: str) -> None:
        tree = GitInputs(fleet).resolve(str(repo.path), "HEAD", path)
        assert sorted(tree.entries) == ["html/index.html", "index"]
        assert tree.path == "web"

    def test_every_way_to_name_a_commit(self, repo: GitRepo, fleet: Path) -> None:
        first = repo.git("rev-parse", "HEAD")
        repo.git("tag", "-a", "-m", "v1", "v1")
        repo.git("branch", "feature/x")
        repo.commit({"more": "x"})
        inputs = GitInputs(fleet)
        for ref in ("v1", "feature/x", first, first[:9], "HEAD~1"):
            assert inputs.resolve("../checkout", ref, ".").commit == first

    def test_a_branch_comes_before_a_tag_and_origins_after_both(self, repo: GitRepo, fleet: Path) -> None:
        first = repo.git("rev-parse", "HEAD")
        repo.git("tag", "main")
        second = repo.commit({"more": "x"})
        repo.git("update-ref", "refs/remotes/origin/main", first)
        repo.git("update-ref", "refs/remotes/origin/only-there", first)

        assert GitInputs(fleet).resolve("../checkout", "main", ".").commit == second
        assert GitInputs(fleet).resolve("../checkout", "only-there", ".").commit == first

    def test_a_bare_repository_a_work_tree_and_a_folder_in_one(
        self, repo: GitRepo, fleet: Path, tmp_path: Path
    ) -> None:
        repo.git("clone", "-q", "--bare", str(repo.path), str(tmp_path / "bare.git"))
        repo.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
        inputs = GitInputs(fleet)
        whole = inputs.resolve("../checkout", "main", ".")

        assert inputs.resolve("../bare.git", "main", ".").digest == whole.digest
        assert inputs.resolve("../linked", "HEAD", ".").digest == whole.digest
        below = inputs.resolve("../checkout/web", "main", "html")
        assert list(below.entries) == ["index.html"]
        assert below.digest == inputs.resolve("../checkout", "main", "web/html").digest

    def test_the_fleets_own_repository(self, tmp_path: Path) -> None:
        mono = GitRepo.create(tmp_path / "mono")
        mono.commit({"deploy/sandboxer.yaml": "f", "deploy/stack/compose.yaml": "c", "app/main": "m"})

        inputs = GitInputs(mono.path / "deploy")

        assert sorted(inputs.resolve(".", "HEAD", "stack").entries) == ["compose.yaml"]
        assert sorted(inputs.resolve("..", "HEAD", "app").entries) == ["main"]

    def test_a_submodule_is_left_out(self, repo: GitRepo, fleet: Path, tmp_path: Path) -> None:
        other = GitRepo.create(tmp_path / "other")
        other.commit({"x": "x"})
        before = GitInputs(fleet).resolve("../checkout", "main", "web")
        repo.git("submodule", "--quiet", "add", str(other.path), "web/vendored")
        repo.commit()

        assert GitInputs(fleet).resolve("../checkout", "main", "web").digest == before.digest

    def test_a_name_with_spaces_and_non_ascii_letters(self, repo: GitRepo, fleet: Path) -> None:
        repo.commit({"web/grüße an alle/日本.txt": "hi"})
        inputs = GitInputs(fleet)
        tree = inputs.resolve("../checkout", "main", "web/grüße an alle")
        assert inputs.read(tree, "日本.txt") == b"hi"

    def test_one_git_query_for_many_sandboxes(
        self, repo: GitRepo, fleet: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        request: list[object] = []
        real = git_inputs.Process
        monkeypatch.setattr(git_inputs, "Process", lambda *args, **more: request.append(args) or real(*args, **more))
        inputs = GitInputs(fleet)
        trees = []

        def one() -> None:
            trees.append(inputs.resolve("../checkout", "main", "."))

        threads = [threading.Thread(target=one) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        assert len(trees) == 8
        assert len({tree.digest for tree in trees}) == 1
        assert len(request) == 1


class TestDigest:
    def test_a_commit_that_changes_no_delivered_file_keeps_it(self, repo: GitRepo, fleet: Path) -> None:
        before = GitInputs(fleet).resolve("../checkout", "main", "web")
        repo.commit({"e2e/compose.yaml": "changed"})
        after = GitInputs(fleet).resolve("../checkout", "main", "web")
        assert before.commit != after.commit
        assert before.digest == after.digest

    def test_it_is_of_mode_blob_target_and_path(self, repo: GitRepo, fleet: Path) -> None:
        tree = GitInputs(fleet).resolve("../checkout", "main", "web")
        page, link = (repo.git("rev-parse", f"HEAD:web/{name}") for name in ("html/index.html", "index"))
        text = f"100644 {page}  html/index.html\x00120000 {link} html/index.html index\x00"
        assert tree.digest == hashlib.sha256(text.encode()).hexdigest()

    @pytest.mark.parametrize("change", ["content", "mode", "name", "target"])
    def test_it_changes_with_all_that_is_delivered(self, repo: GitRepo, fleet: Path, change: str) -> None:
        before = GitInputs(fleet).resolve("../checkout", "main", ".").digest
        if change == "content":
            repo.write("run.sh", "other")
        elif change == "mode":
            (repo.path / "run.sh").chmod(0o644)
        elif change == "name":
            (repo.path / "run.sh").rename(repo.path / "walk.sh")
        else:
            (repo.path / "web/index").unlink()
            repo.link("web/index", "html")
        repo.commit()
        assert GitInputs(fleet).resolve("../checkout", "main", ".").digest != before


class TestRefused:
    @pytest.mark.parametrize(
        ("repo_path", "ref", "path", "why"),
        [
            ("../nowhere", "main", ".", "there is no folder"),
            ("..", "main", ".", "is not a git repository"),
            ("../checkout", "mian", ".", "no branch, tag or commit 'mian'"),
            ("../checkout", "main", "nope", "has no folder nope"),
            ("../checkout", "main", "run.sh", "instead of a folder at run.sh"),
            ("../checkout", "main", "web/index", "instead of a folder at web/index"),
            ("../checkout", "main", "/etc", "is not inside"),
            ("../checkout", "main", "web/../..", "is not inside"),
            ("../checkout", "-main", ".", "cannot be passed to git"),
            ("--upload-pack=x", "main", ".", "cannot be passed to git"),
            ("../checkout", "ma\nin", ".", "cannot be passed to git"),
        ],
    )
    def test_what_cannot_be_had(
        self, repo: GitRepo, fleet: Path, repo_path: str, ref: str, path: str, why: str
    ) -> None:
        inputs = GitInputs(fleet)
        for _ in range(2):  # remembered errors are reported alike
            with pytest.raises(InputUnavailable, match=why) as refused:
                inputs.resolve(repo_path, ref, path)
            assert refused.value.hint

    def test_a_near_name_and_a_shallow_clone_are_reported(self, repo: GitRepo, fleet: Path, tmp_path: Path) -> None:
        first = repo.git("rev-parse", "HEAD")
        repo.commit()
        repo.git("clone", "-q", "--depth=1", repo.path.as_uri(), str(tmp_path / "shallow"))

        with pytest.raises(InputUnavailable) as near:
            GitInputs(fleet).resolve("../checkout", "mian", ".")
        with pytest.raises(InputUnavailable) as shallow:
            GitInputs(fleet).resolve("../shallow", first, ".")

        assert "main" in near.value.hint
        assert "fetch-depth: 0" in shallow.value.hint

    @pytest.mark.parametrize(
        ("links", "why"),
        [
            ({"web/a": "/etc/passwd"}, "the link a to /etc/passwd is absolute"),
            (
                {"web/a": "../e2e/compose.yaml"},
                r"the link a to \.\./e2e/compose\.yaml points outside the delivered tree",
            ),
            ({"web/x/a": "../../../etc"}, "the link x/a to .* points outside the delivered tree"),
            (
                {"web/up": "x/y", "web/x/y": "..", "web/a": "up/../run.sh"},
                "the link a to .* points outside the delivered tree",
            ),
            ({"web/x/y": "../html", "web/a": "x/y/../../run.sh"}, "the link a to .* points outside the delivered tree"),
            ({"web/a": "b", "web/b": "a"}, "loop"),
            ({"web/a": "."}, None),
            ({"web/a": "html/../html/index.html"}, None),
            ({"web/a": "not-there-yet"}, None),
            ({"web/x/y/a": "../../html", "web/b": "x/y/a/index.html"}, None),
        ],
    )
    def test_links(self, repo: GitRepo, fleet: Path, links: dict[str, str], why: str | None) -> None:
        for path, target in links.items():
            repo.link(path, target)
        repo.commit()
        if why is None:
            tree = GitInputs(fleet).resolve("../checkout", "main", "web")
            assert {path for path in links if path.removeprefix("web/") not in tree.entries} == set()
        else:
            with pytest.raises(InputUnavailable, match=why):
                GitInputs(fleet).resolve("../checkout", "main", "web")

    @pytest.mark.parametrize("name", [b"two\nlines", b"esc\x1b[2J", b"latin-\xe9"])
    def test_names_that_cannot_be_printed(self, repo: GitRepo, fleet: Path, name: bytes) -> None:
        repo.write(os.fsdecode(name))
        repo.commit()
        with pytest.raises(InputUnavailable, match="UTF-8 without control") as refused:
            GitInputs(fleet).resolve("../checkout", "main", ".")
        assert refused.value.message.isprintable()

    @pytest.mark.parametrize(
        ("entries", "why"),
        [
            (["100644 blob B\t.git"], "git clients refuse"),
            (["100644 blob B\t.."], "git clients refuse"),
            (["100644 blob B\tx", "120000 blob L\tx"], "listed twice"),
            (["120000 blob L\tx", "040000 tree T\tx"], "file and a folder"),
        ],
    )
    def test_forged_trees(self, repo: GitRepo, fleet: Path, entries: list[str], why: str) -> None:
        ids = {"B": repo.blob("x"), "L": repo.blob("y"), "T": repo.git("rev-parse", "HEAD:e2e")}
        lines = [f"{mode} {kind} {ids[which]}\t{name}" for mode, kind, which, name in (_words(e) for e in entries)]
        commit = _forge(repo, lines)
        with pytest.raises(InputUnavailable, match=why):
            GitInputs(fleet).resolve("../checkout", commit, ".")

    def test_a_tree_over_the_limit(self, repo: GitRepo, fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(git_tree, "MAX_BYTES", 10)
        with pytest.raises(InputUnavailable, match="is the limit for a sandbox"):
            GitInputs(fleet).resolve("../checkout", "main", ".")

    def test_a_repository_that_goes_away(self, repo: GitRepo, fleet: Path) -> None:
        inputs = GitInputs(fleet)
        tree = inputs.resolve("../checkout", "main", ".")
        shutil.rmtree(repo.path)
        with pytest.raises(InputUnavailable):
            archive_of(inputs, tree)


def _words(entry: str) -> tuple[str, str, str, str]:
    head, name = entry.split("\t")
    mode, kind, which = head.split()
    return mode, kind, which, name


def _forge(repo: GitRepo, lines: list[str]) -> str:
    """Return a commit of a tree that git itself would not write."""
    raw = b""
    for line in lines:
        mode, _, blob, name = _words(line)
        raw += f"{mode.lstrip('0')} {name}\0".encode() + bytes.fromhex(blob)
    tree = repo.git("hash-object", "-w", "--literally", "-t", "tree", "--stdin", stdin=raw)
    return repo.git("commit-tree", "-m", "forged", tree)


class TestContent:
    def test_one_file_and_one_behind_a_link(self, repo: GitRepo, fleet: Path) -> None:
        inputs = GitInputs(fleet)
        tree = inputs.resolve("../checkout", "main", ".")
        assert inputs.read(tree, "e2e/compose.yaml") == b"services: {}\n"
        assert inputs.read(tree, "web/index") == b"hello\n"
        for missing in ("nope", "web", "../secret", "/run.sh", "", "web/../.."):
            with pytest.raises(InputUnavailable):
                inputs.read(tree, missing)

    def test_a_tree_is_read_by_another_object(self, repo: GitRepo, fleet: Path) -> None:
        tree = GitInputs(fleet).resolve("../checkout", "main", "web")
        repo.commit({"web/html/index.html": "newer\n"})
        assert GitInputs(fleet).read(tree, "html/index.html") == b"hello\n"
        assert GitInputs(fleet).size(tree) == len("hello\n") + len("html/index.html")

    def test_a_blob_is_delivered_without_filters(self, repo: GitRepo, fleet: Path) -> None:
        repo.git("config", "filter.rot.smudge", "tr a-z n-za-m")
        repo.git("config", "core.autocrlf", "true")
        content = b"version https://git-lfs.github.com/spec/v1\n\0binary\r\n"
        repo.write(".gitattributes", "*.bin filter=rot -text\n")
        repo.write("x.bin", content)
        repo.commit()
        inputs = GitInputs(fleet)
        tree = inputs.resolve("../checkout", "main", ".")
        assert inputs.read(tree, "x.bin") == content

    def test_an_archive_is_exact_and_equal_each_time(self, repo: GitRepo, fleet: Path) -> None:
        repo.write("empty", b"")
        repo.write("block", b"x" * 512)
        repo.commit()
        inputs = GitInputs(fleet)
        tree = inputs.resolve("../checkout", "main", ".")

        archive = archive_of(inputs, tree)

        assert archive == archive_of(GitInputs(fleet), tree) == archive_of(inputs, tree, reversed(list(tree.entries)))
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            members = {member.name: member for member in tar}
            data = {name: tar.extractfile(m).read() for name, m in members.items() if m.isfile()}  # type: ignore[union-attr]
        assert list(members) == ["block", "e2e", "e2e/compose.yaml", "empty", "run.sh", "web", "web/html",
                                 "web/html/index.html", "web/index"]  # fmt: skip
        assert data == {"block": b"x" * 512, "e2e/compose.yaml": b"services: {}\n", "empty": b"",
                        "run.sh": b"#!/bin/sh\n", "web/html/index.html": b"hello\n"}  # fmt: skip
        assert members["run.sh"].mode == members["web"].mode == 0o755
        assert members["block"].mode == 0o644
        assert members["web/index"].issym()
        assert members["web/index"].linkname == "html/index.html"
        assert {(m.uid, m.gid, m.uname, m.gname) for m in members.values()} == {(0, 0, "", "")}
        assert len({m.mtime for m in members.values() if m.isfile()}) == len(data), "builders go by size and time"

    def test_some_paths_bring_the_folders_above_them(self, repo: GitRepo, fleet: Path) -> None:
        inputs = GitInputs(fleet)
        tree = inputs.resolve("../checkout", "main", ".")
        with tarfile.open(fileobj=io.BytesIO(archive_of(inputs, tree, ["web/html/index.html"]))) as tar:
            assert tar.getnames() == ["web", "web/html", "web/html/index.html"]
        with pytest.raises(InputUnavailable, match="no file 'nope'"):
            archive_of(inputs, tree, ["run.sh", "nope"])

    @pytest.mark.parametrize("program", [["tar"], ["busybox", "tar"]], ids=["tar", "busybox"])
    def test_the_hosts_tar_extracts_it(self, repo: GitRepo, fleet: Path, tmp_path: Path, program: list[str]) -> None:
        if shutil.which(program[0]) is None:
            pytest.skip(f"no {program[0]} here")
        long = "/".join(["folder-with-a-long-name" * 4] * 4) + "/" + "file" * 50
        grown = {"grüße/日本.txt": "hi", "d" * 90 + "/" + "e" * 60: "split", long: "long"}
        repo.link("link", long)
        repo.commit(grown)
        inputs = GitInputs(fleet)
        archive = archive_of(inputs, inputs.resolve("../checkout", "main", "."))
        out = tmp_path / "out"
        out.mkdir()

        done = subprocess.run([*program, "-xf", "-", "-C", str(out)], input=archive, capture_output=True, check=False)

        assert done.returncode == 0, done.stderr
        assert done.stderr == b""
        for path, content in grown.items():
            assert (out / path).read_text() == content
        assert (out / "link").read_text() == "long"
        assert os.access(out / "run.sh", os.X_OK)
        assert len([p for p in out.rglob("*") if not p.is_dir() or p.is_symlink()]) == 8
