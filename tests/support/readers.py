"""Two readers of compose files side by side: ours, and the real Composes, each in a separate folder."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import compose
import yaml

from sandboxer.extensions.compose_ssh.findings import Findings
from sandboxer.extensions.compose_ssh.normal import normalise
from sandboxer.extensions.compose_ssh.source import SourceReport, inspect
from sandboxer.model.protocols import TreeEntry

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCKER_COMPOSE = str(Path(compose.__file__).parent / "docker-compose")
PROJECT = "p"
# podman-compose asks Podman for its version first, which no reading needs.
_PODMAN = """
import sys
import podman_compose
podman_compose.Podman.output = lambda *_: __import__("asyncio").sleep(0, b"podman version 4.3.1")
sys.argv[0] = "podman-compose"
podman_compose.main()
"""


def read(files: Mapping[str, str | bytes], *paths: str, podman: bool = False) -> SourceReport:
    """Return our reader's report on compose files; the first of the files is one, unless ``paths`` names them.

    A content that begins with ``-> `` is a link. Raise ComposeRefused if they are rejected.
    """
    data = {path: content.encode() if isinstance(content, str) else content for path, content in files.items()}
    links = {path: content[3:].decode() for path, content in data.items() if content[:3] == b"-> "}
    entries = {path: TreeEntry(path, path, target=links.get(path)) for path in files}
    first = paths or (next(iter(files)),)
    return inspect({path: data[path] for path in first}, lambda path: data[path], entries, sandbox="web", podman=podman)


def put(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Make a folder contain these files and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path, data in contents.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if data.startswith(b"-> "):
            target.symlink_to(data[3:].decode())
        else:
            target.write_bytes(data)


def compose_reads(
    folder: Path, *paths: str, podman: bool = False, options: tuple[str, ...] = (), project: str = PROJECT
) -> subprocess.CompletedProcess[bytes]:
    """Return a real Compose's output for the compose files in a folder."""
    first = posixpath.dirname(paths[0])
    files = [word for path in paths for word in ("-f", os.path.relpath(path, first or "."))]
    program = [sys.executable, "-c", _PODMAN] if podman else [DOCKER_COMPOSE]
    words = ["config"] if podman else ["config", "--format", "json"]
    (folder / first).mkdir(parents=True, exist_ok=True)
    return subprocess.run(
        [*program, "-p", project, "--env-file", "/dev/null", *options, *files, *words],
        cwd=folder / first,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        timeout=60,
        check=False,
    )


def model_of(output: bytes, folder: Path, *, podman: bool = False) -> dict[str, Any]:
    """Return a Compose's model in the long form, its ``x-`` fields left out."""
    model = yaml.load(output, Loader=yaml.CSafeLoader) if podman else json.loads(output)
    found: dict[str, Any] = _without_extensions(normalise(model, str(folder), literal=podman))
    return found


def _without_extensions(value: Any, depth: int = 0) -> Any:
    if not isinstance(value, dict) or depth > 3:
        return value
    kept = {key: item for key, item in value.items() if depth in (1, 3) or not str(key).startswith("x-")}
    return {key: _without_extensions(item, depth + 1) for key, item in kept.items()}


def differences(report: SourceReport, model: dict[str, Any], folder: Path) -> list[str]:
    """Return the parts of a Compose's model that our reader missed."""
    findings = Findings("web")
    report.parts.compare(model, findings, root=str(folder), project=PROJECT)
    return list(findings.lines)
