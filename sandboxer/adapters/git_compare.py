"""The comparison of two commits of an input, for the review of a plan."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from sandboxer.adapters.git_process import failure, run_git
from sandboxer.model.input_change import MOST_FILES, MOST_SUBJECTS, FileChange, FileStatus
from sandboxer.model.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.adapters.git_process import GitLocation

_LONGEST_SUBJECT = 100
# A stranger's repository may configure programs that show a difference. Renames cost the square of the number of files.
_DIFF = ("-c", "diff.renameLimit=400", "diff", "--no-ext-diff", "--no-textconv", "--no-color", "-M")


def changed_files(
    location: GitLocation, former: str, commit: str, folder: str, timeout: float
) -> tuple[tuple[FileChange, ...], int]:
    """Return the first files below ``folder`` that differ between two commits, sorted by path, and how many differ.

    Paths are relative to the folder. Raise SourceError if git fails: a commit or the folder in it is missing, or it
    takes longer than ``timeout`` seconds.
    """
    trees = (location.within(former, folder), location.within(commit, folder))
    words = (*location.options, *_DIFF, "--raw", "--numstat", "-z", *trees)
    answer = run_git(*words, timeout=timeout)
    if answer.status:
        raise failure(f"the commits {former[:12]} and {commit[:12]} cannot be compared", answer.errors)
    files = sorted(_files(os.fsdecode(answer.output).split("\0")[:-1]), key=lambda file: file.path)
    return tuple(files[:MOST_FILES]), len(files)


def _files(fields: list[str]) -> Iterator[FileChange]:
    """Yield the files of git's output: all raw lines, then a line of numbers for each, in the same order."""
    raw: list[tuple[FileStatus, tuple[str, str] | None, list[str]]] = []
    rest = iter(fields)
    for line in rest:
        if not line.startswith(":"):
            break
        before, after, _, _, status = line.removeprefix(":").split(" ")
        paths = [next(rest) for _ in range(2 if status[0] in "RC" else 1)]
        both = before != after and "000000" not in (before, after)
        raw.append((cast("FileStatus", status[0]), (before, after) if both else None, paths))
    else:
        return
    for status, mode, paths in raw:
        added, removed, path = line.split("\t", 2)
        for _ in range(0 if path else 2):  # a renamed file: both paths follow as fields of their own
            next(rest)
        yield FileChange(
            status,
            paths[-1],
            None if added == "-" else int(added),
            None if removed == "-" else int(removed),
            mode,
            paths[0] if status == "R" else None,
        )
        line = next(rest, "")


def history_between(
    location: GitLocation, former: str, commit: str, timeout: float
) -> tuple[int | None, int | None, tuple[str, ...]]:
    """Return the numbers of commits in the new history only and in the former one only, and the newest subjects.

    The numbers are None where a shallow clone does not reach back to what both have in common. Raise SourceError if git
    fails, such as for a commit that the repository does not have.
    """
    counted = run_git(
        *location.options, "rev-list", "--left-right", "--count", f"{former}...{commit}", "--", timeout=timeout
    )
    if counted.status:
        raise failure(f"the history from {former[:12]} to {commit[:12]} cannot be read", counted.errors)
    undone, commits = (int(number) for number in counted.output.split())
    words = ("log", "-z", f"--max-count={MOST_SUBJECTS}", "--format=%s", f"{former}..{commit}", "--")
    listed = run_git(*location.options, *words, timeout=timeout)
    if listed.status:
        raise failure(f"the history from {former[:12]} to {commit[:12]} cannot be read", listed.errors)
    lines = listed.output.decode("utf-8", "replace").split("\0")
    subjects = tuple(printable(line, _LONGEST_SUBJECT) for line in lines if line)
    if location.shallow and undone:
        return None, None, subjects
    return commits, undone, subjects
