"""Each host's part of the machine's cgroup trees, which identifies its containers for removal.

The host sees its part as the whole tree (``host.sh`` mounts it so); both cgroup versions and their mixture work.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.errors import LabError, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOP = "sandboxer-lab"


def mounts() -> list[Path]:
    """Return the mount points of the machine's cgroup trees."""
    lines = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    return [Path(where) for _, where, kind, *_ in lines if kind in {"cgroup", "cgroup2"}]


def part(lab: str, host: str) -> str:
    """Return a host's part, relative to each tree."""
    return f"{_TOP}/{lab}/{host}"


def create(lab: str, host: str) -> None:
    """Create the host's part in every tree, with all controllers that the tree has."""
    trees = mounts()
    if not trees:
        raise LabError("no cgroup tree is mounted on this machine; an engine cannot run here")
    for tree in trees:
        above = tree
        for step in part(lab, host).split("/"):
            _delegate(above)
            here = above / step
            here.mkdir(exist_ok=True)
            _inherit_cpuset(above, here)
            above = here


def remove(lab: str) -> None:
    """Remove the parts of all hosts of a lab; their processes must have ended."""
    for tree in mounts():
        for folder in _deepest_first(tree / _TOP / lab):
            wait_until(lambda f=folder: _removed(f), seconds=10, what=f"the end of cgroup {folder}")  # type: ignore[misc]
        with contextlib.suppress(OSError):  # another lab exists
            (tree / _TOP).rmdir()


def leftovers(lab: str) -> list[Path]:
    """Return the leftovers of a lab in the trees."""
    return [tree / _TOP / lab for tree in mounts() if (tree / _TOP / lab).exists()]


def _delegate(folder: Path) -> None:
    """Enable all controllers for a folder's children: in version 2 they have only those that it hands down."""
    control = folder / "cgroup.subtree_control"
    if control.exists():
        for controller in (folder / "cgroup.controllers").read_text().split():
            with contextlib.suppress(OSError):
                control.write_text(f"+{controller}")


def _inherit_cpuset(above: Path, here: Path) -> None:
    """Copy the CPUs and memory nodes: in version 1 a new cpuset is empty, and no process may enter it."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (here / "cpuset.sched_load_balance").exists() and not (here / name).read_text().strip():
            (here / name).write_text((above / name).read_text())


def _deepest_first(folder: Path) -> Iterator[Path]:
    for path, _, _ in os.walk(folder, topdown=False):
        yield Path(path)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:  # the kernel has not yet released a process that ended
        return False
    return True
