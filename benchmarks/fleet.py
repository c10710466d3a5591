"""The measured fleet: 12 sandboxes of one profile on the lab's hosts, in a temporary git repository."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import IMAGE, Lab, Process

if TYPE_CHECKING:
    from collections.abc import Iterator

SANDBOXES = 12
PROGRAM = Path(sys.executable).with_name("sandboxer")

COMPOSE = f"""\
services:
  web:
    image: {IMAGE}
    init: true
    command: [httpd, -f, -p, "8080", -h, /www]
    volumes: [./www:/www:ro]
    healthcheck: {{test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1:8080/"], interval: 1s, retries: 30}}
  worker:
    image: {IMAGE}
    init: true
    command: [sleep, "86400"]
    depends_on: [web]
"""
_PROFILE = """\
apiVersion: sandboxer.dev/v1
kind: Profile
metadata: {name: profile.bench}
spec:
  extension: ext.compose-ssh
  workspace: {path: stack}
  reachability: {ports: [{name: http, service: web, port: 8080}]}
"""
_FLEET = "apiVersion: sandboxer.dev/v1\nkind: Fleet\nmetadata: {name: bench}\n"
_SANDBOX = """\
---
apiVersion: sandboxer.dev/v1
kind: Sandbox
metadata: {{name: bench-{number:02}}}
spec: {{profile: profile.bench, placement: {{hosts: [{host}]}}}}
"""


@contextmanager
def fleet(*, docker: int = 0, both: int = 0) -> Iterator[tuple[Lab, Path]]:
    """Yield a lab with these hosts, and the fleet's folder: 12 sandboxes, the same number on each host."""
    with (
        Lab.up(docker=docker, podman=0, both=both, owner=Process.me()) as lab,
        tempfile.TemporaryDirectory(prefix="sandboxer-bench-") as name,
    ):
        folder = Path(name)
        names = [host.name for host in lab.hosts]
        sandboxes = (_SANDBOX.format(number=n, host=names[n % len(names)]) for n in range(SANDBOXES))
        files = {
            "sandboxer.yaml": _FLEET,
            "profiles/bench.yaml": _PROFILE,
            "manifests/hosts.yaml": lab.host_manifests(),
            "manifests/sandboxes.yaml": "".join(sandboxes),
            "stack/compose.yaml": COMPOSE,
            "stack/www/index.html": "measured\n",
        }
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        git(folder, "init", "-q", "-b", "main")
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", "The fleet that is measured")
        yield lab, folder


def git(folder: Path, *words: str) -> None:
    """Run git in the folder, with a neutral identity."""
    author = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    subprocess.run(["git", "-C", str(folder), *author, *words], check=True, timeout=60)


def sandboxer(folder: Path, *words: str) -> None:
    """Run sandboxer on the fleet; raise CalledProcessError, with its output shown, if it does not exit with 0."""
    done = subprocess.run([PROGRAM, "-C", folder, *words], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode != 0:
        print(done.stdout, done.stderr, file=sys.stderr)
    done.check_returncode()
