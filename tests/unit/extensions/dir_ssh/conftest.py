"""A fleet on this machine, with one directory sandbox."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.gitrepo import GitRepo
from tests.unit.extensions.dir_ssh.local_fleet import LocalFleet, marked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LocalFleet]:
    """Yield a fleet on this machine, with the sandbox `work` in git and not applied yet."""
    lab: Any = None
    made = LocalFleet(lab, GitRepo.create(tmp_path / "fleet"), "acme", ("here",), str(tmp_path / "root"))
    made.document("sandboxer.yaml", "Fleet", "acme", {})
    made.document("manifests/here.yaml", "Host", "here", {"connection": "local", "root": made.root})
    made.repo.write("data/a.txt", "a\n")
    made.repo.write("data/deep/run.sh", "#!/bin/sh\necho ran\n", executable=True)
    made.repo.link("data/link", "deep/run.sh")
    made.declare()
    yield made
    for process in marked(made):
        os.kill(process, signal.SIGKILL)
