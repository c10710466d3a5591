"""Everything on a host that a sandbox could leave behind, as values to compare before and after."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab import engine
from tests.lab.host import DOCKER, PODMAN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab.host import LabHost

# Queries for Podman's client; Docker Engine is queried for the same without a client.
_LISTS = {
    "containers": ("ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Names}}"),
    "networks": ("network", "ls", "--format", "{{.Name}}"),
    "volumes": ("volume", "ls", "--format", "{{.Name}}"),
    "images": ("images", "--all", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}"),
}
_FOLDERS = ("tmp", "var/tmp", "root", "home")
_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The contents of a host: each thing a line, sorted; of equal processes each one counts.

    ``containers`` of all states, as ID and name; ``images`` as ID and tag; ``files`` are paths below /tmp, /var/tmp and
    the homes, four levels deep; ``processes`` are command lines.
    """

    containers: tuple[str, ...]
    networks: tuple[str, ...]
    volumes: tuple[str, ...]
    images: tuple[str, ...]
    files: tuple[str, ...]
    processes: tuple[str, ...]

    def leaked_since(self, before: Snapshot) -> dict[str, list[str]]:
        """Return the things that were not there before, by kind; empty if there are none."""
        leaked = {}
        for kind in (field.name for field in fields(self)):
            if new := Counter(getattr(self, kind)) - Counter(getattr(before, kind)):
                leaked[kind] = sorted(new.elements())
        return leaked


def take(host: LabHost) -> Snapshot:
    """Observe the host; raise LabError if an engine does not answer."""
    lists: dict[str, list[str]] = {kind: [] for kind in _LISTS}
    if DOCKER in host.engines:
        lists = _of_docker(host)
    if PODMAN in host.engines:
        for kind, words in _LISTS.items():
            lists[kind] += host.execute([PODMAN, *words]).stdout.splitlines()
    # The host's own root, its mounts included, without running anything there that would itself be counted.
    root = Path(f"/proc/{host.init().pid}/root")
    lists["files"] = [path for folder in _FOLDERS for path in _files(root, Path(folder), _DEPTH)]
    lists["processes"] = list(_processes(root / "proc"))
    return Snapshot(**{kind: tuple(sorted(lines)) for kind, lines in lists.items()})


def _of_docker(host: LabHost) -> dict[str, list[str]]:
    """Return the same lines as the client would print, by kind."""
    return {
        "containers": [
            f"{item['Id']} {','.join(name[1:] for name in item['Names'] if '/' not in name[1:])}"
            for item in engine.ask(host, "/containers/json?all=1")
        ],
        "networks": [item["Name"] for item in engine.ask(host, "/networks")],
        "volumes": [item["Name"] for item in engine.ask(host, "/volumes")["Volumes"] or ()],
        "images": [
            f"{item['Id']} {tag}"
            for item in engine.ask(host, "/images/json?all=1")
            for tag in item["RepoTags"] or ("<none>:<none>",)
        ],
    }


def _files(root: Path, folder: Path, depth: int) -> Iterator[str]:
    try:
        entries = list(os.scandir(root / folder))
    except (FileNotFoundError, NotADirectoryError):  # gone while we read
        return
    for entry in entries:
        yield f"/{folder / entry.name}"
        if depth > 1 and entry.is_dir(follow_symlinks=False):
            yield from _files(root, folder / entry.name, depth - 1)


def _processes(proc: Path) -> Iterator[str]:
    for entry in proc.iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
            except OSError:  # ended while we read
                continue
            if line := b" ".join(words).decode(errors="replace").strip():
                yield line
