"""A fleet whose only host is unreachable, and the log of the program."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.support.gitrepo import GitRepo

if TYPE_CHECKING:
    from pathlib import Path

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
UNREACHABLE_HOST = """\
apiVersion: sandboxer.dev/v1
kind: Host
metadata: {name: offline}
spec: {address: 127.0.0.1, port: 1, user: nobody}
"""


def unreachable_fleet(folder: Path) -> GitRepo:
    """Return the fleet, committed, in a new folder."""
    repo = GitRepo.create(folder)
    repo.write("sandboxer.yaml", FLEET)
    repo.write("manifests/web.yaml", MANIFESTS)
    repo.write("manifests/offline.yaml", UNREACHABLE_HOST)
    repo.write("compose.yaml", "services: {web: {image: busybox}}\n")
    repo.commit()
    return repo


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
