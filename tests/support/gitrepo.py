"""Real git repositories for tests: fixed author and dates, nothing of the user's configuration."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pytest

    from sandboxer.model.protocols import InputSource, InputTree

FIRST_COMMIT_AT = 1_750_000_000  # seconds; each later commit is a minute after the one before

# The manifests of a fleet, as far as git is concerned.
FLEET = {
    "sandboxer.yaml": "fleet\n",
    "manifests/a.yaml": "a\n",
    "manifests/team/b.yml": "b\n",
    "profiles/p.yaml": "p\n",
    "extensions/e.yaml": "e\n",
}


def as_bytes(files: dict[str, str]) -> dict[str, bytes]:
    """Return the files as they are on disk."""
    return {path: text.encode() for path, text in files.items()}


def archive_of(inputs: InputSource, tree: InputTree, paths: Iterable[str] | None = None) -> bytes:
    """Return all bytes of an archive, after checking that they are as many as announced."""
    archive = inputs.archive(tree, paths)
    data = b"".join(archive.pieces)
    assert len(data) == archive.size
    return data


def isolate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the machine's git configuration, cache and hook variables away from the code under test."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg-cache"))


@dataclass
class GitRepo:
    """A repository with a work tree at ``path``."""

    path: Path
    commits: int = 0

    @classmethod
    def create(cls, path: Path, *options: str) -> GitRepo:
        """Return an empty repository, on the branch ``main``."""
        path.mkdir(parents=True)
        repo = cls(path)
        repo.git("init", "-q", "-b", "main", *options)
        return repo

    @classmethod
    def fleet(cls, path: Path) -> GitRepo:
        """Return a repository with ``FLEET`` in one commit, beside files that are no manifests."""
        repo = cls.create(path)
        repo.commit({**FLEET, "README.md": "not a manifest\n", "manifests/notes.txt": "nor this\n"})
        return repo

    def git(self, *args: str, stdin: bytes | None = None) -> str:
        """Run git in the work tree and return its output, stripped."""
        at = f"{FIRST_COMMIT_AT + 60 * self.commits} +0000"
        who = {"NAME": "Test", "EMAIL": "test@example.invalid", "DATE": at}
        done = subprocess.run(
            [
                "git",
                "-c",
                "gc.auto=0",
                "-c",
                "maintenance.auto=false",
                "-c",
                "protocol.file.allow=always",
                "-C",
                str(self.path),
                *args,
            ],
            env={
                "PATH": os.environ["PATH"],
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_NOSYSTEM": "1",
                **{f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()},
            },
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def write(self, path: str, content: str | bytes = "x\n", *, executable: bool = False) -> Path:
        """Write a file of the work tree."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        if executable:
            file.chmod(0o755)
        return file

    def link(self, path: str, target: str) -> None:
        """Create a symbolic link in the work tree."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)

    def commit(self, files: dict[str, str] | None = None, *, subject: str = "") -> str:
        """Write the files, commit everything, and return the commit's ID."""
        for path, content in (files or {}).items():
            self.write(path, content)
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "--allow-empty", "-m", subject or f"commit {self.commits}")
        self.commits += 1
        return self.git("rev-parse", "HEAD")

    def blob(self, content: str) -> str:
        """Store a blob and return its ID."""
        return self.git("hash-object", "-w", "--stdin", stdin=content.encode())
