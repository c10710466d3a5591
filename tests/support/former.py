"""A former release: its program, taken from this repository's history, and run on the same hosts as this one."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.e2e import FleetRepo

COMMIT = "fc41863bd786e36e7c1bfdbfc6b0fff53870d9c1"
"""The release before this one."""

# Requests a sandbox and does nothing more, like a server that dies at that point.
_REQUEST = """\
import json, sys
from sandboxer.client import Client
root, name, profile, host = sys.argv[1:]
made = Client(root).create(
    profile, name=name, by="harness", consumer="atm/checks", key=name, hosts=[host],
    labels={"team": "a"}, env={"GREETING": "hello"}, ttl="2h", wait=False,
)
print(made.id)
"""


class NotInHistoryError(Exception):
    """The commit is not in this repository, as in a shallow clone."""


@dataclass(frozen=True)
class FormerRelease:
    """The program of a commit, installed in a folder."""

    commit: str
    folder: Path

    @classmethod
    def install(cls, folder: Path, commit: str = COMMIT) -> FormerRelease:
        """Install the program of ``commit`` in ``folder``. Raise NotInHistoryError if there is no such commit."""
        git = ["git", "-C", str(ROOT), "archive", "--format=tar", commit, "sandboxer"]
        done = subprocess.run(git, capture_output=True, timeout=60, check=False)
        if done.returncode:
            output = done.stderr.decode(errors="replace").strip()
            raise NotInHistoryError(f"the commit {commit[:12]} is not in this clone (is it shallow?): {output}")
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
        former = cls(commit, folder)
        where = [sys.executable, "-c", "import sandboxer; print(sandboxer.__file__)"]
        output = subprocess.run(where, env=former.env, capture_output=True, text=True, timeout=60, check=True).stdout
        assert output.strip() == str(folder / "sandboxer/__init__.py"), output
        return former

    @property
    def env(self) -> dict[str, str]:
        """Variables that make Python use this release's modules and no others."""
        return {"PYTHONPATH": str(self.folder), "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def runs(self, fleet: FleetRepo) -> FleetRepo:
        """Return the same fleet, with this release as the program."""
        return replace(fleet, program=(sys.executable, "-m", "sandboxer"), env=fleet.env | self.env)


def request(fleet: FleetRepo, name: str, profile: str, host: str) -> str:
    """Let the fleet's release write a request for a sandbox to its host, and nothing more. Return the sandbox's ID."""
    done = subprocess.run(
        [sys.executable, "-c", _REQUEST, str(fleet.repo.path), name, profile, host],
        env={"PATH": os.environ["PATH"], "HOME": str(fleet.repo.path.parent / "home"), "LANG": "C.UTF-8"} | fleet.env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
