"""The comparison of two commits of an input, for the review of a plan."""

from __future__ import annotations

import os
from itertools import chain, islice
from typing import TYPE_CHECKING, cast

from sandboxer.adapters.git_process import Process, failure, run_git
from sandboxer.model.diff_mask import masked
from sandboxer.model.input_change import MOST_FILES, MOST_SUBJECTS, FileChange, FileStatus
from sandboxer.model.text import printable

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from sandboxer.adapters.git_process import GitLocation

_LONGEST_SUBJECT = 100
_NOT_COMPARED = "the files of the two commits cannot be compared"
# A stranger's repository may configure programs that show a difference. Renames cost the square of the number of files.
_DIFF = ("-c", "diff.renameLimit=400", "diff", "--no-ext-diff", "--no-textconv", "--no-color", "-M")


#: The bounds of the text of a comparison: of a line in characters, and of a file and of all of them in lines.
LONGEST_LINE, MOST_OF_FILE, MOST_LINES = 400, 200, 1_000
_READ = 8 * 1024 * 1024  # bytes of git's output; what comes after them is not shown
_MASKED = 4 * LONGEST_LINE  # of a line: a value that is masked makes it shorter
_TEXT = ("-U3", "--inter-hunk-context=0", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "-O/dev/null")


def file_texts(
    location: GitLocation,
    former: str,
    new: str,
    timeout: float,
    *,
    count: int,
    sensitive: Container[str] = (),
) -> tuple[str, ...]:
    """Return the differing files of two trees as lines of text, safe for terminals; what is left out is counted.

    ``count`` is how many files differ. Values of ``sensitive`` names are masked, and so are those whose names say so.
    Raise SourceError if git fails.
    """
    words = ("-c", "core.quotePath=false", *_DIFF, *_TEXT)
    with Process((*location.options, *words, former, new), timeout=timeout) as process:
        data = process.output.read(_READ)
        if len(data) < _READ:
            status, errors = process.finish()
            if status:
                raise failure(_NOT_COMPARED, errors)
    # The last line may be half of one.
    lines = data.decode("utf-8", "replace").split("\n")[:-1]
    return tuple(_bounded(_by_file(lines), count, sensitive))


def _by_file(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield the lines of each file: every line of its content begins with a sign, and so none begins like a header."""
    of_file: list[str] = []
    for line in lines:
        if line.startswith("diff -") and of_file:
            yield of_file
            of_file = []
        of_file.append(line)
    if of_file:
        yield of_file


def _bounded(files: Iterable[list[str]], count: int, sensitive: Container[str]) -> Iterator[str]:
    room, shown = MOST_LINES, 0
    for lines in files:
        fits = min(MOST_OF_FILE, room)
        if fits <= 0:
            break
        head = next((at for at, line in enumerate(lines) if line.startswith("@@")), len(lines))
        found = islice(chain(lines[:head], masked((line[:_MASKED] for line in lines[head:]), sensitive)), fits)
        yield from (printable(line.expandtabs(8), LONGEST_LINE) for line in found)
        if len(lines) > fits:
            yield f"… {len(lines) - fits} more lines of this file"
        room, shown = room - min(len(lines), fits), shown + 1
    if shown < count:
        yield f"… {count - shown} more {'file' if count - shown == 1 else 'files'}"


def changed_files(location: GitLocation, former: str, new: str, timeout: float) -> tuple[tuple[FileChange, ...], int]:
    """Return the first files that differ between two trees, sorted by path, and how many differ.

    Paths are relative to the trees. Raise SourceError if git fails: a tree is missing, or it takes longer than
    ``timeout`` seconds.
    """
    words = (*location.options, *_DIFF, "--raw", "--numstat", "-z", former, new)
    answer = run_git(*words, timeout=timeout)
    if answer.status:
        raise failure(_NOT_COMPARED, answer.errors)
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
