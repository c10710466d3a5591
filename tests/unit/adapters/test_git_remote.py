"""Inputs behind a URL are fetched into a cache, by allowed protocols alone, and credentials are not shown."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from sandboxer.adapters import git_remote
from sandboxer.adapters.git_inputs import GitInputs
from sandboxer.errors import InputUnavailable
from sandboxer.model.text import redact_urls
from tests.support.gitrepo import GitRepo, archive_of, isolate


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    made = GitRepo.create(tmp_path / "remote")
    made.commit({"compose.yaml": "one\n", "web/index.html": "hello\n"})
    return made


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def inputs(tmp_path: Path, cache: Path | None, timeout: float = 30) -> GitInputs:
    return GitInputs(tmp_path, cache, timeout, protocols=("https", "ssh", "file"))


def test_a_commit_is_fetched_once_and_a_new_one_after_it(repo: GitRepo, tmp_path: Path, cache: Path) -> None:
    url = repo.path.as_uri()
    first = inputs(tmp_path, cache).resolve(url, "main", ".")
    second = repo.commit({"compose.yaml": "two\n"})

    one_run = inputs(tmp_path, cache)
    newer = one_run.resolve(url, "main", ".")

    assert newer.commit == second
    assert first.commit != second
    assert one_run.read(first, "compose.yaml") == b"one\n"
    assert one_run.read(newer, "compose.yaml") == b"two\n"
    assert first.digest != newer.digest
    assert (
        inputs(tmp_path, cache).resolve(url, "main", "web").digest == one_run.resolve(url, first.commit, "web").digest
    )
    assert cache.stat().st_mode & 0o777 == 0o700


def test_what_is_in_the_cache_needs_no_remote_and_is_the_same_as_by_path(
    repo: GitRepo, tmp_path: Path, cache: Path
) -> None:
    tree = inputs(tmp_path, cache).resolve(repo.path.as_uri(), "main", ".")
    assert tree.digest == GitInputs(tmp_path).resolve("remote", "main", ".").digest
    repo.path.rename(tmp_path / "away")

    again = inputs(tmp_path, cache)

    assert again.resolve(tree.repo, tree.commit, ".").entries == tree.entries
    assert b"hello" in archive_of(again, tree)
    with pytest.raises(InputUnavailable, match="cannot be reached"):
        again.resolve(tree.repo, "main", ".")


def test_a_tree_from_an_earlier_plan_is_fetched_where_the_cache_is_empty(
    repo: GitRepo, tmp_path: Path, cache: Path
) -> None:
    tree = inputs(tmp_path, cache).resolve(repo.path.as_uri(), "main", ".")
    assert inputs(tmp_path, tmp_path / "another").read(tree, "compose.yaml") == b"one\n"


def test_branches_tags_head_and_commits(repo: GitRepo, tmp_path: Path, cache: Path) -> None:
    first = repo.git("rev-parse", "HEAD")
    repo.git("tag", "-a", "-m", "v1", "v1")
    repo.git("branch", "feature/main")
    second = repo.commit({"compose.yaml": "two\n"})
    repo.git("tag", "main", first)  # the branch comes first
    source = inputs(tmp_path, cache)
    found = {
        ref: source.resolve(repo.path.as_uri(), ref, ".").commit
        for ref in ("HEAD", "main", "v1", "feature/main", "refs/tags/main", first)
    }
    assert found == {
        "HEAD": second, "main": second, "v1": first, "feature/main": first, "refs/tags/main": first, first: first,
    }  # fmt: skip


def test_a_server_that_serves_branches_alone(
    repo: GitRepo, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = repo.git("rev-parse", "HEAD")
    repo.commit({"compose.yaml": "two\n"})
    repo.commit({"compose.yaml": "three\n"})
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "protocol.version")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "0")
    source = inputs(tmp_path, cache)
    source.resolve(repo.path.as_uri(), "main", ".")  # makes the cache shallow first

    assert source.read(source.resolve(repo.path.as_uri(), first, "."), "compose.yaml") == b"one\n"
    with pytest.raises(InputUnavailable, match="no commit ffff"):
        source.resolve(repo.path.as_uri(), "f" * 40, ".")


def test_the_cache_is_below_the_users_cache_folder(
    repo: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs(tmp_path, None).resolve(repo.path.as_uri(), "main", ".")
    assert len([p for p in (tmp_path / "xdg-cache/sandboxer/git").iterdir() if p.is_dir()]) == 1
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert git_remote.default_cache() == tmp_path / "home/.cache/sandboxer/git"


def test_runs_side_by_side_share_the_cache(repo: GitRepo, tmp_path: Path, cache: Path) -> None:
    digests: list[str] = []

    def one_run() -> None:
        source = inputs(tmp_path, cache)
        digests.append(source.resolve(repo.path.as_uri(), "main", ".").digest)

    threads = [threading.Thread(target=one_run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(digests) == 6
    assert len(set(digests)) == 1


def test_the_wait_for_another_run_is_bounded(repo: GitRepo, tmp_path: Path, cache: Path) -> None:
    url = repo.path.as_uri()
    inputs(tmp_path, cache).resolve(url, "main", ".")
    repo.commit({"compose.yaml": "two\n"})
    (lock,) = cache.glob("*.lock")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(InputUnavailable, match="another run has been fetching"):
            inputs(tmp_path, cache, timeout=1).resolve(url, "main", ".")
    inputs(tmp_path, cache).resolve(url, "main", ".")


def test_what_a_killed_fetch_left_is_no_obstacle(repo: GitRepo, tmp_path: Path, cache: Path) -> None:
    url = repo.path.as_uri()
    inputs(tmp_path, cache).resolve(url, "main", ".")
    commit = repo.commit({"compose.yaml": "two\n"})
    (twin,) = (p for p in cache.iterdir() if p.is_dir())
    for name in ("shallow.lock", "config.lock", f"refs/sandboxer/{commit}.lock"):
        (twin / name).touch()
    assert inputs(tmp_path, cache).resolve(url, "main", ".").commit == commit


def test_an_unknown_branch_names_its_neighbours(repo: GitRepo, tmp_path: Path, cache: Path) -> None:
    source = inputs(tmp_path, cache)
    with pytest.raises(InputUnavailable, match="no branch or tag 'mian'") as near:
        source.resolve(repo.path.as_uri(), "mian", ".")
    assert "main" in near.value.hint
    with pytest.raises(InputUnavailable) as short:
        source.resolve(repo.path.as_uri(), "abcdef1", ".")
    assert "full commit ID" in short.value.hint
    with pytest.raises(InputUnavailable, match="is not a branch"):
        source.resolve(repo.path.as_uri(), "main~1", ".")


@pytest.mark.parametrize(
    "url",
    ["file:///x", "http://127.0.0.1/x", "git://127.0.0.1/x", "ext::sh -c true", "ftp://127.0.0.1/x", "FILE:///x"],
)
def test_other_protocols_are_refused(tmp_path: Path, cache: Path, url: str) -> None:
    with pytest.raises(InputUnavailable, match="is not a supported protocol for inputs"):
        GitInputs(tmp_path, cache).resolve(url, "main", ".")
    assert not cache.exists()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://token@h/x", "https://h/x"),
        ("https://user:p@ss@h/x: not found", "https://h/x: not found"),
        ("ssh://git:secret@h/x", "ssh://git@h/x"),
        ("ssh://git@h/x", "ssh://git@h/x"),
        ("git@h:x", "git@h:x"),
    ],
)
def test_credentials_are_taken_out(text: str, shown: str) -> None:
    assert redact_urls(text) == shown


def test_an_unreachable_remote_shows_no_credentials(tmp_path: Path, cache: Path) -> None:
    url = "https://user:sesame@127.0.0.1:1/x.git"
    with pytest.raises(InputUnavailable, match="cannot be reached") as refused:
        GitInputs(tmp_path, cache, 20).resolve(url, "main", ".")
    assert "sesame" not in refused.value.message + refused.value.hint
    assert refused.value.__cause__ is None


@pytest.mark.parametrize("url", ["ssh://git@127.0.0.1/team/app.git", "git@127.0.0.1:team/app.git"])
def test_ssh_prompts_for_nothing_unless_the_user_has_configured_it(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    log = tmp_path / "log"
    for name, target in (("ssh", "default"), ("mine", "mine")):
        (tmp_path / "bin").mkdir(exist_ok=True)
        program = tmp_path / "bin" / name
        program.write_text(
            f'#!/bin/sh\necho "{target} $*" >>"{log}"\nprintf "Permission denied (publickey).\\033[2J" >&2\nexit 255\n'
        )
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)

    with pytest.raises(InputUnavailable, match="cannot be reached") as refused:
        GitInputs(tmp_path, cache).resolve(url, "main", ".")
    assert "deploy key" in refused.value.hint
    assert refused.value.message.isprintable()
    assert "default -o BatchMode=yes" in log.read_text()

    log.write_text("")
    monkeypatch.setenv("GIT_SSH_COMMAND", "mine")
    with pytest.raises(InputUnavailable):
        GitInputs(tmp_path, cache).resolve(url, "main", ".")
    assert "BatchMode" not in log.read_text()
    assert "mine" in log.read_text()


@pytest.mark.parametrize(
    ("error", "cause", "hint"),
    [
        ("git@127.0.0.1: Permission denied (publickey).", "Permission denied (publickey)", "deploy key"),
        ("Host key verification failed.", "Host key verification failed", "known_hosts"),
        ("cannot use ssh://git:sesame@127.0.0.1/x", "cannot use ssh://git@127.0.0.1/x", "git ls-remote"),
    ],
)
def test_the_error_of_ssh_is_shown_and_not_only_what_git_makes_of_it(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: str, cause: str, hint: str
) -> None:
    program = tmp_path / "ssh"
    program.write_text(f'#!/bin/sh\necho "{error}" >&2\nexit 255\n')
    program.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(program))
    with pytest.raises(InputUnavailable, match="cannot be reached") as refused:
        GitInputs(tmp_path, cache).resolve("git@127.0.0.1:team/app.git", "main", ".")
    assert cause in refused.value.message
    assert "Could not read" not in refused.value.message
    assert "sesame" not in refused.value.message
    assert hint in refused.value.hint


def test_a_remote_that_hangs_is_given_up_with_all_it_started(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    (tmp_path / "slow").write_text(f'#!/bin/sh\necho $$ >"{pid}"\nexec sleep 60\n')
    (tmp_path / "slow").chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(tmp_path / "slow"))

    with pytest.raises(InputUnavailable, match="no result within 3 s"):
        GitInputs(tmp_path, cache, 3).resolve("ssh://127.0.0.1/x", "main", ".")

    left = int(pid.read_text())
    deadline = time.monotonic() + 10  # it has its signal; when the kernel ends it is the machine's affair
    while not _has_ended(left) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _has_ended(left)


def test_what_ssh_leaves_behind_holds_up_nothing(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = tmp_path / "pid"  # as a shared connection's master does: it keeps standard error open
    (tmp_path / "ssh").write_text(f'#!/bin/sh\nsetsid sleep 60 </dev/null >/dev/null &\necho $! >"{pid}"\nexit 255\n')
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(tmp_path / "ssh"))

    with pytest.raises(InputUnavailable, match="cannot be reached"):
        GitInputs(tmp_path, cache, 10).resolve("ssh://127.0.0.1/x", "main", ".")

    left = int(pid.read_text())
    assert not _has_ended(left)
    os.kill(left, signal.SIGKILL)


def _has_ended(pid: int) -> bool:
    """Return whether a process is gone, or waits only for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_cache_that_cannot_be_written(repo: GitRepo, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputUnavailable, match=r"File exists|Not a directory"):
        inputs(tmp_path, tmp_path / "file").resolve(repo.path.as_uri(), "main", ".")
