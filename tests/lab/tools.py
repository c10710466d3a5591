"""The hosts' ``/usr/local``: Compose v2 as Docker's plugin and podman-compose, from the project's ``lab`` extra."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Collection

_PODMAN_COMPOSE = """\
#!/usr/bin/python3
import sys
sys.path.insert(0, "/usr/local/lib/podman-compose")
from podman_compose import main
sys.exit(main())
"""


def install(local: Path, engines: Collection[str]) -> None:
    """Fill ``local``, to be mounted at /usr/local, with the Compose of each of the host's engines."""
    (local / "bin").mkdir(parents=True)
    if "docker" in engines:
        plugins = local / "lib/docker/cli-plugins"
        plugins.mkdir(parents=True)
        _link_or_copy(_module("compose").parent / "docker-compose", plugins / "docker-compose")
    if "podman" in engines:
        modules = local / "lib/podman-compose"
        modules.mkdir(parents=True)
        shutil.copy(_module("podman_compose"), modules)
        for package in ("dotenv", "yaml"):
            # Without compiled parts: a host's Python may be another than ours, and yaml works without.
            ignore = shutil.ignore_patterns("__pycache__", "*.so")
            shutil.copytree(_module(package).parent, modules / package, ignore=ignore)
        command = local / "bin/podman-compose"
        command.write_text(_PODMAN_COMPOSE)
        command.chmod(0o755)


def _module(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise LabError(f"no Python package {name}; install the project with its lab extra: pip install -e '.[lab]'")
    return Path(spec.origin)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy(source, target)
