"""Where a repository keeps its objects and refs: in its own directories, or it is not read as an input.

Files from a stranger can form a repository for git: two files with another's objects behind them (``commondir``), a
list of other object stores (``alternates``), or links. Through any of these an input would deliver files that only the
user who runs Sandboxer may read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxer.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.adapters.git_process import GitLocation

_BORROWING = ("objects/info/alternates", "objects/info/http-alternates")
_OWN = ("objects", "refs", "packed-refs", "shallow")
_MAX_LOOSE_FILES = 200_000


def refuse_borrowed(location: GitLocation) -> None:
    """Raise SourceError if a repository's objects or refs are another's.

    A linked work tree is part of its repository.
    """
    folder, common = Path(location.git_dir), Path(location.common)
    if folder not in (common, common / "worktrees" / folder.name):
        raise SourceError(
            f"the repository at {folder} takes its objects from {common}, but is not one of its work trees",
            hint="use that repository itself, or a clone",
        )
    for name in _BORROWING:
        if os.path.lexists(common / name):
            raise SourceError(
                f"the repository at {common} borrows objects through {name}, which inputs must not",
                hint=f"copy the objects with `git -C {common} repack -a -d`, then remove {common / name}",
            )
    for link in _links(common):
        raise SourceError(
            f"the repository at {common} keeps its objects or refs behind the link {link}; inputs must not",
            hint="use the repository that the link points to, or a clone made with `git clone --no-hardlinks`",
        )


def _links(common: Path) -> Iterator[str]:
    """Yield the links among the directories of objects and refs."""
    yield from (name for name in _OWN if (common / name).is_symlink())
    pending = [common / "objects", common / "refs"]
    seen = 0
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    seen += 1
                    if seen > _MAX_LOOSE_FILES:
                        raise SourceError(
                            f"the repository at {common} has more than {_MAX_LOOSE_FILES:,} loose files",
                            hint=f"pack the files with `git -C {common} gc`",
                        )
                    if entry.is_symlink():
                        yield str(Path(entry.path).relative_to(common))
                    elif entry.is_dir(follow_symlinks=False):
                        pending.append(Path(entry.path))
        except FileNotFoundError:  # a repack removes folders
            continue
