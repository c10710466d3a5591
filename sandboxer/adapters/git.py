"""The fleet's manifests, from the work tree or from git's objects."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxer.adapters.git_objects import GitObject, Objects, tree_entries
from sandboxer.adapters.git_process import (
    LINK,
    SUBMODULE,
    TREE,
    GitLocation,
    failure,
    is_odd,
    known_names,
    lacks_commit,
    locate,
    refuse_odd,
    run_git,
    unprintable,
)
from sandboxer.adapters.work_tree import (
    FLEET_FILE,
    FOLDERS,
    MAX_FILES,
    MAX_READ,
    count_in,
    is_manifest,
    read_work_tree,
)
from sandboxer.errors import FleetTooLarge, SourceError
from sandboxer.model.protocols import Revision

if TYPE_CHECKING:
    from collections.abc import Mapping

_COMMITTER = re.compile(rb"^committer .*> (-?\d+) [+-]\d{4}$", re.MULTILINE)
_MAX_REHASHED = 200


@dataclass(frozen=True, slots=True)
class _Commit:
    id: str
    parent: str | None
    committed_at: datetime | None
    manifests: Mapping[str, str]  # path to the blob's id


@dataclass(frozen=True, slots=True)
class _Observed:
    """The manifests that were read, and their commit, where ``history`` begins."""

    revision: Revision
    location: GitLocation | None = None
    commit: _Commit | None = None


class FleetRepository:
    """The manifests of the fleet whose ``sandboxer.yaml`` is in ``root``, which may be a subdirectory of a repository.

    Read-only: it writes neither work tree nor index, takes no lock and fetches nothing. ``timeout`` is in seconds, for
    each git command.
    """

    def __init__(self, root: Path, timeout: float = 60.0) -> None:
        self.root = Path(os.path.abspath(root))  # noqa: PTH100  # lexical: links in the path stay as the user wrote them
        self._timeout = timeout
        self._observations: dict[str | None, _Observed] = {}
        self._work_tree: dict[str, bytes] | None = None

    def files(self, revision: str | None) -> Mapping[str, bytes]:
        """Return the files that the next ``read`` returns; those of a work tree without a git command."""
        if revision is not None:
            return (
                self._observations[revision].revision if revision in self._observations else self.read(revision)
            ).files
        if self._work_tree is None:
            self._work_tree = read_work_tree(self.root)
        return self._work_tree

    def read(self, revision: str | None) -> Revision:
        """Return the manifests of a git revision, or of the work tree for None.

        Of a file over 1 MiB, only the first 1 MiB and one byte are read. A repository without a commit is dirty; a
        fleet outside a repository is not. Raise SourceError if the manifests cannot be read.
        """
        observed = self._observe_work_tree() if revision is None else self._observe_commit(revision)
        self._observations[revision] = observed
        return observed.revision

    def files_at(self, commit: str) -> Mapping[str, bytes]:
        """Return the manifests of a commit that was applied. Raise SourceError if the repository does not have it."""
        refuse_odd("commit", commit)
        location = self._locate()
        if location is None:
            raise SourceError(f"{self.root} is not in a git repository, so commit {commit[:12]} cannot be read")
        with self._objects(location) as objects:
            found = _commit(objects, location, commit)
            if found is None:
                raise lacks_commit(location, commit)
            return _revision(objects, found, None).files

    def history(self, revision: str | None) -> tuple[Revision, ...]:
        """Return the revisions before the one that ``read`` returned, newest first, as far as their manifests differ.

        For the work tree: HEAD if it differs, and HEAD's first parent. For a revision: its first parent. A parent is
        left out if a shallow clone lacks it, or if it is not a readable fleet: it was never applied. So is one that is
        too large.
        """
        if revision not in self._observations:
            self.read(revision)
        observed = self._observations[revision]
        if observed.location is None or observed.commit is None:
            return ()
        before: list[Revision] = []
        with self._objects(observed.location) as objects:
            if observed.revision.dirty and FLEET_FILE in observed.commit.manifests:
                with contextlib.suppress(FleetTooLarge):
                    before.append(_revision(objects, observed.commit, observed.revision.root_commit))
            try:
                parent = observed.commit.parent and _commit(objects, observed.location, observed.commit.parent)
            except SourceError:
                parent = None
            if parent and parent.manifests != observed.commit.manifests and FLEET_FILE in parent.manifests:
                with contextlib.suppress(FleetTooLarge):
                    before.append(_revision(objects, parent, observed.revision.root_commit))
        return tuple(before)

    def is_ancestor(self, older: str, newer: str) -> bool | None:
        """Return whether one commit is a strict ancestor of another; None if that is unknown.

        It is unknown if a commit is missing here, or if a shallow clone lacks the history between the two. Raise
        SourceError only if git does not run at all.
        """
        location = self._locate()
        if location is None or is_odd(older) or is_odd(newer):
            return None
        with self._objects(location) as objects:
            first, second = objects.get(f"{older}^{{commit}}", 0), objects.get(f"{newer}^{{commit}}", 0)
        if first is None or second is None:
            return None
        if first.id == second.id:
            return False
        forth = self._leads(location, first.id, second.id)
        if forth is False and location.shallow and not self._leads(location, second.id, first.id):
            return None
        return forth

    def had_name(self, name: str, commit: str | None) -> bool:
        """Return whether the fleet was once named ``name``.

        The answer is by ``sandboxer.yaml`` in the history of ``commit``, as far as this clone has it.
        """
        location = self._locate()
        if location is None or commit is None or is_odd(commit):
            return False
        grep = "name: *[\"']?" + name.replace(".", r"\.") + "([^a-z0-9.-]|$)"
        words = ("log", "-n1", "--format=%H", "--no-ext-diff", "--no-textconv", f"-G{grep}", commit, "--", FLEET_FILE)
        answer = run_git(*location.options, *words, timeout=self._timeout)
        return answer.status == 0 and bool(answer.output.strip())

    def _leads(self, location: GitLocation, older: str, newer: str) -> bool | None:
        answer = run_git(*location.options, "merge-base", "--is-ancestor", older, newer, timeout=self._timeout)
        return {0: True, 1: False}.get(answer.status)

    def _observe_work_tree(self) -> _Observed:
        files, self._work_tree = self.files(None), None
        location = self._locate()
        if location is None:
            return _Observed(Revision(files))
        with self._objects(location) as objects:
            try:
                head = _commit(objects, location, "HEAD")
            except SourceError:  # that commit has invalid manifests, so they differ from these valid ones
                head = _commit(objects, location, "HEAD", manifests=False)
        if head is None:
            return _Observed(Revision(files, dirty=True), location)
        dirty = self._differ(location, files, head.manifests)
        root = self._root_commit(location, head.id)
        return _Observed(Revision(files, head.id, root, head.committed_at, dirty), location, head)

    def _observe_commit(self, revision: str) -> _Observed:
        refuse_odd("revision", revision)
        location = self._locate()
        if location is None:
            raise SourceError(f"{self.root} is not in a git repository, so there is no revision {revision!r}")
        with self._objects(location) as objects:
            commit = _commit(objects, location, revision)
            if commit is None:
                raise self._unknown(location, revision)
            if FLEET_FILE not in commit.manifests:
                raise SourceError(
                    f"there is no {location.prefix}{FLEET_FILE} at {revision}",
                    hint="choose a later revision, or the folder of the fleet with -C DIR",
                )
            return _Observed(_revision(objects, commit, self._root_commit(location, commit.id)), location, commit)

    def _locate(self) -> GitLocation | None:
        if not self.root.is_dir():
            raise SourceError(f"there is no folder {self.root}", hint="select the fleet's folder with -C DIR")
        return locate(self.root, self._timeout)

    def _objects(self, location: GitLocation) -> Objects:
        return Objects(location, timeout=self._timeout, follow=True)

    def _unknown(self, location: GitLocation, revision: str) -> SourceError:
        if location.shallow:
            hint = "fetch the full history of this shallow clone: `git fetch --unshallow`; in CI, fetch-depth: 0"
        elif near := difflib.get_close_matches(revision, known_names(location, self._timeout), 3, 0.5):
            hint = f"did you mean {' or '.join(near)}?"
        else:
            hint = "list revisions with `git branch --all` and `git tag`, or fetch newer ones with `git fetch`"
        return SourceError(f"there is no revision {revision!r} in the repository of {self.root}", hint=hint)

    def _root_commit(self, location: GitLocation, commit: str) -> str | None:
        """Return the root of the line of first parents: a history that is merged in later does not change it."""
        if location.shallow:
            return None
        args = ("rev-list", "--first-parent", "--max-parents=0", commit)
        answer = run_git(*location.options, *args, timeout=self._timeout)
        if answer.status:
            raise failure(f"the history of {self.root} cannot be read", answer.errors)
        return answer.output.decode().split()[-1]

    def _differ(self, location: GitLocation, files: Mapping[str, bytes], committed: Mapping[str, str]) -> bool:
        if files.keys() != committed.keys():
            return True
        changed = [path for path, data in files.items() if _blob_id(data, committed[path]) != committed[path]]
        if not changed or len(changed) > _MAX_REHASHED:
            return bool(changed)
        # Only git knows which line endings and filters lie between a file and its blob.
        answer = run_git(*location.options, "hash-object", "--", *changed, timeout=self._timeout)
        return answer.output.decode().split() != [committed[path] for path in changed]


def _blob_id(data: bytes, like: str) -> str:
    """Return the id that git gives to a blob, by the same hash as the id ``like``."""
    head = b"blob %d\0" % len(data)
    return (hashlib.sha256 if len(like) == 64 else _sha1)(head + data).hexdigest()


def _sha1(data: bytes) -> hashlib._Hash:
    return hashlib.sha1(data, usedforsecurity=False)


def _commit(objects: Objects, location: GitLocation, name: str, *, manifests: bool = True) -> _Commit | None:
    """Return a commit and the location of its manifests; None if the repository lacks it."""
    found = objects.get(f"{name}^{{commit}}")
    if found is None:
        return None
    head = found.data.partition(b"\n\n")[0]
    parent = next((line[7:].decode() for line in head.split(b"\n") if line.startswith(b"parent ")), None)
    fleet = objects.get(location.within(found.id)) if manifests else None
    listed = _manifests(objects, fleet) if fleet and fleet.kind == "tree" else {}
    return _Commit(found.id, parent, _committed_at(head), listed)


def _committed_at(head: bytes) -> datetime | None:
    found = _COMMITTER.search(head)
    try:
        return datetime.fromtimestamp(int(found[1]), UTC) if found else None
    except (ValueError, OverflowError, OSError):  # commits may contain any number
        return None


def _manifests(objects: Objects, fleet: GitObject) -> dict[str, str]:
    """Return the manifests below a fleet's tree with the ids of their blobs; links inside that tree are followed."""
    found: dict[str, str] = {}
    pending = [("", fleet.id)]
    seen = 0
    while pending:
        folder, tree_id = pending.pop()
        tree = objects.get(tree_id)
        if tree is None:
            raise SourceError(
                f"the folder {folder or '.'} is not in this clone", hint="clone the repository without --filter"
            )
        for mode, name, blob in tree_entries(tree):
            if not folder and name != FLEET_FILE and name not in FOLDERS:
                continue
            seen += 1
            if seen > MAX_FILES:
                raise SourceError(f"more than {MAX_FILES} files below {', '.join(FOLDERS)}")
            path = folder + name
            if mode == TREE:
                pending.append((f"{path}/", blob))
            elif mode == SUBMODULE:
                raise SourceError(
                    f"{path} is a submodule; its manifests cannot be read",
                    hint="copy the manifests into this repository",
                )
            content = _followed(objects, fleet, path) if mode == LINK else blob
            if mode != TREE and is_manifest(path):
                if unprintable(path):
                    raise SourceError(f"{path!r}: file names of manifests must be UTF-8 without control characters")
                found[path] = content
    return dict(sorted(found.items()))


def _followed(objects: Objects, fleet: GitObject, path: str) -> str:
    target = None if unprintable(path) else objects.get(f"{fleet.id}:{path}", 0)
    if target is not None and target.kind == "blob":
        return target.id
    why = {"symlink": "points outside the fleet's folder", "tree": "points to a folder"}
    raise SourceError(
        f"{path} is a link that {why.get(target.kind if target else '', 'points to a missing file')}",
        hint="replace the link with a file, or with a link to a file of the fleet",
    )


def _revision(objects: Objects, commit: _Commit, root: str | None) -> Revision:
    files: dict[str, bytes] = {}
    total = 0
    for path, blob in commit.manifests.items():
        found = objects.get(blob, MAX_READ)
        if found is None:
            raise SourceError(
                f"{path} of {commit.id[:12]} is not in this clone", hint="clone the repository without --filter"
            )
        total = count_in(path, len(found.data), len(files), total)
        files[path] = found.data
    return Revision(files, commit.id, root, commit.committed_at)
