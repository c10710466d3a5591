"""What ``make demo`` says where it cannot run."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from pathlib import Path

# Whoever runs the tests may be root, and the demo shall not find out.
_AS_NOBODY = "import os, sys; os.geteuid = lambda: 65534; from scripts.demo import main; sys.exit(main())"


def test_without_root_and_without_docker_it_reports_what_is_missing_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Demo failed: the demo needs the lab or Docker, and there is neither." in done.stdout
    assert "The lab: the lab needs root" in done.stdout or "The lab: the lab needs Linux" in done.stdout
    assert "Docker: docker cannot be run: No such file or directory" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []
