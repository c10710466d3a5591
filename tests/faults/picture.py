"""A comparable picture of whole hosts, without what differs from one life of a sandbox to the next.

It holds everything that a sandbox could leave behind: containers, networks, volumes, images, records, paths, processes
and mounts.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

# Not `uid`, `until` and `config`, which are of one life.
_KEPT_LABELS = re.compile(
    r"dev\.sandboxer\.(fleet|id|name|root|origin|inputs)|com\.docker\.compose\.(project|service|container-number)"
)
# The server's half of a connection: after a cut it ends when its TCP notices, which may be hours later.
_SSHD = re.compile(r"sshd(-session)?: \w+(@notty| \[priv\])")
# Transient by nature: the shells that the lab's first process forks, and the dumps of a stopped engine.
_LABS_OWN = re.compile(r".*/tests/lab/host\.sh init .*")
_DUMP = re.compile(r"/tmp/containerd\.\d+\.stacks\.log")
_RANDOM = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{12,64}\b")
_ADDRESS = re.compile(r"\b\d+\.\d+\.\d+\.\d+\b|(?<=-port )\d+")


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing on a host: its ``kind`` and ``name``, alike on every host, and everything that must be equal."""

    kind: str
    name: str
    host: str
    detail: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """The identity that may exist only as often as in a clean run, on whichever host."""
        return self.kind, self.name

    def __str__(self) -> str:
        return f"{self.kind} {self.name} on {self.host} {self.detail}".rstrip()


@dataclass(frozen=True, slots=True)
class Difference:
    """Things that leaked, are duplicates, are missing, or differ from a clean run; each as lines to read."""

    leaked: tuple[str, ...]
    doubled: tuple[str, ...]
    missing: tuple[str, ...]
    changed: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.leaked or self.doubled or self.missing or self.changed)

    def __str__(self) -> str:
        words = {kind: getattr(self, kind) for kind in ("leaked", "doubled", "missing", "changed")}
        return "\n".join(f"{kind}: {line}" for kind, lines in words.items() for line in lines)


Picture = Counter[Thing]


def take(fleet: FleetRepo) -> Picture:
    """Return everything on the hosts of a fleet now, other fleets' things included.

    Raise LabError if an engine does not answer.
    """
    with ThreadPoolExecutor(max_workers=len(fleet.hosts)) as pool:
        pictures = pool.map(lambda host: list(_things(fleet, host)), fleet.hosts)
        return Counter(thing for things in pictures for thing in things)


def steady(fleet: FleetRepo) -> Picture:
    """Return two equal pictures in a row: without transient things, such as the process of a health check."""
    last = take(fleet)
    for _ in range(20):
        now = take(fleet)
        if now == last:
            return now
        last = now
    raise AssertionError("there is always something that comes or goes")


def compare(clean: Picture, found: Picture) -> Difference:
    """Return the differences of ``found`` from ``clean``."""
    expected, there = (Counter(thing.identity for thing in picture.elements()) for picture in (clean, found))
    lines: dict[str, set[str]] = {"leaked": set(), "doubled": set(), "missing": set(), "changed": set()}
    for thing in found - clean:
        count = expected[thing.identity]
        kind = "leaked" if not count else "doubled" if there[thing.identity] > count else "changed"
        lines[kind].add(str(thing))
    for thing in clean - found:
        fewer = there[thing.identity] < expected[thing.identity]
        lines["missing" if fewer else "changed"].add(str(thing) if fewer else f"{thing} (so in a clean run)")
    return Difference(**{kind: tuple(sorted(found)) for kind, found in lines.items()})


def _things(fleet: FleetRepo, host: str) -> Iterator[Thing]:
    lab = fleet.lab
    now = lab.snapshot(host)
    for item in _inspected(lab, host, [line.split()[0] for line in now.containers]):
        yield _container(host, item)
    for kind, lines in (("network", now.networks), ("volume", now.volumes), ("image", now.images)):
        for line in lines:
            yield Thing(kind, re.sub(r"\b[0-9a-f]{64}\b", "<random>", line) if kind == "volume" else line, host)
    for line in now.processes:
        if _SSHD.fullmatch(line) or _LABS_OWN.fullmatch(line):
            continue
        yield Thing("process", _ADDRESS.sub("<n>", _RANDOM.sub("<random>", line)), host)
    root = Path(f"/proc/{lab.host(host).init().pid}/root")
    for path in now.files:
        if not path.startswith(f"{fleet.root}/") and not _DUMP.fullmatch(path):
            yield Thing("path", path, host)
    yield from _root(root, root / fleet.root.lstrip("/"), host)
    for line in (root / "proc/1/mounts").read_text().splitlines():
        _, target, kind, *_ = line.split()
        # Docker releases a container's network namespace after a minute, and one that it lost when it restarts.
        if target.startswith("/run/docker/netns/"):
            continue
        yield Thing("mount", f"{kind} {_RANDOM.sub('<random>', target)}", host)


def _inspected(lab: Lab, host: str, ids: list[str]) -> list[dict[str, Any]]:
    """Return the engines' descriptions of these containers, without those that have gone meanwhile."""
    items: list[dict[str, Any]] = []
    for engine in lab.host(host).engines if ids else ():
        items += json.loads(lab.exec(host, [engine, "inspect", "--type", "container", *ids], check=False).stdout)
    return items


def _container(host: str, item: dict[str, Any]) -> Thing:
    labels = item["Config"]["Labels"] or {}
    state = item["State"]
    detail = {
        "name": item["Name"].lstrip("/"),
        "state": state["Status"],
        "code": state["ExitCode"] if state["Status"] == "exited" else None,
        "health": (state.get("Health") or {}).get("Status") or None,
        "image": item["Image"],
        "labels": {key: value for key, value in sorted(labels.items()) if _KEPT_LABELS.fullmatch(key)},
        "networks": sorted(item["NetworkSettings"]["Networks"]),
        "mounts": sorted(
            [mount["Destination"], "" if mount["Type"] == "volume" else mount["Source"], mount["RW"]]
            for mount in item["Mounts"]
        ),
    }
    sandbox, service = (labels.get(key) for key in ("dev.sandboxer.name", "com.docker.compose.service"))
    return Thing("container", f"{sandbox}/{service}" if sandbox else detail["name"], host, json.dumps(detail))


def _root(top: Path, root: Path, host: str) -> Iterator[Thing]:
    """Yield every path below the root of the sandboxes, delivered files with their content, and the records."""
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            try:
                yield from _path(top, path, host)
            except FileNotFoundError:  # gone while we read
                continue


def _path(top: Path, path: Path, host: str) -> Iterator[Thing]:
    stat, shown = path.lstat(), f"/{path.relative_to(top)}"
    content = ""
    if "/workspace/" in shown and path.is_file() and not path.is_symlink():
        content = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    yield Thing("path", shown, host, f"{stat.st_mode:o} {stat.st_uid} {content}".rstrip())
    if path.name == "record.json" and path.is_file():
        try:
            record = json.loads(path.read_text(errors="replace"))
            yield Thing("record", record["name"], host, _of_record(record))
        except (ValueError, KeyError, TypeError):
            yield Thing("record", shown, host, "unreadable")


def _of_record(record: dict[str, Any]) -> str:
    services = {
        name: {key: value for key, value in service.items() if key != "config_hash"}
        for name, service in record["services"].items()
    }
    anonymous = len(record["anonymous_volumes"])
    keys = ("phase", "attempt", "host", "engine", "networks", "volumes")
    return json.dumps({**{key: record[key] for key in keys}, "services": services, "anonymous": anonymous})
