"""The fleet that a command is run in: its folder, and paths of the command line in it."""

from __future__ import annotations

import os
from pathlib import Path


def fleet_folder(*, revision: str | None = None) -> Path:
    """Return the folder of the fleet that the working directory is in.

    Raise SourceError if it is in none. With a ``revision``, whose files need not be in the work tree, that is the
    working directory itself.
    """
    from sandboxer.errors import SourceError
    from sandboxer.wiring.edges import find_fleet

    here = Path.cwd()
    try:
        return find_fleet(here)
    except SourceError:
        if revision is None:
            raise
        return here


def within_fleet(path: str, root: Path) -> str:
    """Return a path, relative to the working directory or absolute, as one relative to the fleet's folder ``root``."""
    return Path(os.path.relpath(path, root)).as_posix()
