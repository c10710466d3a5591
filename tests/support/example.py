"""The extension of examples/extension, installed as its reader would: by pip, from its folder, without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = ROOT / "examples/extension"


def copy_example(folder: Path) -> Path:
    """Copy the package to a folder, because a build leaves files beside its source; return the copy."""
    source = folder / "source"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    return source


def install_example(folder: Path) -> Path:
    """Install the package below a folder; return the value for PYTHONPATH."""
    target = folder / "installed"
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--no-cache-dir"]
    words = [sys.executable, "-m", "pip", "install", "-q", *offline, "--target", str(target), str(copy_example(folder))]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return target
