"""Input repositories behind a URL: the allowed URLs, and the cache for fetched commits."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import hashlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandboxer.adapters.git_objects import Objects
from sandboxer.adapters.git_process import Answer, GitLocation, Patience, failure, is_odd, run_git
from sandboxer.errors import InputUnavailable, SourceError

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_SCP_LIKE = re.compile(r"[^/:]+:")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NO_BRANCH = re.compile(r"[\s~^:?*\[\\]|\.\.|@\{|/$|\.lock$")
# Messages of servers that serve only what branches and tags point at, or nothing shallow.
_ONLY_BRANCHES = re.compile(r"not our ref|unadvertised|couldn't find remote ref|does not support shallow")
_UNLIMITED = 2147483647  # git's own value for an unlimited depth
_POLL = 0.05


def protocol_of(repo: str, allowed: tuple[str, ...]) -> str | None:
    """Return the protocol of a URL (``ssh`` for ``host:path``); None for a path.

    Raise InputUnavailable if the protocol is not allowed.
    """
    if url := _URL.match(repo):
        protocol = url[1].lower()
    elif "::" in repo.partition("/")[0]:
        protocol = repo.partition("::")[0]  # git would run a helper of that name
    elif _SCP_LIKE.match(repo):
        protocol = "ssh"
    else:
        return None
    if protocol not in allowed:
        raise InputUnavailable(
            f"{protocol} is not a supported protocol for inputs",
            hint=f"use {' or '.join(f'{name}://' for name in allowed)}, or a path",
        )
    return protocol


def server_of(repo: str) -> str:
    """Return the server in a URL or ``host:path``, user and port included."""
    return repo.partition("://")[2].partition("/")[0] if "://" in repo else repo.partition(":")[0]


def default_cache() -> Path:
    """Return the directory of fetched commits: ``$XDG_CACHE_HOME/sandboxer/git``, else below ``~/.cache``."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "sandboxer" / "git"


@dataclass(frozen=True, slots=True)
class RemoteRepository:
    """One repository behind a URL, and its bare copy in the cache, which other runs may use at the same time.

    ``patience`` is for each git command, and for the wait for another run's fetch; ``turns`` limits how many of this
    run's commands use its server at once. With ``offline`` only what is in the cache is found.
    """

    url: str
    protocol: str
    cache: Path
    allowed: tuple[str, ...]
    patience: Patience
    turns: threading.Semaphore
    offline: bool = False

    @property
    def location(self) -> GitLocation:
        """The location of the copy for git; it may not exist yet."""
        return GitLocation(("--git-dir", str(self._folder)), "", shallow=True)

    def resolve(self, ref: str) -> str:
        """Return the current commit of a branch, a tag or ``HEAD`` there; a full commit id is returned as it is.

        A branch comes before a tag of the same name. Raise SourceError if there is none.
        """
        if _COMMIT.fullmatch(ref):
            return ref
        if _NO_BRANCH.search(ref):
            raise SourceError(f"{ref!r} is not a branch, tag or commit of a remote repository")
        names = (ref, f"refs/heads/{ref}", f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}")
        candidates = names[:1] if ref == "HEAD" or ref.startswith("refs/") else names[1:]
        found = self._list(*candidates)
        for name in candidates:
            if name in found:
                return found[name]
        raise self._unknown(ref)

    def fetch(self, commit: str) -> None:
        """Ensure that the commit and its files are in the cache. Raise SourceError if they cannot be fetched."""
        if self.offline and not self._has(commit):
            raise SourceError(f"commit {commit[:12]} is not in the cache")
        # Another run may be creating the copy: without the lock, a failed read proves nothing.
        with contextlib.suppress(SourceError):
            if self._has(commit):
                return
        with self._locked() as lock:
            if self._has(commit):  # another run was faster
                return
            self._make(commit)
            refusal = self._fetch(lock, "--depth=1", "--", self.url, f"+{commit}:{_kept(commit)}")
            if _ONLY_BRANCHES.search(refusal):
                everything = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
                refusal = self._fetch(lock, f"--depth={_UNLIMITED}", "--prune", "--", self.url, *everything)
                if not refusal:
                    self._keep(commit)
            if refusal:
                raise _refused(f"commit {commit[:12]} cannot be fetched", refusal)

    def _list(self, *names: str) -> dict[str, str]:
        if self.offline:
            raise SourceError("it is remote, and only a commit in the cache is found offline")
        # From the top, where no repository's own settings apply: none apply to the fetch, either.
        answer = self._run_git("-C", "/", "ls-remote", "--", self.url, *names)
        if answer.status:
            raise _refused("the repository cannot be reached", answer.errors)
        pairs = (line.partition("\t") for line in answer.output.decode("utf-8", "replace").split("\n"))
        return {name: commit for commit, _, name in pairs if _COMMIT.fullmatch(commit) and not is_odd(name)}

    def _unknown(self, ref: str) -> SourceError:
        known = {
            name.split("/", 2)[2] for name in self._list("refs/heads/*", "refs/tags/*") if not name.endswith("^{}")
        }
        near = difflib.get_close_matches(ref, known, 3, 0.5)
        if re.fullmatch(r"[0-9a-f]{7,63}", ref):
            hint = "use the full commit ID"
        elif near:
            hint = f"did you mean {' or '.join(near)}?"
        else:
            hint = "specify a branch, a tag, or a full commit ID"
        return SourceError(f"no branch or tag {ref!r}", hint=hint)

    def _has(self, commit: str) -> bool:
        if not (self._folder / "HEAD").exists():
            return False
        with Objects(self.location, timeout=self.patience.seconds()) as objects:
            return objects.get(f"{_kept(commit)}^{{tree}}", 0) is not None

    def _make(self, commit: str) -> None:
        """Create the copy; harmless if it exists."""
        for stale in (*self._folder.glob("*.lock"), *self._folder.glob("refs/**/*.lock")):
            stale.unlink(missing_ok=True)  # from a fetch that was killed: we hold the lock
        hashes = ("--object-format=sha256",) if len(commit) == 64 else ()
        words = ("init", "--quiet", "--bare", "--template=", *hashes)
        answer = run_git(*words, "--", str(self._folder), timeout=self.patience.seconds())
        if answer.status:
            raise failure(f"the cache {self._folder} cannot be created", answer.errors)

    def _fetch(self, lock: int, *args: str) -> str:
        """Return git's error message about a fetch; empty on success."""
        fetch = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules")
        answer = self._run_git(*self.location.options, *fetch, *args, keep=(lock,))
        return (answer.errors or f"git fetch ended with {answer.status}") if answer.status else ""

    def _keep(self, commit: str) -> None:
        answer = run_git(*self.location.options, "update-ref", _kept(commit), commit, timeout=self.patience.seconds())
        if answer.status:
            raise SourceError(f"no commit {commit}", hint="check that the commit was pushed and not pruned")

    def _run_git(self, *args: str, keep: tuple[int, ...] = ()) -> Answer:
        quiet = ("core.hooksPath=/dev/null", "gc.auto=0", "maintenance.auto=false")
        words = tuple(word for setting in quiet for word in ("-c", setting))
        allowed, environment = ":".join(self.allowed), self._ssh()
        if not self.turns.acquire(timeout=self.patience.seconds()):
            raise SourceError("skipped, because its server did not answer earlier requests")
        try:
            timeout = self.patience.seconds()
            return run_git(*words, *args, timeout=timeout, protocols=allowed, environment=environment, keep=keep)
        finally:
            self.turns.release()

    def _ssh(self) -> dict[str, str]:
        """Return an environment in which OpenSSH never prompts, unless the user has configured how ssh is run."""
        if self.protocol != "ssh" or os.environ.keys() & {"GIT_SSH_COMMAND", "GIT_SSH"}:
            return {}
        if run_git("-C", "/", "config", "--get", "core.sshCommand", timeout=self.patience.seconds()).status == 0:
            return {}
        return {"GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}

    @property
    def _folder(self) -> Path:
        return self.cache / hashlib.sha256(self.url.encode()).hexdigest()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Hold the copy's lock. Git inherits the lock: a fetch that outlives a killed run keeps it."""
        self.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(f"{self._folder}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            patience = self.patience.seconds()
            end = time.monotonic() + patience
            while not _try_lock(descriptor):
                if time.monotonic() > end:
                    raise SourceError(
                        f"another run has been fetching this repository for {patience:.0f} s",
                        hint="try again when that run has ended",
                    )
                time.sleep(_POLL)
            yield descriptor
        finally:
            os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _kept(commit: str) -> str:
    return f"refs/sandboxer/{commit}"


def _refused(message: str, errors: str) -> SourceError:
    """Return git's error about a remote, with a hint."""
    if "Host key verification failed" in errors:
        hint = "compare the host key with the published one, and add it to known_hosts"
    elif re.search("Permission denied|Authentication failed|could not read (Username|Password)", errors):
        hint = "configure credentials that need no prompt: an ssh agent, a deploy key or a credential helper"
    else:
        hint = "check the address and the network with `git ls-remote` and the same URL"
    return SourceError(failure(message, errors).message, hint=hint)
