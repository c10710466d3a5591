"""The search for a fleet: from a folder upwards to the nearest ``sandboxer.yaml``, as git finds a repository."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandboxer.adapters.work_tree import FLEET_FILE
from sandboxer.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path


def find_fleet(start: Path) -> Path:
    """Return the folder of the fleet that ``start``, an absolute path, is in.

    The search ends at the root of a git repository and at the boundary of a file system: what lies above belongs to
    somebody else. Raise SourceError if there is no fleet, or if another user put one above ``start``: its manifests
    name hosts to connect to, and secrets to read.
    """
    device, folder = start.stat().st_dev, start
    while not (folder / FLEET_FILE).is_file():
        above = folder.parent
        ended = above == folder or (folder / ".git").exists() or above.stat().st_dev != device
        if ended:
            raise _none(start, folder)
        folder = above
    if folder != start:
        _require_own(folder)
    return folder


def _none(start: Path, last: Path) -> SourceError:
    where = f"in {start}"
    if last != start:
        why = ", the root of its git repository" if (last / ".git").exists() else ""
        where += f" or in a folder above it, up to {last}{why}"
    return SourceError(
        f"there is no {FLEET_FILE} {where}", hint="run the command in a fleet's folder, or select one with -C DIR"
    )


def _require_own(folder: Path) -> None:
    owner = (folder / FLEET_FILE).stat().st_uid
    if owner not in (0, os.getuid()):
        raise SourceError(
            f"{folder / FLEET_FILE} belongs to another user (user id {owner})",
            hint=f"to use this fleet, select it with -C {folder}",
        )
