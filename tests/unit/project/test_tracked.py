"""What the repository tracks: no large file, and no binary beside the pictures of the docs."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from scripts.tracked import MAX_BYTES, problems
from tests.support.fleet import ROOT
from tests.support.gitrepo import GitRepo

if TYPE_CHECKING:
    from pathlib import Path


def test_large_files_and_binaries_are_refused_by_name(tmp_path: Path) -> None:
    repo = GitRepo.create(tmp_path / "repo")
    repo.write("good.txt", "text\n")
    (repo.path / "docs/images").mkdir(parents=True)
    (repo.path / "docs/images/plan.png").write_bytes(b"\x89PNG\0")
    (repo.path / "tool.whl").write_bytes(b"PK\0\0")
    (repo.path / "large.txt").write_bytes(b"x" * (MAX_BYTES + 1))
    repo.commit()
    assert [line.split(":")[0] for line in problems(repo.path)] == ["large.txt", "tool.whl"]
    command = [sys.executable, "-m", "scripts.tracked", str(repo.path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "tool.whl: is binary" in done.stderr
    assert "large.txt: has 1,048,577 bytes" in done.stderr
