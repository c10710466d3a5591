"""A fleet whose only host is unreachable, the program run on it, and its log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.gitrepo import GitRepo
from tests.support.in_process import run_in_process

PROGRAM = Path(sys.executable).with_name("sandboxer")
FLEET = "apiVersion: sandboxer.dev/v1\nkind: Fleet\nmetadata: {name: acme}\n"
MANIFESTS = """\
apiVersion: sandboxer.dev/v1
kind: Profile
metadata: {name: profile.web}
spec: {extension: ext.compose-ssh}
---
apiVersion: sandboxer.dev/v1
kind: Sandbox
metadata: {name: web}
spec: {profile: profile.web}
"""
# Nothing listens on the port of this host, which never existed: connections are refused at once.
SILENT_HOST = """\
apiVersion: sandboxer.dev/v1
kind: Host
metadata: {name: silent}
spec: {address: 127.0.0.1, port: 1, user: nobody}
"""


def silent_fleet(folder: Path) -> GitRepo:
    """Return the fleet, committed, in a new folder."""
    repo = GitRepo.create(folder)
    repo.write("sandboxer.yaml", FLEET)
    repo.write("manifests/web.yaml", MANIFESTS)
    repo.write("manifests/silent.yaml", SILENT_HOST)
    repo.write("compose.yaml", "services: {web: {image: busybox}}\n")
    repo.commit()
    return repo


def run(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program in this process, without a terminal."""
    return run_in_process([str(word) for word in words], _environment(environment), timeout=60)


def start(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as a process, without a terminal."""
    return subprocess.run(
        [PROGRAM, *words],
        env=_environment(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _environment(more: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, **more}


def lines_of(text: str) -> list[dict[str, Any]]:
    """Return the lines of a log, after checking the fields that all of them have."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert list(line)[:4] == ["time", "level", "event", "run_id"]
        assert datetime.fromisoformat(line["time"]).tzinfo == UTC
        assert line["time"].endswith("Z")
        assert line["time"][-5] == "."
        assert line["level"] in ("info", "warning", "error")
        assert None not in line.values()
        assert "" not in line.values()
    return lines


def events_of(text: str) -> list[str]:
    """Return the events of a log, in their order."""
    return [line["event"] for line in lines_of(text)]
