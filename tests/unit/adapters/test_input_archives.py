"""Archives of inputs: made while they are sent, exact, bounded, and whole on the host or not there at all."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import tarfile
import time
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters import git_inputs, git_tree
from sandboxer.adapters.git_inputs import GitInputs
from sandboxer.errors import InputUnavailable, SandboxerError
from sandboxer.hosts.session import HostSession
from sandboxer.model.protocols import Archive
from tests.support.gitrepo import GitRepo, archive_of, isolate
from tests.support.local_hosts import LocalHosts

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    made = GitRepo.create(tmp_path / "checkout")
    made.link("link", "compose.yaml")
    made.commit({"compose.yaml": "services: {}\n", "deep/folder/file": "content\n"})
    return made


class TestSize:
    def test_a_small_repository_with_a_huge_file_costs_little_memory(self, tmp_path: Path) -> None:
        repo = GitRepo.create(tmp_path / "checkout")
        with (repo.path / "zeros").open("wb") as file:
            file.truncate(200 * 1024 * 1024)
        repo.git("config", "core.looseCompression", "1")
        repo.commit({"compose.yaml": "services: {}\n"})
        program = """
import resource, sys
from pathlib import Path
from sandboxer.adapters.git_inputs import GitInputs
inputs = GitInputs(Path(sys.argv[1]))
archive = inputs.archive(inputs.resolve("checkout", "main", "."))
assert sum(map(len, archive.pieces)) == archive.size > 200 * 1024 * 1024
own = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]  # ru_maxrss has the parent's
print(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
        peaks = subprocess.run(
            [sys.executable, "-c", program, tmp_path], check=True, capture_output=True, text=True, timeout=120
        ).stdout.split()
        assert max(map(int, peaks)) < 100 * 1024, f"{peaks} KiB of the client and of git"

    @pytest.mark.parametrize("packed", [False, True])
    def test_an_archive_is_exact_at_the_limits_of_its_pieces(
        self, tmp_path: Path, packed: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(git_tree, "_BUFFER", 512)
        repo = GitRepo.create(tmp_path / "checkout")
        for size in (0, 1, 511, 512, 513, 262143, 262144, 262145, 1_100_000):
            repo.write(f"files/{size}", os.urandom(size))
        for length in (98, 99, 100, 101, 155, 254):
            repo.write(f"{'d' * length}/f", "x")
            repo.write(f"n/{'f' * length}", "x")
            repo.link(f"links/{length}", "t" * length)
            repo.write(f"{'é' * (length // 2)}/deep/{'ü' * (length // 2)}", "x")
        repo.commit()
        if packed:
            repo.git("repack", "-adq")
        inputs = GitInputs(tmp_path)
        data = archive_of(inputs, inputs.resolve("checkout", "main", "."))
        out = tmp_path / "out"
        out.mkdir()
        subprocess.run(["tar", "-xf", "-", "-C", out], input=data, check=True, timeout=60)
        for path in (path for path in repo.path.rglob("*") if ".git" not in path.parts):
            other = out / path.relative_to(repo.path)
            if path.is_symlink():
                assert path.readlink() == other.readlink()
            elif path.is_file():
                assert path.read_bytes() == other.read_bytes()

    def test_a_tree_of_too_many_files_is_refused_by_their_number(
        self, repo: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(git_tree, "MAX_FILES", 2)
        with pytest.raises(InputUnavailable, match="more than 2 files") as refused:
            GitInputs(tmp_path).resolve(str(repo.path), "main", ".")
        assert "workspace.path" in refused.value.hint
        assert GitInputs(tmp_path).resolve(str(repo.path), "main", "deep").entries

    def test_a_tree_that_multiplies_itself_is_refused(self, repo: GitRepo, tmp_path: Path) -> None:
        blob = repo.blob("x")
        tree = repo.git("mktree", stdin=f"100644 blob {blob}\tf\n".encode())
        for _level in range(12):
            lines = "".join(f"040000 tree {tree}\td{number}\n" for number in range(8))
            tree = repo.git("mktree", stdin=lines.encode())
        commit = repo.git("commit-tree", "-m", "bomb", tree)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(InputUnavailable, match="more than 100,000 files"):
            GitInputs(tmp_path).resolve(str(repo.path), commit, ".")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024

    def test_all_inputs_of_a_run_have_so_many_files_together(
        self, repo: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(git_inputs, "_MAX_LISTED", 4)
        inputs = GitInputs(tmp_path)
        for _again in range(3):
            inputs.resolve(str(repo.path), "main", ".")
        inputs.resolve(str(repo.path), "main", "deep")
        with pytest.raises(InputUnavailable, match="more than 4 files together"):
            inputs.resolve(str(repo.path), "main", "deep/folder")

    def test_a_file_that_is_read_by_itself_is_not_too_large(
        self, repo: GitRepo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(git_inputs, "_MAX_READ", 12)
        inputs = GitInputs(tmp_path)
        tree = inputs.resolve(str(repo.path), "main", ".")
        with pytest.raises(InputUnavailable, match=r"compose\.yaml has 13 bytes"):
            inputs.read(tree, "compose.yaml")
        assert inputs.read(tree, "deep/folder/file") == b"content\n"

    def test_many_files(self, tmp_path: Path) -> None:
        repo = GitRepo.create(tmp_path / "many")
        repo.commit({f"d{n % 50}/f{n}": f"content {n}\n" for n in range(2000)})
        inputs = GitInputs(tmp_path)
        archive = archive_of(inputs, inputs.resolve("many", "main", "."))
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            assert len([member for member in tar if member.isfile()]) == 2000


class TestSending:
    """What goes wrong while an archive is made ends the conversation, and the host takes no part for the whole."""

    @pytest.fixture
    def session(self, tmp_path: Path) -> Iterator[LocalHosts]:
        made = LocalHosts(tmp_path)
        yield made
        made.close()

    def test_pieces_arrive_in_their_order(self, session: LocalHosts) -> None:
        with HostSession(session.operation()) as open_session:
            size = 3_000_000
            reply = open_session.call("put", "file", "600", payload=Archive(size, _pieces(size)))
            assert reply.code == 0, reply.text
        assert session.directory("one").joinpath("file").read_bytes() == b"".join(_pieces(size))

    def test_one_that_breaks_off(self, session: LocalHosts) -> None:
        def broken() -> Generator[bytes]:
            yield b"x" * 100_000
            raise InputUnavailable("the repository is gone")

        began = time.monotonic()
        with HostSession(session.operation()) as open_session:
            with pytest.raises(InputUnavailable, match="is gone"):
                open_session.call("put", "file", "600", payload=Archive(300_000, broken()))
            with pytest.raises(SandboxerError, match="during a request"):
                open_session.call("put", "other", "600", payload=b"x")
        assert time.monotonic() - began < 20
        assert not session.directory("one").joinpath("file").exists()
        with HostSession(session.operation(timeout=30)) as again:  # the lock is free
            assert again.call("put", "file", "600", payload=b"x").code == 0

    @pytest.mark.parametrize("size", [99_999, 100_001])
    def test_one_of_another_size_than_announced(self, session: LocalHosts, size: int) -> None:
        with pytest.raises(SandboxerError, match="not of the"), HostSession(session.operation()) as open_session:
            open_session.call("put", "file", "600", payload=Archive(size, _pieces(100_000)))
        with HostSession(session.operation(timeout=30)) as again:
            assert again.call("put", "other", "600", payload=b"x").code == 0
        assert not session.directory("one").joinpath("file").exists()


def _pieces(size: int) -> Generator[bytes]:
    for start in range(0, size, 70_001):
        yield bytes((start + at) % 251 for at in range(min(70_001, size - start)))
