"""What changed in a sandbox's input between two commits: commits and delivered files, as a person reviews them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sandboxer.model.jsontypes import JsonObject

#: How many files, and subjects of commits, a comparison lists; the rest is counted.
MOST_FILES, MOST_SUBJECTS = 20, 5

FileStatus = Literal["A", "M", "D", "R", "T"]
"""The letters of git: added, modified, deleted, renamed, or a file that became a link or back."""


@dataclass(frozen=True, slots=True)
class FormerInput:
    """What a sandbox was delivered before, by its record: the files below ``path`` at a commit of a repository."""

    repo: str
    commit: str
    path: str


@dataclass(frozen=True, slots=True)
class FileChange:
    """One delivered file that differs.

    ``added`` and ``removed`` are lines, None for a binary file. ``mode`` is the former and the new mode of git where
    these differ, such as ``("100644", "100755")``. ``former_path`` is set for a renamed file.
    """

    status: FileStatus
    path: str
    added: int | None = 0
    removed: int | None = 0
    mode: tuple[str, str] | None = None
    former_path: str | None = None

    @property
    def binary(self) -> bool:
        """Whether git counts no lines, because the file is not text."""
        return self.added is None

    def to_json(self) -> JsonObject:
        """Return it as in a plan's JSON."""
        return {
            "status": self.status,
            "path": self.path,
            "former_path": self.former_path,
            "added": self.added,
            "removed": self.removed,
            "binary": self.binary,
            "mode": list(self.mode) if self.mode else None,
        }


@dataclass(frozen=True, slots=True)
class InputChange:
    """How the input of a sandbox differs between the commit on record and the one to apply.

    ``commits`` are in the new history only, ``undone`` in the former one only, as after a rebase; both are None where a
    shallow clone lacks the history. ``subjects`` are of the newest of ``commits``. ``files`` are the first of ``count``
    files that differ. ``unknown`` is the reason if nothing of this is known, ``hint`` what would help.
    ``diff`` is the text of the files, as ``git diff`` prints it, if it was requested; None otherwise.
    """

    repo: str
    ref: str
    former: str
    commit: str
    commits: int | None = None
    undone: int | None = None
    subjects: tuple[str, ...] = ()
    files: tuple[FileChange, ...] = ()
    count: int = 0
    unknown: str = ""
    hint: str = ""
    diff: tuple[str, ...] | None = None

    def to_json(self) -> JsonObject:
        """Return it as in a plan's JSON."""
        return {
            "repo": self.repo,
            "ref": self.ref,
            "former": self.former,
            "commit": self.commit,
            "commits": self.commits,
            "undone": self.undone,
            "subjects": list(self.subjects),
            "files": [file.to_json() for file in self.files],
            "count": self.count,
            "unknown": self.unknown or None,
            "hint": self.hint or None,
            **({} if self.diff is None else {"diff": "".join(f"{line}\n" for line in self.diff)}),
        }
