"""Git commands: bounded in time and output, without prompts, without locks, independent of a hook's environment.

GitPython starts the processes. Its own readers of refs and objects stay unused: they support neither reftable nor
SHA-256 repositories, nor git's check of who owns a repository.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.adapters.git_errors import cause_of
from sandboxer.errors import SourceError
from sandboxer.model.text import redact_urls

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import IO, Self

    from git import Git

MAX_OUTPUT = 64 * 1024 * 1024
TREE, LINK, SUBMODULE = "40000", "120000", "160000"

WHOLE_CLONE = "use a full clone (`git clone` without --filter), or check a damaged one with `git fsck`"

_NO_TRANSPORT = "none"
_GRACE = 2.0  # seconds between TERM and KILL
_LAST_WORDS = 0.5  # seconds for the rest of standard error once git has ended

# Git sets these for its hooks; inherited, they would point every command at the hook's repository.
_OF_HOOKS = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)
# No command here needs a program of the repository's choice, and a stranger may have configured one.
_QUIET = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
_ALWAYS = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GCM_INTERACTIVE": "never",
    "SSH_ASKPASS": "",
}

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def unprintable(name: str) -> bool:
    """Return whether a name has control characters or bytes that are not UTF-8: unsafe to print or deliver."""
    return bool(_CONTROL.search(name)) or any("\ud800" <= c <= "\udfff" for c in name)


def is_odd(value: str) -> bool:
    """Return whether a value must not be passed to git: it is empty, unprintable, or looks like an option."""
    return not value or value.startswith("-") or unprintable(value)


def refuse_odd(what: str, value: str) -> None:
    """Raise SourceError, which calls the value ``what``, if the value must not be passed to git."""
    if is_odd(value):
        raise SourceError(f"{what} {value!r} cannot be passed to git", hint=f"specify an existing {what}")


class Patience:
    """The time limits for git: ``limit`` seconds for each command, and a common deadline for those of a thread."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._is_lost = False  # whether the caller no longer waits for an answer
        self._own = threading.local()

    @contextlib.contextmanager
    def ending_at(self, moment: float | None) -> Iterator[None]:
        """End this thread's commands inside the block at ``moment`` (of the monotonic clock), if there is one."""
        before = self._own.__dict__.get("deadline")
        self._own.deadline = moment
        try:
            yield
        finally:
            self._own.deadline = before

    def lose(self) -> None:
        """Start no further command: the caller no longer waits for an answer."""
        self._is_lost = True

    def is_over(self) -> bool:
        """Return whether the common deadline has passed."""
        deadline = self._own.__dict__.get("deadline")
        return deadline is not None and time.monotonic() >= deadline

    def seconds(self) -> float:
        """Return the seconds for the next command. Raise SourceError if there are none left."""
        deadline = self._own.__dict__.get("deadline")
        left = self.limit if deadline is None else min(self.limit, deadline - time.monotonic())
        if left <= 0 or self._is_lost:
            raise SourceError("git was not started: the run is ending")
        return left


class Process:
    """One running git process. After its time limit (seconds) it is terminated, and every read gets an end of file.

    ``protocols`` are those that it may fetch by, separated by colons; descriptors in ``keep`` stay open in it.
    """

    def __init__(
        self,
        args: tuple[str, ...],
        *,
        timeout: float,
        protocols: str = _NO_TRANSPORT,
        environment: Mapping[str, str] | None = None,
        keep: tuple[int, ...] = (),
    ) -> None:
        self.words = redact_urls(f"git {' '.join(a for a in args if not a.startswith('-'))}")
        self._timeout = timeout
        self._expired = False
        self._stderr = b""
        env = {**_ALWAYS, "GIT_ALLOW_PROTOCOL": protocols, **(environment or {})}
        self._handle, self._process = _start(args, env, keep)
        self._watch = self._watched()
        self._drain = threading.Thread(target=self._read_errors, daemon=True)
        self._drain.start()
        _running.add(self)

    @property
    def input(self) -> IO[bytes]:
        """The standard input of git."""
        return _pipe(self._process.stdin)

    @property
    def output(self) -> IO[bytes]:
        """The standard output of git."""
        return _pipe(self._process.stdout)

    def renew(self) -> None:
        """Restart the time limit: git makes progress, and only the reader of its output is slow."""
        if time.monotonic() - self._renewed > self._timeout / 4:
            self._watch.cancel()
            self._watch = self._watched()

    def finish(self) -> tuple[int, str]:
        """Close its input, wait for it, and return exit code and standard error.

        Raise SourceError if the time limit passes.
        """
        with contextlib.suppress(OSError):  # it may have ended before it read everything
            self.input.close()
        self._process.wait()  # bounded by the watch
        self._drain.join(_LAST_WORDS)
        if self._expired:
            self._watch.join()  # signal its children for the last time before reporting its end
            raise SourceError(
                f"{self.words}: no result within {self._timeout:g} s; git was stopped",
                hint="run the command by hand: the usual causes are a slow disk or network, or a hidden prompt",
            )
        reported = self._stderr.decode("utf-8", "replace").strip()
        reported = "".join(c if c == "\n" or c.isprintable() else "?" for c in reported)  # a remote may have written it
        return self._process.returncode, redact_urls(reported)

    def end(self) -> None:
        """Stop it and every process that it started; harmless if it has ended."""
        for signum in (signal.SIGTERM, signal.SIGKILL):  # on TERM git removes its own lock files
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        _running.discard(self)
        self._watch.cancel()
        if self._process.poll() is None:
            self.end()
        for stream in (self.input, self.output):
            with contextlib.suppress(OSError):
                stream.close()
        self._handle.proc = None  # nothing is left for the handle to do

    def _watched(self) -> threading.Timer:
        self._renewed = time.monotonic()
        watch = threading.Timer(self._timeout, self._expire)
        watch.daemon = True
        watch.start()
        return watch

    def _expire(self) -> None:
        if self._process.poll() is None:
            self._expired = True
            self.end()

    def _read_errors(self) -> None:
        """Keep the end of git's standard error; a leftover child may hold this open for long."""
        with _pipe(self._process.stderr) as stream:
            while chunk := os.read(stream.fileno(), 8192):
                self._stderr = (self._stderr + chunk)[-8192:]


_running: weakref.WeakSet[Process] = weakref.WeakSet()


def end_all() -> None:
    """Stop every running git process and all that these started, of any thread."""
    for process in list(_running):
        process.end()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise SourceError("git's input or output is not connected")
    return stream


def _start(
    args: tuple[str, ...], env: Mapping[str, str], keep: tuple[int, ...]
) -> tuple[Git.AutoInterrupt, subprocess.Popen[bytes]]:
    """Return the process, and GitPython's handle on it, which terminates it on garbage collection."""
    missing = SourceError("git cannot be run on this machine", hint="install git, and add it to PATH")
    try:
        from git import Git
        from git.exc import GitCommandNotFound
    except ImportError as error:
        raise missing from error
    # GitPython adds to the environment and cannot remove from it.
    misleading = [word for name in _OF_HOOKS if name in os.environ for word in ("-u", name)]
    command = [*(["env", *misleading] if misleading else []), Git.GIT_PYTHON_GIT_EXECUTABLE or "git", *_QUIET, *args]
    try:
        handle = Git().execute(
            command,
            istream=subprocess.PIPE,
            as_process=True,
            env=dict(env),
            start_new_session=True,  # no terminal to prompt on, and one group to end
            pass_fds=keep,
        )
    except (GitCommandNotFound, OSError) as error:
        raise missing from error
    process = handle.proc
    if process is None:
        raise missing
    return handle, process


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a git command: exit code, standard output, and standard error without credentials."""

    status: int
    output: bytes
    errors: str


def run_git(
    *args: str,
    timeout: float,
    protocols: str = _NO_TRANSPORT,
    environment: Mapping[str, str] | None = None,
    keep: tuple[int, ...] = (),
) -> Answer:
    """Run one git command to its end, within ``timeout`` seconds. A non-zero exit is a result, not an error.

    Raise SourceError if git is missing, is too slow, or prints more than 64 MiB.
    """
    with Process(args, timeout=timeout, protocols=protocols, environment=environment, keep=keep) as process:
        output = process.output.read(MAX_OUTPUT + 1)
        if len(output) > MAX_OUTPUT:
            raise SourceError(f"{process.words}: output exceeds {MAX_OUTPUT >> 20} MiB")
        status, errors = process.finish()
    return Answer(status, output, errors)


@dataclass(frozen=True, slots=True)
class GitLocation:
    """A directory in a repository.

    It has the options that point git at it, its path from the top (empty, or with a ``/`` at the end), and whether the
    clone is shallow. ``git_dir`` is the repository's own directory, ``common`` the one that it shares with its linked
    work trees, both with all links resolved.
    """

    options: tuple[str, ...]
    prefix: str
    shallow: bool
    git_dir: str = ""
    common: str = ""

    def within(self, commit: str, path: str = "") -> str:
        """Return git's name for a path below this directory in a commit."""
        inside = (self.prefix + path).strip("/")
        return f"{commit}:{inside}" if inside else f"{commit}^{{tree}}"


def locate(folder: Path, timeout: float) -> GitLocation | None:
    """Return the location of a directory in its repository; None if it is in none.

    Raise SourceError if git refuses the repository, or cannot use it.
    """
    options = ("-C", str(folder))
    words = ("--show-prefix", "--is-shallow-repository", "--absolute-git-dir", "--git-common-dir")
    answer = run_git(*options, "rev-parse", *words, timeout=timeout)
    if answer.status == 0:
        lines = os.fsdecode(answer.output).split("\n")
        if len(lines) != 5:
            raise SourceError(f"the repository at {folder} has a line break in its path", hint="rename the folder")
        prefix, shallow, git_dir, common = lines[:4]
        git_dir, common = os.path.realpath(git_dir), os.path.realpath(folder / common)
        return GitLocation(options, prefix, shallow == "true", git_dir, common)
    if "not a git repository" in answer.errors and not any((up / ".git").exists() for up in (folder, *folder.parents)):
        return None
    raise failure(f"the repository at {folder} cannot be used", answer.errors)


def failure(message: str, errors: str) -> SourceError:
    """Return git's error as ours, with a hint where a remedy is known."""
    if owned := re.search(r"dubious ownership in repository at '([^']*)'", errors):
        return SourceError(
            f"{message}: owned by another user, and not trusted by git",
            hint=f"if you trust the repository, run: git config --global --add safe.directory '{owned[1]}'",
        )
    if "promisor remote" in errors:
        return SourceError(
            f"{message}: the repository is a partial clone that lacks required objects",
            hint=WHOLE_CLONE,
        )
    cause = cause_of(errors)
    return SourceError(f"{message}: {cause}" if cause else message)


def lacks_commit(location: GitLocation, commit: str) -> SourceError:
    """Return the error for a commit that was applied and that the repository does not have."""
    if location.shallow:
        hint = "fetch the full history: `git fetch --unshallow`; in CI, fetch-depth: 0"
    else:
        hint = "fetch the branch that had it; after a rebase, the commit may be gone for good"
    return SourceError(f"the repository does not have the applied commit {commit[:12]}", hint=hint)


def known_names(location: GitLocation, timeout: float) -> list[str]:
    """Return the short names of a repository's branches and tags, for hints."""
    namespaces = ("refs/heads", "refs/tags", "refs/remotes")
    answer = run_git(*location.options, "for-each-ref", "--format=%(refname:short)", *namespaces, timeout=timeout)
    return answer.output.decode("utf-8", "replace").split()
