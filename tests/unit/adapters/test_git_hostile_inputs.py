"""Input repositories that are a stranger's: hung, incomplete, or borrowing from others."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.git_inputs import GitInputs
from sandboxer.errors import InputUnavailable
from sandboxer.model.desired import SecretValue
from sandboxer.model.protocols import Revision
from sandboxer.profiles import resolve as resolving
from sandboxer.profiles.resolve import resolve
from tests.support.gitrepo import GitRepo, archive_of, isolate
from tests.support.planning import manifests_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandboxer.model.desired import Fleet


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    made = GitRepo.create(tmp_path / "checkout")
    made.link("link", "compose.yaml")
    made.commit({"compose.yaml": "services: {}\n", "deep/folder/file": "content\n"})
    return made


def fleet_of_inputs(root: Path, inputs: GitInputs, *repos: str) -> Fleet:
    """Return a fleet with a sandbox for each of these repositories."""
    root.mkdir(exist_ok=True)
    sandboxes = {f"s{number}": {"inputs": {"repo": repo, "ref": "main"}} for number, repo in enumerate(repos)}
    return resolve(
        manifests_of({"sandboxes": sandboxes}), Revision({}), inputs, lambda r: SecretValue(r.name, "", present=False)
    )


@pytest.fixture
def hung_server() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


class TestTime:
    def test_hung_servers_are_waited_for_side_by_side(self, tmp_path: Path, repo: GitRepo, hung_server: str) -> None:
        urls = [f"https://{hung_server}/{n}" for n in range(4)]
        began = time.monotonic()
        fleet = fleet_of_inputs(tmp_path / "fleet", GitInputs(tmp_path, timeout=2), *urls, str(repo.path))
        assert time.monotonic() - began < 7
        errors = [one.input_error or "" for one in fleet.sandboxes.values()]
        assert errors[-1] == ""
        assert all(re.search("no result within 2 s; git was stopped", error) for error in errors[:-1]), errors

    def test_all_together_have_one_limit_and_leave_no_process(
        self, tmp_path: Path, repo: GitRepo, hung_server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resolving, "INPUT_SECONDS", 2.0)
        urls = [f"https://{hung_server}/limit-{n}" for n in range(12)]
        began = time.monotonic()
        fleet = fleet_of_inputs(tmp_path / "fleet", GitInputs(tmp_path), *urls, str(repo.path))
        assert time.monotonic() - began < 8
        errors = [one.input_error or "" for one in fleet.sandboxes.values()]
        assert errors[-1] == "", "what is on this machine has its turn whatever the servers do"
        assert all("the time limit for all inputs together" in error for error in errors[:-1]), errors
        assert not [line for line in _command_lines() if b"/limit-" in line]

    def test_no_more_than_four_questions_at_once_for_one_server(
        self, tmp_path: Path, hung_server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(resolving, "INPUT_SECONDS", 3.0)
        most = []
        inputs = GitInputs(tmp_path)
        fetching = threading.Thread(
            target=fleet_of_inputs,
            args=(tmp_path / "fleet", inputs, *(f"https://{hung_server}/four-{n}" for n in range(9))),
        )
        fetching.start()
        while fetching.is_alive():
            most.append(len([line for line in _command_lines() if re.match(rb".*ls-remote.*/four-", line)]))
            fetching.join(0.2)
        assert 2 <= max(most) <= 4

    def test_an_interrupt_waits_for_no_server(
        self, tmp_path: Path, hung_server: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inputs = GitInputs(tmp_path)
        urls = [f"https://{hung_server}/gone-{n}" for n in range(3)]

        def interrupted(*_args: object, **_more: object) -> None:
            deadline = time.monotonic() + 20
            while not [line for line in _command_lines() if b"/gone-" in line] and time.monotonic() < deadline:
                time.sleep(0.05)
            raise KeyboardInterrupt

        monkeypatch.setattr(resolving, "zip", interrupted, raising=False)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            fleet_of_inputs(tmp_path / "fleet", inputs, *urls)
        assert time.monotonic() - began < 25
        assert not [line for line in _command_lines() if b"/gone-" in line]


def _command_lines() -> Iterator[bytes]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield path.read_bytes().replace(b"\0", b" ")


def _loose(repo: GitRepo, name: str) -> Path:
    found = repo.git("rev-parse", name)
    return repo.path / ".git/objects" / found[:2] / found[2:]


class TestIncomplete:
    @pytest.mark.parametrize("name", ["HEAD:compose.yaml", "HEAD:deep", "HEAD:deep/folder", "HEAD:link", "HEAD^{tree}"])
    def test_a_missing_object_is_an_input_that_cannot_be_had(self, repo: GitRepo, tmp_path: Path, name: str) -> None:
        _loose(repo, name).unlink()
        (error,) = [one.input_error for one in self._plan(repo, tmp_path)]
        assert error is not None
        assert str(repo.path) in error

    def test_a_missing_commit(self, repo: GitRepo, tmp_path: Path) -> None:
        _loose(repo, "HEAD").unlink()
        with pytest.raises(InputUnavailable, match="no branch, tag or commit"):
            GitInputs(tmp_path).resolve(str(repo.path), "main", ".")

    @pytest.mark.parametrize("damage", [b"", b"not zlib", b"\x78\x9c"])
    @pytest.mark.parametrize("name", ["HEAD", "HEAD^{tree}", "HEAD:deep", "HEAD:link", "HEAD:compose.yaml"])
    def test_a_damaged_object(self, repo: GitRepo, tmp_path: Path, name: str, damage: bytes) -> None:
        file = _loose(repo, name)
        file.chmod(0o644)
        file.write_bytes(damage)
        with pytest.raises(InputUnavailable):
            self._deliver(repo, tmp_path)

    def test_a_blob_that_is_damaged_behind_its_size(self, repo: GitRepo, tmp_path: Path) -> None:
        (repo.path / "noise").write_bytes(os.urandom(300_000))
        repo.commit()
        file = _loose(repo, "HEAD:noise")
        file.chmod(0o644)
        file.write_bytes(file.read_bytes()[:200_000])
        inputs = GitInputs(tmp_path)
        tree = inputs.resolve(str(repo.path), "main", ".")
        archive = inputs.archive(tree)
        with pytest.raises(InputUnavailable, match="git exited while reading"):
            list(archive.pieces)

    @pytest.mark.parametrize("filtered", ["blob:none", "tree:0", "blob:limit=1"])
    @pytest.mark.parametrize("lazy", ["", "0"])
    def test_a_partial_clone_is_not_fetched_from(
        self, repo: GitRepo, tmp_path: Path, filtered: str, lazy: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GIT_NO_LAZY_FETCH", lazy)
        monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "file")
        repo.git("config", "uploadpack.allowFilter", "true")
        clone = GitRepo(tmp_path / "partial")
        repo.git("clone", "-q", "--no-checkout", f"--filter={filtered}", f"file://{repo.path}", str(clone.path))
        before = _files(clone.path)
        with pytest.raises(InputUnavailable, match="partial clone"):
            self._deliver(clone, tmp_path)
        assert _files(clone.path) == before

    def test_a_promisor_that_runs_a_program_runs_none(self, repo: GitRepo, tmp_path: Path) -> None:
        ran = tmp_path / "ran"
        repo.git("config", "remote.origin.url", f"ext::touch {ran}")
        repo.git("config", "remote.origin.promisor", "true")
        repo.git("config", "extensions.partialClone", "origin")
        repo.git("config", "core.repositoryFormatVersion", "1")
        repo.git("config", "protocol.ext.allow", "always")
        _loose(repo, "HEAD:compose.yaml").unlink()
        with pytest.raises(InputUnavailable):
            self._deliver(repo, tmp_path)
        assert not ran.exists()

    def test_a_shallow_clone_has_what_its_commit_has(self, repo: GitRepo, tmp_path: Path) -> None:
        repo.commit({"compose.yaml": "services: {a: {}}\n"})
        clone = GitRepo(tmp_path / "shallow")
        repo.git("clone", "-q", "--depth=1", f"file://{repo.path}", str(clone.path))
        assert b"services: {a: {}}" in self._deliver(clone, tmp_path)
        with pytest.raises(InputUnavailable, match="no branch, tag or commit"):
            GitInputs(tmp_path).resolve(str(clone.path), repo.git("rev-parse", "HEAD~1"), ".")

    @staticmethod
    def _deliver(repo: GitRepo, tmp_path: Path) -> bytes:
        inputs = GitInputs(tmp_path)
        return archive_of(inputs, inputs.resolve(str(repo.path), "main", "."))

    @staticmethod
    def _plan(repo: GitRepo, tmp_path: Path) -> list[object]:
        return list(fleet_of_inputs(tmp_path / "fleet", GitInputs(tmp_path), str(repo.path)).sandboxes.values())


def _files(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


class TestBorrowed:
    """A stranger's files that are a repository for git, with the objects of one that is not theirs."""

    @pytest.fixture
    def private(self, tmp_path: Path) -> GitRepo:
        made = GitRepo.create(tmp_path / "private")
        made.commit({"secret": "nobody else reads this\n"})
        return made

    @staticmethod
    def _bare(private: GitRepo, at: Path) -> Path:
        """Return a repository without objects whose branch is the private one's."""
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", at], check=True, timeout=60)
        (at / "refs/heads/main").write_text(private.git("rev-parse", "HEAD") + "\n")
        return at

    def _alternates(self, private: GitRepo, at: Path) -> None:
        (self._bare(private, at) / "objects/info/alternates").write_text(f"{private.path}/.git/objects\n")

    def _relative_alternates(self, private: GitRepo, at: Path) -> None:
        (self._bare(private, at) / "objects/info/alternates").write_text(
            os.path.relpath(private.path / ".git/objects", at / "objects") + "\n"
        )

    def _linked_alternates(self, private: GitRepo, at: Path) -> None:
        (at.parent / "list").write_text(f"{private.path}/.git/objects\n")
        (self._bare(private, at) / "objects/info/alternates").symlink_to(at.parent / "list")

    def _http_alternates(self, private: GitRepo, at: Path) -> None:
        (self._bare(private, at) / "objects/info/http-alternates").write_text("http://127.0.0.1:1/objects\n")

    def _chained_alternates(self, private: GitRepo, at: Path) -> None:
        self._alternates(private, at.parent / "between")
        (self._bare(private, at) / "objects/info/alternates").write_text(f"{at.parent}/between/objects\n")

    def _linked_objects(self, private: GitRepo, at: Path) -> None:
        shutil.rmtree(self._bare(private, at) / "objects")
        (at / "objects").symlink_to(private.path / ".git/objects")

    def _linked_pack(self, private: GitRepo, at: Path) -> None:
        private.git("repack", "-adq")
        for file in (private.path / ".git/objects/pack").iterdir():
            pack = self._bare(private, at) / "objects/pack" if not at.exists() else at / "objects/pack"
            (pack / file.name).symlink_to(file)

    def _linked_loose(self, private: GitRepo, at: Path) -> None:
        self._bare(private, at)
        for file in (private.path / ".git/objects").glob("??/*"):
            (at / "objects" / file.parent.name).mkdir(exist_ok=True)
            (at / "objects" / file.parent.name / file.name).symlink_to(file)

    def _linked_fan_out(self, private: GitRepo, at: Path) -> None:
        self._bare(private, at)
        for folder in (private.path / ".git/objects").glob("??"):
            (at / "objects" / folder.name).symlink_to(folder)

    def _linked_refs(self, private: GitRepo, at: Path) -> None:
        self._linked_objects(private, at)
        shutil.rmtree(at / "refs")
        (at / "refs").symlink_to(private.path / ".git/refs")

    def _linked_branch(self, private: GitRepo, at: Path) -> None:
        self._bare(private, at)
        (at / "refs/heads/main").unlink()
        (at / "refs/heads/main").symlink_to(private.path / ".git/refs/heads/main")

    def _commondir(self, private: GitRepo, at: Path) -> None:
        at.mkdir()
        (at / "HEAD").write_text("ref: refs/heads/main\n")
        (at / "commondir").write_text(f"{private.path}/.git\n")

    def _commondir_of_bare(self, private: GitRepo, at: Path) -> None:
        at.mkdir()
        (at / "HEAD").write_text("ref: refs/heads/main\n")
        (at / "commondir").write_text("../between\n")
        self._alternates(private, at.parent / "between")

    @pytest.mark.parametrize(
        "method",
        [
            "alternates", "relative_alternates", "linked_alternates", "http_alternates", "chained_alternates",
            "linked_objects", "linked_pack", "linked_loose", "linked_fan_out", "linked_refs", "linked_branch",
            "commondir", "commondir_of_bare",
        ],
    )  # fmt: skip
    def test_objects_of_another_repository_are_not_read(self, private: GitRepo, tmp_path: Path, method: str) -> None:
        (tmp_path / "stranger").mkdir()
        make: Callable[[GitRepo, Path], None] = getattr(self, f"_{method}")
        make(private, tmp_path / "stranger/vendored")
        with pytest.raises(InputUnavailable) as refused:
            archive_of(*self._found(tmp_path, tmp_path / "stranger/vendored"))
        assert re.search("borrows objects|takes its objects from|behind the link", refused.value.message)
        assert refused.value.hint

    @staticmethod
    def _found(tmp_path: Path, where: Path) -> tuple[GitInputs, object]:
        inputs = GitInputs(tmp_path)
        return inputs, inputs.resolve(str(where), "main", ".")

    @pytest.mark.parametrize("option", ["--shared", "--reference"])
    def test_a_clone_that_borrows_gets_a_hint_to_become_complete(
        self, repo: GitRepo, tmp_path: Path, option: str
    ) -> None:
        options = ["--shared"] if option == "--shared" else ["--reference", str(repo.path)]
        clone = GitRepo(tmp_path / "clone")
        repo.git(
            "clone", "-q", *options, f"file://{repo.path}" if len(options) > 1 else str(repo.path), str(clone.path)
        )
        with pytest.raises(InputUnavailable) as refused:
            GitInputs(tmp_path).resolve(str(clone.path), "main", ".")
        assert "repack -a -d" in refused.value.hint
        clone.git("repack", "-a", "-d", "-q")
        (clone.path / ".git/objects/info/alternates").unlink()
        assert b"services" in archive_of(*self._found(tmp_path, clone.path))

    def test_the_fleets_own_clone_may_borrow(self, repo: GitRepo, tmp_path: Path) -> None:
        clone = GitRepo(tmp_path / "clone")
        repo.git("clone", "-q", "--shared", str(repo.path), str(clone.path))
        (clone.path / "fleets/a").mkdir(parents=True)
        for root, name in ((clone.path, "."), (clone.path / "fleets/a", "../..")):
            inputs = GitInputs(root)
            assert b"services" in archive_of(inputs, inputs.resolve(name, "main", "."))

    def test_linked_work_trees_submodules_and_moved_git_folders_are_their_owners(
        self, repo: GitRepo, tmp_path: Path
    ) -> None:
        repo.git("worktree", "add", "-q", str(tmp_path / "linked"))
        repo.git("clone", "-q", "--separate-git-dir", str(tmp_path / "git"), str(repo.path), str(tmp_path / "apart"))
        outer = GitRepo.create(tmp_path / "outer")
        outer.git("submodule", "--quiet", "add", str(repo.path), "inner")
        for name in ("linked", "apart", "outer/inner"):
            inputs = GitInputs(tmp_path)
            assert b"services" in archive_of(inputs, inputs.resolve(name, "HEAD", ".")), name

    def test_what_a_repository_is_configured_to_run_is_not_run(self, repo: GitRepo, tmp_path: Path) -> None:
        ran = tmp_path / "ran"
        program = tmp_path / "program"
        program.write_text(f'#!/bin/sh\necho "$0 $*" >>{ran}\ncat\n')
        program.chmod(0o755)
        keys = (
            "core.fsmonitor", "core.pager", "core.editor", "core.askPass", "core.sshCommand", "core.gitProxy",
            "core.alternateRefsCommand", "credential.helper", "diff.external", "diff.x.command", "diff.x.textconv",
            "filter.x.clean", "filter.x.smudge", "filter.x.process", "gpg.program", "pager.cat-file", "pager.ls-tree",
            "alias.cat-file", "alias.rev-parse", "uploadpack.packObjectsHook", "merge.x.driver", "sequence.editor",
        )  # fmt: skip
        for key in keys:
            repo.git("config", key, str(program))
        hooks = tmp_path / "hooks"
        hooks.mkdir()
        for name in (
            "post-checkout",
            "post-index-change",
            "reference-transaction",
            "fsmonitor-watchman",
            "pre-auto-gc",
        ):
            shutil.copy(program, hooks / name)
            shutil.copy(program, repo.path / ".git/hooks" / name)
        repo.git("config", "core.hooksPath", str(hooks))
        repo.write(".gitattributes", "* filter=x diff=x merge=x\n")
        (repo.path / ".git/info/attributes").write_text("* filter=x diff=x merge=x\n")
        inputs = GitInputs(tmp_path)
        tree = inputs.resolve(str(repo.path), "main", ".")
        assert inputs.read(tree, "compose.yaml") == b"services: {}\n"
        assert b"services" in archive_of(inputs, tree)
        with pytest.raises(InputUnavailable):
            inputs.resolve(str(repo.path), "mian", ".")
        assert not ran.exists()
