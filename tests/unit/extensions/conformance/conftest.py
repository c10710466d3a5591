"""The example's package, as its source: what is broken here is made from it."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.example import EXAMPLE

if TYPE_CHECKING:
    from pathlib import Path

sys.path.insert(0, str(EXAMPLE))


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A fleet's folder with the example's Extension and Profile, and a file to deliver."""
    shutil.copytree(EXAMPLE / "fleet", tmp_path / "fleet")
    (tmp_path / "fleet/data").mkdir()
    (tmp_path / "fleet/data/a.txt").write_text("a\n")
    return tmp_path / "fleet"


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep temporary roots in memory, if this machine has such a folder: every record is synced to its disk."""
    if os.access("/dev/shm", os.W_OK):
        monkeypatch.setattr("tempfile.tempdir", "/dev/shm")
