"""Faults of a host's engine, disks and programs, each undone at the end of its block."""

from __future__ import annotations

import re
import shlex
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.lab import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lab import Lab
    from tests.lab.engine import StopMode


@dataclass(frozen=True, slots=True)
class Disk:
    """A small file system at ``path`` of a host."""

    lab: Lab
    host: str
    path: str

    def resize(self, options: str) -> None:
        """Change its limits, in the syntax of tmpfs: ``size=64k``, ``nr_inodes=9``."""
        self.lab.exec(self.host, ["mount", "-o", f"remount,{options}", self.path])

    def fill(self, *, leave: int = 0) -> None:
        """Take all the space except ``leave`` KiB."""
        self.free()
        fill = 'dd if=/dev/zero of="$1/.fill" bs=4k 2>/dev/null; truncate -s "-$2K" "$1/.fill"'
        self.lab.exec(self.host, ["sh", "-c", fill, "sh", self.path, str(leave)])

    def free(self) -> None:
        """Release the space."""
        self.lab.exec(self.host, ["rm", "-f", f"{self.path}/.fill"])


@contextmanager
def small_disk(lab: Lab, host: str, path: str, options: str) -> Iterator[Disk]:
    """Yield a separate file system at a path, with limits in the syntax of tmpfs; its content is gone at the end."""
    lab.exec(host, ["mkdir", "-p", "-m", "700", path])
    lab.exec(host, ["mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "tmpfs", path])
    try:
        yield Disk(lab, host, path)
    finally:
        lab.exec(host, ["umount", "-l", path])


@contextmanager
def engine_ended(lab: Lab, host: str, mode: StopMode = "kill") -> Iterator[None]:
    """Stop Docker Engine, as Lab.stop_engine does, and start it again at the end.

    An engine that was killed while it removed a network may not start because of its own file: it panics over a network
    without addresses. Then that file is removed, as a person would. One that was killed between a container's creation
    and its start may forget the process that waits for the start (1 in 3 with Docker 20.10 alone); it is ended.
    """
    lab.stop_engine(host, mode)
    shims = _shims(lab, host)
    try:
        yield
    finally:
        try:
            lab.start_engine(host)
        except LabError:
            lab.exec(host, ["sh", "-c", "tail -n 100 /var/log/dockerd.log | grep -q reservePools"])
            lab.exec(host, ["rm", "/var/lib/docker/network/files/local-kv.db"])
            lab.start_engine(host)
        running = lab.exec(host, ["docker", "ps", "-q", "--no-trunc"]).stdout.split()
        for pid in [pid for pid, container in shims.items() if container not in running and _shims(lab, host).get(pid)]:
            lab.exec(host, ["sh", "-c", 'pkill -KILL -P "$1"; kill -KILL "$1"', "sh", pid], check=False)


def _shims(lab: Lab, host: str) -> dict[str, str]:
    """Return the container of each process that holds one for Docker, by its process ID."""
    lines = lab.exec(host, ["ps", "-C", "containerd-shim-runc-v2,containerd-shim", "-o", "pid=,args="], check=False)
    return dict(re.findall(r"^ *(\d+) .* -id ([0-9a-f]{64}) ", lines.stdout, re.MULTILINE))


@contextmanager
def read_only(lab: Lab, host: str, path: str) -> Iterator[None]:
    """Make everything below a path read-only, as after a disk error."""
    lab.exec(host, ["mount", "--bind", path, path])
    try:
        lab.exec(host, ["mount", "-o", "remount,bind,ro", path])
        yield
    finally:
        lab.exec(host, ["umount", "-l", path])


@contextmanager
def in_place_of(lab: Lab, host: str, program: str, script: str) -> Iterator[None]:
    """Install a shell script that a login finds before the program of this name, which it may call as ``$real``."""
    path = f"/usr/local/bin/{program}"
    real = lab.exec(host, ["sh", "-c", f"command -v {shlex.quote(program)}"]).stdout.strip()
    assert real != path, f"{program} stands in {path} already"
    lab.exec(host, ["sh", "-c", 'cat >"$1" && chmod 755 "$1"', "sh", path], input=f"#!/bin/sh\nreal={real}\n{script}")
    try:
        yield
    finally:
        lab.exec(host, ["rm", "-f", path])
