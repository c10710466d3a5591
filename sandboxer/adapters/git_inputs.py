"""The input files of sandboxes, from git repositories: local ones by path, remote ones by URL through a cache."""

from __future__ import annotations

import contextlib
import difflib
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

from sandboxer.adapters.git_compare import changed_files, file_texts, history_between
from sandboxer.adapters.git_objects import Objects, blobs_of
from sandboxer.adapters.git_process import (
    WHOLE_CLONE,
    GitLocation,
    Patience,
    Process,
    end_all,
    failure,
    is_odd,
    known_names,
    lacks_commit,
    locate,
    refuse_odd,
)
from sandboxer.adapters.git_remote import RemoteRepository, default_cache, protocol_of, server_of
from sandboxer.adapters.git_storage import refuse_borrowed
from sandboxer.adapters.git_tree import MAX_TARGET, Listing, follow, list_tree, pack, packed_size, refuse_too_many
from sandboxer.errors import InputUnavailable, SourceError
from sandboxer.model.input_change import FormerInput, InputChange
from sandboxer.model.protocols import Archive, InputTree
from sandboxer.model.text import redact_urls

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Generator, Hashable, Iterable, Iterator, Mapping

    from sandboxer.model.protocols import TreeEntry

_REMEMBERED = 1024 * 1024  # bytes of a blob
_REMEMBERED_IN_ALL = 32 * 1024 * 1024
_MAX_READ = 16 * 1024 * 1024  # bytes of a single file
_BLOCK = 256 * 1024
_MAX_LISTED = 500_000  # files in all trees of a run
_PER_SERVER = 4  # commands at once: an OpenSSH server allows no more than ten logins at a time

_K = TypeVar("_K", bound="Hashable")
_V = TypeVar("_V")


class _Once(Generic[_K, _V]):
    """A cache that computes each answer once, for all threads; errors are cached as well."""

    def __init__(self, find: Callable[[_K], _V]) -> None:
        self._find = find
        self._lock = threading.Lock()
        self._locks: dict[_K, threading.Lock] = {}
        self._found: dict[_K, _V] = {}
        self._refused: dict[_K, SourceError] = {}

    def __call__(self, key: _K) -> _V:
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key in self._refused:
                before = self._refused[key]
                raise SourceError(before.message, hint=before.hint)
            if key not in self._found:
                try:
                    self._found[key] = self._find(key)
                except SourceError as error:
                    self._refused[key] = error
                    raise
            return self._found[key]


class GitInputs:
    """A resolver and reader of input repositories.

    ``repo`` is a path relative to ``fleet_root`` (a repository, bare or not, or a directory in one), or an https or ssh
    URL. One object always returns the same answer to the same request, errors included: create one for each run. Safe
    to use from several threads. ``timeout`` is in seconds for each git command; ``protocols`` are those that URLs may
    have. With ``revision``, HEAD of the fleet's own repository means that revision: the planned one, and not what
    happens to be checked out. With ``offline`` no server is contacted: of remote repositories only commits in the cache
    are found.
    """

    def __init__(
        self,
        fleet_root: Path,
        cache_dir: Path | None = None,
        timeout: float = 60.0,
        *,
        protocols: tuple[str, ...] = ("https", "ssh"),
        revision: str | None = None,
        offline: bool = False,
    ) -> None:
        self._revision = revision
        self._offline = offline
        self._root = fleet_root
        self._cache = cache_dir
        self._patience = Patience(timeout)
        self._protocols = protocols
        self._turns: dict[str, threading.Semaphore] = {}
        self._listed = 0
        self._own = _Once(self._find_own)
        self._sources = _Once(self._find_source)
        self._commits = _Once(self._find_commit)
        self._listings = _Once(self._find_listing)
        self._blobs: dict[str, bytes] = {}
        self._blobs_size = 0
        self._lock = threading.Lock()

    def resolve(self, repo: str, ref: str, path: str, deadline: float | None = None) -> InputTree:
        """Return the commit that a branch, tag, commit or HEAD names, and its tracked files below ``path``.

        A branch comes before a tag of the same name; a local repository without that branch is searched for
        ``origin``'s. At ``deadline`` (a time of the monotonic clock) the search stops, and all its git processes are
        terminated. Raise InputUnavailable if there is no such commit or path, or if the deadline has passed.
        """
        folder = _folder(path)
        with _about(repo, ref), self._patience.ending_at(deadline):
            try:
                commit = self._commits((repo, ref))
                listing = self._listings((repo, commit, folder))
            except SourceError as error:
                if self._patience.is_over():
                    raise SourceError(f"the time limit for all inputs together was exceeded; {error}") from None
                raise
        return InputTree(repo, ref, commit, folder or ".", listing.digest, listing.entries)

    def give_up(self) -> None:
        """Stop every running git process: for an interrupt, after which nothing more is requested."""
        self._patience.lose()
        end_all()

    def size(self, tree: InputTree) -> int:
        """Return the total size of a tree's files in bytes. Raise InputUnavailable if it cannot be read."""
        with _about(tree.repo, tree.ref):
            return self._listing_of(tree).size

    def read(self, tree: InputTree, path: str) -> bytes:
        """Return one file's bytes, through links; raise InputUnavailable if the tree has no such file."""
        entry = None if path.startswith("/") else tree.entries.get(follow(tree.entries, path))
        if entry is None or entry.target is not None:
            raise InputUnavailable(
                f"{redact_urls(tree.repo)} at {tree.commit[:12]} has no file {path!r} in {tree.path}"
            )
        with self._lock:
            known = self._blobs.get(entry.blob)
        if known is not None:
            return known
        with _about(tree.repo, tree.ref):
            with Objects(self._location_of(tree), timeout=self._patience.seconds()) as objects:
                found = objects.get(entry.blob, _MAX_READ)
            if found is None or found.kind != "blob":
                raise SourceError(f"the content of {path} is no longer in the repository", hint=WHOLE_CLONE)
            if found.size > _MAX_READ:
                limit = f"{_MAX_READ >> 20} MiB is the limit for this kind of file"
                raise SourceError(f"{path} has {found.size} bytes; {limit}", hint="make the file smaller, or split it")
        self._remember(entry.blob, found.data)
        return found.data

    def at(self, tree: InputTree, commit: str, path: str) -> InputTree:
        """Return the files of another commit of the same repository, below ``path``.

        Raise InputUnavailable if the repository no longer has that commit, or the commit no such path.
        """
        folder = _folder(path)
        with _about(tree.repo, tree.ref):
            refuse_odd("commit", commit)
            source = self._sources(tree.repo)
            if isinstance(source, RemoteRepository):
                source.fetch(commit)
            location = _git_location(source)
            with Objects(location, timeout=self._patience.seconds()) as objects:
                if objects.get(f"{commit}^{{commit}}", 0) is None:
                    raise lacks_commit(location, commit)
            listing = self._listings((tree.repo, commit, folder))
        return InputTree(tree.repo, tree.ref, commit, folder or ".", listing.digest, listing.entries)

    def prefetch(self, files: Iterable[tuple[InputTree, str]]) -> None:
        """Read files that will be requested, with one git process for each repository; raise nothing.

        What fails is read on its own later.
        """
        by_repo: dict[str, tuple[InputTree, set[str]]] = {}
        for tree, path in files:
            entry = tree.entries.get(follow(tree.entries, path))
            if entry is not None and entry.target is None:
                by_repo.setdefault(tree.repo, (tree, set()))[1].add(entry.blob)
        for tree, blobs in by_repo.values():
            with contextlib.suppress(SourceError, OSError, InputUnavailable):
                for blob, data in blobs_of(self._location_of(tree), blobs, _REMEMBERED, self._patience.seconds()):
                    self._remember(blob, data)

    def compare(
        self, tree: InputTree, former: FormerInput, *, diff: bool = False, sensitive: Container[str] = ()
    ) -> InputChange:
        """Return how a tree differs from what was delivered before, and the commits between.

        With ``diff`` it has the text of the files, without the values of ``sensitive`` names. Raise nothing: if git
        cannot compare them, the value has the reason.
        """
        change = InputChange(redact_urls(tree.repo), tree.ref, former.commit, tree.commit)
        try:
            refuse_odd("commit", former.commit)
            source = self._sources(tree.repo)
            if isinstance(source, RemoteRepository):
                source.fetch(former.commit)
            location = _git_location(source)
            trees = (
                location.within(former.commit, _folder(former.path)),
                location.within(tree.commit, _folder(tree.path)),
            )
            with Objects(location, timeout=self._patience.seconds()) as objects:
                if objects.get(f"{former.commit}^{{commit}}", 0) is None:
                    raise lacks_commit(location, former.commit)
                if objects.get(trees[0], 0) is None:
                    return replace(change, unknown=f"commit {former.commit[:12]} has no folder {former.path}")
            files, count = changed_files(location, *trees, self._patience.seconds())
            commits, undone, subjects = history_between(location, former.commit, tree.commit, self._patience.seconds())
            if diff:
                text = file_texts(location, *trees, self._patience.seconds(), count=count, sensitive=sensitive)
                change = replace(change, diff=text)
        except (SourceError, InputUnavailable) as error:
            if former.repo != tree.repo:
                return replace(change, unknown=f"it was another repository before: {redact_urls(former.repo)}")
            return replace(change, unknown=redact_urls(error.message), hint=redact_urls(error.hint))
        return replace(change, commits=commits, undone=undone, subjects=subjects, files=files, count=count)

    def archive(self, tree: InputTree, paths: Iterable[str] | None = None) -> Archive:
        """Return a POSIX tar of the tree, or of some of its paths with their parents; equal input gives equal bytes.

        It is read from git while it is consumed: no more than one block of it is in memory.

        Files are 0644 or 0755 with the blob's exact bytes, links as they are, directories 0755, owner and time 0. Raise
        InputUnavailable, also for a path that the tree does not have.
        """
        selected = tree.entries.keys() if paths is None else set(paths)
        if missing := sorted(selected - tree.entries.keys()):
            raise InputUnavailable(
                f"{redact_urls(tree.repo)} at {tree.commit[:12]} has no file {missing[0]!r} in {tree.path}"
            )
        entries = [tree.entries[path] for path in selected]
        with _about(tree.repo, tree.ref):
            location, sizes = self._location_of(tree), self._listing_of(tree).sizes
            return Archive(packed_size(entries, sizes), self._pieces(tree, location, entries, sizes))

    def _pieces(
        self, tree: InputTree, location: GitLocation, entries: list[TreeEntry], sizes: Mapping[str, int]
    ) -> Generator[bytes]:
        # Git waits for the reader of the blocks, which may be behind a slow connection.
        timeout = 2 * self._patience.limit
        with _about(tree.repo, tree.ref), Objects(location, timeout=timeout) as objects:
            yield from pack(entries, sizes, objects.blocks)

    def _listing_of(self, tree: InputTree) -> Listing:
        return self._listings((tree.repo, tree.commit, _folder(tree.path)))

    def _location_of(self, tree: InputTree) -> GitLocation:
        """Return the repository that has the commit of a tree; fetch the commit first if needed."""
        source = self._sources(tree.repo)
        if isinstance(source, RemoteRepository):
            source.fetch(tree.commit)
        return _git_location(source)

    def _remember(self, blob: str, data: bytes) -> None:
        with self._lock:
            if len(data) <= _REMEMBERED and self._blobs_size + len(data) <= _REMEMBERED_IN_ALL:
                self._blobs_size += len(data) if blob not in self._blobs else 0
                self._blobs[blob] = data

    def _find_source(self, repo: str) -> RemoteRepository | GitLocation:
        refuse_odd("repository", repo)
        if protocol := protocol_of(repo, self._protocols):
            cache = self._cache or default_cache()
            with self._lock:
                turns = self._turns.setdefault(server_of(repo), threading.Semaphore(_PER_SERVER))
            return RemoteRepository(repo, protocol, cache, self._protocols, self._patience, turns, self._offline)
        folder = Path(os.path.abspath(self._root / repo))  # noqa: PTH100  # lexical, as in a shell
        if not folder.is_dir():
            raise SourceError(f"there is no folder {folder}", hint="check the path; it is relative to the fleet's root")
        location = locate(folder, self._patience.seconds())
        if location is None:
            raise SourceError(
                f"{folder} is not a git repository", hint="correct the path, or clone the repository there"
            )
        if (
            self._own("") != location.common
        ):  # the objects that the fleet's own repository borrows are read for its manifests anyway
            refuse_borrowed(location)
        return location

    def _find_own(self, _key: str) -> str:
        """Return the git directory of the fleet's repository; empty if it is in none."""
        try:
            location = locate(self._root, self._patience.seconds())
        except SourceError:
            return ""
        return location.common if location else ""

    def _find_commit(self, key: tuple[str, str]) -> str:
        repo, ref = key
        refuse_odd("ref", ref)
        source = self._sources(repo)
        if isinstance(source, RemoteRepository):
            return source.resolve(ref)
        if ref == "HEAD" and self._revision and _top(source) == _top(_git_location(self._sources("."))):
            ref = self._revision
        with Objects(source, timeout=self._patience.seconds()) as objects:
            for name in (f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/remotes/origin/{ref}", ref):
                if found := objects.get(f"{name}^{{commit}}", 0):
                    return found.id
        if source.shallow:
            hint = "fetch the full history of that shallow clone: `git fetch --unshallow`; in CI, fetch-depth: 0"
        elif near := difflib.get_close_matches(ref, known_names(source, self._patience.seconds()), 3, 0.5):
            hint = f"did you mean {' or '.join(near)}?"
        else:
            hint = "specify an existing branch, tag or commit"
        raise SourceError(f"no branch, tag or commit {ref!r}", hint=hint)

    def _find_listing(self, key: tuple[str, str, str]) -> Listing:
        repo, commit, folder = key
        source = self._sources(repo)
        if isinstance(source, RemoteRepository):
            source.fetch(commit)
        location = _git_location(source)
        with Objects(location, timeout=self._patience.seconds()) as objects:
            tree = objects.get(location.within(commit, folder), 0)
            if tree is None and objects.get(f"{commit}^{{tree}}", 0) is None:
                raise SourceError(f"the repository lacks the tree of commit {commit[:12]}", hint=WHOLE_CLONE)
            if tree is None or tree.kind != "tree":
                what = "no folder" if tree is None or not folder else "a file or link instead of a folder at"
                raise SourceError(
                    f"commit {commit[:12]} has {what} {location.prefix + folder or '.'}",
                    hint="correct workspace.path in the profile, or choose a ref that has it",
                )
            listed = self._list(location, tree.id, commit)

            def target_of(blob: str) -> bytes:
                found = objects.get(blob, MAX_TARGET + 1)
                if found is None:
                    raise SourceError(f"the repository lacks the link {blob[:12]}", hint=WHOLE_CLONE)
                return found.data

            listing = list_tree(listed, target_of)
        with self._lock:
            self._listed += len(listing.entries)
            if self._listed > _MAX_LISTED:
                message = f"the inputs of this fleet have more than {_MAX_LISTED:,} files together"
                raise SourceError(message, hint="narrow workspace.path in the profiles to the required folders")
        return listing

    def _list(self, location: GitLocation, tree: str, commit: str) -> bytes:
        """Return git's list of all files below a tree, within the limit on their number."""
        words = ("ls-tree", "-r", "-z", "-l", "--full-tree", tree)
        listed = bytearray()
        count = 0
        with Process((*location.options, *words), timeout=self._patience.seconds()) as process:
            while chunk := process.output.read(_BLOCK):
                listed += chunk
                count += chunk.count(b"\0")
                refuse_too_many(count, len(listed))
            status, errors = process.finish()
        if status:
            raise failure(f"the files of commit {commit[:12]} cannot be listed", errors)
        return bytes(listed)


def _git_location(source: RemoteRepository | GitLocation) -> GitLocation:
    return source.location if isinstance(source, RemoteRepository) else source


def _top(location: GitLocation) -> str:
    """Return the top directory of the repository that a directory is in."""
    return (location.options[1].rstrip("/") + "/").removesuffix(location.prefix)


def _folder(path: str) -> str:
    """Return a normalized workspace path; empty for the whole repository."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or "\n" in path:
        raise InputUnavailable(
            f"the path {path!r} is not inside the repository", hint="use a path relative to the input, without '..'"
        )
    return "/".join(parts)


@contextlib.contextmanager
def _about(repo: str, ref: str) -> Iterator[None]:
    """Turn every failure into InputUnavailable for this input."""
    where = " at ".join(repr(word) if is_odd(word) else redact_urls(word) for word in (repo, ref))
    try:
        yield
    except SourceError as error:
        raise InputUnavailable(f"{where}: {redact_urls(error.message)}", hint=redact_urls(error.hint)) from None
    except OSError as error:
        raise InputUnavailable(f"{where}: {error.strerror or type(error).__name__}: {error.filename}") from error
