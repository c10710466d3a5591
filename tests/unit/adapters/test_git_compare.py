"""What changed between two commits of an input: files and commits, or why they are unknown."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.git_compare import LONGEST_LINE, MOST_LINES
from sandboxer.adapters.git_inputs import GitInputs
from sandboxer.model.input_change import MOST_FILES, MOST_SUBJECTS, FileChange, FormerInput
from tests.support.gitrepo import GitRepo, isolate

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxer.model.input_change import InputChange


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    made = GitRepo.create(tmp_path / "checkout")
    made.commit({"app/compose.yaml": "services: {}\n", "app/shop.conf": "a\nb\nc\n", "other.txt": "x\n"})
    return made


def change(repo: GitRepo, former: str, path: str = "app", ref: str = "HEAD") -> InputChange:
    inputs = GitInputs(repo.path.parent)
    given = FormerInput(repo.path.name, former, path)
    return inputs.compare(inputs.resolve(repo.path.name, ref, path), given)


def head(repo: GitRepo) -> str:
    return repo.git("rev-parse", "HEAD").strip()


def test_a_changed_added_and_deleted_file_with_their_lines(repo: GitRepo) -> None:
    former = head(repo)
    repo.git("rm", "-q", "app/compose.yaml")
    new = repo.commit({"app/shop.conf": "a\nB\nc\nd\n", "app/sub/new.txt": "1\n2\n", "other.txt": "y\n"})
    found = change(repo, former)
    assert (found.former, found.commit, found.commits, found.undone, found.unknown) == (former, new, 1, 0, "")
    assert found.files == (
        FileChange("D", "compose.yaml", 0, 1),
        FileChange("M", "shop.conf", 2, 1),
        FileChange("A", "sub/new.txt", 2, 0),
    )


def test_a_rename_a_mode_a_link_and_a_binary_file(repo: GitRepo) -> None:
    text = "".join(f"line {number}\n" for number in range(50))
    repo.write("app/run.sh", "#!/bin/sh\n")
    former = repo.commit({"app/long.txt": text, "app/data.bin": "a\0b\n", "app/link": "plain\n"})
    repo.git("mv", "app/long.txt", "app/renamed name.txt")
    repo.write("app/run.sh", "#!/bin/sh\n", executable=True)
    (repo.path / "app/link").unlink()
    repo.link("app/link", "shop.conf")
    repo.commit({"app/data.bin": "a\0c\n"})
    found = {file.path: file for file in change(repo, former).files}
    assert found.keys() == {"renamed name.txt", "run.sh", "link", "data.bin"}
    assert found["renamed name.txt"] == FileChange("R", "renamed name.txt", 0, 0, None, "long.txt")
    assert found["run.sh"] == FileChange("M", "run.sh", 0, 0, ("100644", "100755"))
    assert found["data.bin"] == FileChange("M", "data.bin", None, None)
    assert found["data.bin"].binary
    assert found["link"].status == "T"


def test_only_the_first_files_and_subjects_are_listed_and_the_rest_is_counted(repo: GitRepo) -> None:
    former = head(repo)
    for number in range(7):
        repo.commit({f"app/{number}/{each:02}.txt": "x\n" for each in range(5)})
    found = change(repo, former)
    assert (len(found.files), found.count) == (MOST_FILES, 35)
    assert (len(found.subjects), found.commits) == (MOST_SUBJECTS, 7)


def test_an_equal_tree_of_another_commit_has_no_files(repo: GitRepo) -> None:
    former = head(repo)
    repo.commit({"other.txt": "y\n"})
    found = change(repo, former)
    assert (found.files, found.count, found.commits) == ((), 0, 1)


def test_after_a_rebase_the_undone_commits_are_counted(repo: GitRepo) -> None:
    base = head(repo)
    repo.commit({"app/a.txt": "a\n"})
    former = repo.commit({"app/b.txt": "b\n"})
    repo.git("reset", "-q", "--hard", base)
    repo.commit({"app/c.txt": "c\n"})
    found = change(repo, former)
    assert (found.commits, found.undone) == (1, 2)
    assert [(file.status, file.path) for file in found.files] == [("D", "a.txt"), ("D", "b.txt"), ("A", "c.txt")]


def test_a_commit_that_the_repository_does_not_have_is_reported_with_a_hint(repo: GitRepo) -> None:
    found = change(repo, "0123456789" * 4)
    assert found.unknown == "the repository does not have the applied commit 012345678901"
    assert "rebase" in found.hint
    assert found.commits is None


def test_a_shallow_clone_says_what_it_lacks(repo: GitRepo) -> None:
    former = head(repo)
    repo.commit({"app/a.txt": "a\n"})
    shallow = repo.path.parent / "shallow"
    subprocess.run(
        ["git", "clone", "-q", "--depth", "1", f"file://{repo.path}", str(shallow)], check=True, capture_output=True
    )
    found = change(GitRepo(shallow), former)
    assert "does not have the applied commit" in found.unknown
    assert "fetch-depth: 0" in found.hint


def test_a_folder_that_the_former_commit_lacks_is_reported(repo: GitRepo) -> None:
    former = head(repo)
    repo.commit({"later/compose.yaml": "services: {}\n"})
    assert change(repo, former, "later").unknown == f"commit {former[:12]} has no folder later"


def test_programs_that_a_repository_configures_do_not_run(repo: GitRepo) -> None:
    former = head(repo)
    ran = repo.path.parent / "ran"
    for key in ("diff.external", "diff.evil.command", "diff.evil.textconv"):
        repo.git("config", key, f"touch {ran};")
    repo.commit({"app/.gitattributes": "* diff=evil\n", "app/shop.conf": "z\n"})
    assert change(repo, former).count == 2
    assert not ran.exists()


def test_a_hostile_subject_is_escaped_and_cut(repo: GitRepo) -> None:
    former = head(repo)
    repo.write("app/x", "x\n")
    repo.git("add", "-A")
    repo.git("commit", "-q", "-m", "\x1b[31m" + "a" * 300)
    (subject,) = change(repo, former).subjects
    assert "\x1b" not in subject
    assert len(subject) <= 100


def test_an_odd_commit_is_never_passed_to_git(repo: GitRepo) -> None:
    assert "cannot be passed to git" in change(repo, "--output=/tmp/x").unknown


def test_another_folder_of_the_same_commit(repo: GitRepo) -> None:
    inputs = GitInputs(repo.path.parent)
    tree = inputs.resolve(repo.path.name, "HEAD", "app")
    found = inputs.compare(tree, FormerInput(repo.path.name, tree.commit, "."))
    assert (found.commits, found.undone, found.subjects) == (0, 0, ())
    assert {(file.status, file.path) for file in found.files} == {
        ("R", "compose.yaml"),
        ("R", "shop.conf"),
        ("D", "other.txt"),
    }


def test_another_repository_is_named_unless_it_has_the_commit(repo: GitRepo, tmp_path: Path) -> None:
    other = GitRepo.create(tmp_path / "other")
    commit = other.commit({"app/x": "x\n"})
    inputs = GitInputs(tmp_path)
    tree = inputs.resolve("checkout", "HEAD", "app")
    found = inputs.compare(tree, FormerInput("https://u:p@git.example/other", commit, "app"))
    assert (found.unknown, found.hint) == ("it was another repository before: https://git.example/other", "")
    same = inputs.compare(tree, FormerInput("../elsewhere/checkout", tree.commit, "app"))
    assert (same.unknown, same.count) == ("", 0)


@pytest.mark.parametrize("path", ["/etc", "../..", "a\nb", "no such"])
def test_an_odd_folder_on_record_is_no_error(repo: GitRepo, path: str) -> None:
    inputs = GitInputs(repo.path.parent)
    tree = inputs.resolve(repo.path.name, "HEAD", "app")
    assert inputs.compare(tree, FormerInput(repo.path.name, tree.commit, path)).unknown


# --- the text of the files


def texts(repo: GitRepo, former: str, *sensitive: str, path: str = "app") -> tuple[str, ...]:
    inputs = GitInputs(repo.path.parent)
    given = FormerInput(repo.path.name, former, path)
    found = inputs.compare(inputs.resolve(repo.path.name, "HEAD", path), given, diff=True, sensitive=sensitive)
    assert not found.unknown
    return found.diff or ()


def test_the_text_of_a_file_is_as_git_prints_it(repo: GitRepo) -> None:
    former = head(repo)
    repo.commit({"app/shop.conf": "a\nB\nc\n", "other.txt": "y\n"})
    assert [line for line in texts(repo, former) if not line.startswith("index ")] == [
        "diff --git a/shop.conf b/shop.conf",
        "--- a/shop.conf",
        "+++ b/shop.conf",
        "@@ -1,3 +1,3 @@",
        " a",
        "-b",
        "+B",
        " c",
    ]
    assert change(repo, former).diff is None
    assert "diff" not in change(repo, former).to_json()


def test_the_text_is_safe_and_masked(repo: GitRepo) -> None:
    former = head(repo)
    repo.commit(
        {"app/shop.conf": "a\nb\nc\nDB_PASSWORD=hunter2\nPIN=1234\n\x1b[2J\ttab\r\n\u202elive\n", "app/b.bin": "\0\n"}
    )
    found = texts(repo, former, "PIN")
    assert {"+DB_PASSWORD=(sensitive)", "+PIN=(sensitive)", "+\\x1b[2J   tab\\r", "+\\u202elive"} <= {*found}
    assert "Binary files /dev/null and b/b.bin differ" in found
    assert not [line for line in found if "hunter2" in line or not line.isprintable()]


def test_the_text_is_bounded_and_the_rest_is_counted(repo: GitRepo) -> None:
    former = head(repo)
    long = "".join(f"line {number}\n" for number in range(1_000))
    repo.commit({f"app/{number}.txt": long for number in range(7)} | {"app/wide.txt": "x" * 10_000 + "\n"})
    found = texts(repo, former)
    assert len(found) <= MOST_LINES + 20
    assert max(map(len, found)) <= LONGEST_LINE
    assert found.count("… 806 more lines of this file") == 5
    assert found[-1] == "… 3 more files"


def test_no_program_of_the_repository_runs_for_the_text(repo: GitRepo, tmp_path: Path) -> None:
    former = head(repo)
    (repo.path / ".git/info").mkdir(exist_ok=True)
    (repo.path / ".git/info/attributes").write_text("* diff=evil filter=evil\n")
    mark = tmp_path / "ran"
    script = tmp_path / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    script.chmod(0o755)
    for key in ("diff.evil.command", "diff.evil.textconv", "diff.external", "core.pager", "pager.diff"):
        repo.git("config", key, str(script))
    for key, value in (("filter.evil.smudge", str(script)), ("diff.noprefix", "true"), ("color.ui", "always")):
        repo.git("config", key, value)
    repo.commit({"app/shop.conf": "a\nB\nc\n"})
    mark.unlink(missing_ok=True)  # git itself may have used it
    assert "+B" in texts(repo, former)
    assert "diff --git a/shop.conf b/shop.conf" in texts(repo, former)
    assert not mark.exists()
