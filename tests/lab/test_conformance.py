"""The conformance suite on real hosts: the shipped extensions keep to the rules of a backend."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from sandboxer.extensions.conformance.runner import RULES
from tests.support.e2e import API, service, stack

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab import Lab

pytestmark = pytest.mark.lab

# A row: the host, the extension, and the files of its input.
COMPOSE = {"compose.yaml": yaml.safe_dump(stack(web=service()))}
ROWS = {
    "compose-docker": ("lab-1", "ext.compose-ssh", COMPOSE),
    "compose-podman": ("lab-4", "ext.compose-ssh", COMPOSE),
    "directory": ("lab-3", "ext.dir-ssh", {"a.txt": "a\n"}),
}


# Each part has every fifth rule, so that several labs check a row at the same time.
PARTS = 5


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("row", ROWS)
def test_an_extension_conforms(lab: Lab, tmp_path: Path, row: str, part: int) -> None:
    host, extension, files = ROWS[row]
    before = lab.snapshot(host)
    (tmp_path / "data").mkdir()
    for path, text in files.items():
        (tmp_path / "data" / path).write_text(text)
    spec = {"extension": extension, "workspace": {"path": "data", "mode": "copy"}}
    profile = {"apiVersion": API, "kind": "Profile", "metadata": {"name": "tested"}, "spec": spec}
    (tmp_path / "profile.yaml").write_text(yaml.safe_dump(profile))
    (tmp_path / "hosts.yaml").write_text(lab.host_manifests())
    words = [str(tmp_path), "--host", host, "--crash-points", "4"]
    words += [word for rule in RULES[part::PARTS] for word in ("-k", rule.name)]
    done = subprocess.run(
        [sys.executable, "-m", "sandboxer.extensions.conformance", *words],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    # Podman 4.3 leaves a file of its own where its client is killed, as the suite does.
    assert lab.leaked(host, before, ignored=r"/var/tmp/\d+") == {}
