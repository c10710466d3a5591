"""Which of the input's files a stack uses, and the path of each on the host, which contains the content's digest.

Changed content therefore has another path, and exactly the services that use it are recreated. What a service may write
to is a separate copy, shared by every service that mounts the very same file or directory. Nothing else is read from
such a copy, and nothing below it is ever named to an engine: a container can put a link there, to any path of the host.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.policy import Access, Bind, SecretFile
from sandboxer.extensions.compose_ssh.tree import NotInTreeError, NotTrackedError, Tree
from sandboxer.model.jsontypes import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandboxer.extensions.compose_ssh.policy import DeliveredSecret, Policy
    from sandboxer.extensions.compose_ssh.scope import Scope

MAX_COPIES = 16
_UNFIT = re.compile(r'[:,"\\\x00-\x1f\x7f]')


def escape(text: str) -> str:
    """Return a text as a value of a compose file, in which ``$`` starts an interpolation."""
    return text.replace("$", "$$")


class Delivery:
    """Collects the files that are used. ``used`` maps each service to what its inputs' digest is computed from."""

    def __init__(self, policy: Policy, services: Iterable[str]) -> None:
        self.tree = Tree(policy.entries)
        self.used: dict[str, set[str]] = {name: set() for name in services}
        self._policy = policy
        self._writable: set[str] = set()
        self._users: dict[tuple[str, bool, Access | None], set[str]] = {}
        self._contexts: dict[tuple[str, str, frozenset[str]], set[str]] = {}  # with files that no build sees
        self._secret_files: dict[str, SecretFile] = {}

    def find(self, path: Any, scope: Scope | None = None, *, optional: bool = False) -> str | None:
        """Return the path in the tree that an absolute path of the model leads to; None, and a finding, if none.

        Without a ``scope`` nothing is reported; an ``optional`` path may also lead to nothing.
        """
        try:
            return self._find(path)
        except NotInTreeError as error:
            if scope is not None and not (optional and isinstance(error, NotTrackedError)):
                shown = posixpath.normpath(path.replace("$$", "$")) if isinstance(path, str) else repr(path)
                scope.refuse(f"{shown.removeprefix(self._policy.tree_dir + '/')} {error}")
            return None

    def _find(self, path: Any) -> str:
        if not isinstance(path, str):
            raise NotInTreeError("is not a path")
        if posixpath.basename(path) in ("docker.sock", "podman.sock"):
            raise NotInTreeError("is the engine's socket, equivalent to root on the host; remove it")
        plain = posixpath.normpath(path.replace("$$", "$"))
        root = posixpath.normpath(self._policy.tree_dir)
        if plain != root and not plain.startswith(root + "/"):
            raise NotInTreeError("lies outside the sandbox's files; use a relative path, or a named volume for data")
        found = self.tree.resolve(plain[len(root) + 1 :])
        if _UNFIT.search(found):
            raise NotInTreeError("has an unsupported character in its name; rename the file")
        return found

    def copy_for_writing(self, sources: Iterable[str], scope: Scope) -> None:
        """Register the paths that containers write to; each gets a separate copy. Call before ``path_on_host``."""
        self._writable.update(sources)
        for source in sorted(self._writable):
            around = [one for one in self._writable if not one or source == one or source.startswith(one + "/")]
            if len(around) > MAX_COPIES:
                scope.refuse(f"{source} is in more than {MAX_COPIES} folders with separate writable mounts")
                return

    def path_on_host(self, source: str, service: str, *, live: bool = False, access: Access | None = None) -> str:
        """Return where a path of the tree will be on the host for this service, as a value of a compose file.

        With ``live`` it is the copy that containers write to, if they may write to this very path. Otherwise it is as
        the input has it, or a file with its own ``access`` if one is given.
        """
        what = (source, live and source in self._writable, access)
        self._users.setdefault(what, set()).add(service)
        self.used[service].add(f"file:{source}:{self.tree.digest(source)}")
        return escape(self._destination(*what))

    def context_on_host(self, source: str, service: str, left_out: frozenset[str]) -> str:
        """Return where a build context will be on the host, as a value of a compose file.

        A change of the files that are ``left_out`` of it for a build changes neither the place nor the service.
        """
        if not left_out:
            return self.path_on_host(source, service)
        digest = self.tree.digest_without(source, left_out)
        self._contexts.setdefault((source, digest, left_out), set()).add(service)
        self.used[service].add(f"file:{source}:{digest}")
        return escape(self._context(source, digest))

    def secret_on_host(self, secret: DeliveredSecret, access: Access | None) -> str:
        """Return where a secret's file with this access will be on the host, as a value of a compose file."""
        path = f"{secret.path}.{'.'.join(access.words)}" if access else secret.path
        self._secret_files[path] = SecretFile(secret.path, path, access or Access())
        return escape(path)

    def secret_files(self) -> tuple[SecretFile, ...]:
        """Return every secret file that a service is given, sorted."""
        return tuple(file for _, file in sorted(self._secret_files.items()))

    def check_copies(self, scope: Scope) -> None:
        """Add a finding for each file of which too many services request a separate copy."""
        kinds: dict[str, int] = {}
        for name in [source for source, _, access in self._users if access] + [
            file.origin for file in self.secret_files()
        ]:
            kinds[name] = kinds.get(name, 0) + 1
        for name, number in sorted(kinds.items()):
            if number > MAX_COPIES:
                scope.refuse(
                    f"{posixpath.basename(name)} is used with more than {MAX_COPIES} sets of uid, gid and mode"
                )

    def binds(self) -> tuple[Bind, ...]:
        """Return everything that was placed, sorted."""
        placed = sorted(self._users.items(), key=lambda item: (item[0][0], self._destination(*item[0])))
        contexts = (
            Bind(source, digest, self._context(source, digest), False, tuple(sorted(users)), left_out=left_out)
            for (source, digest, left_out), users in sorted(self._contexts.items(), key=lambda one: one[0][:2])
        )
        return (*self._whole(placed), *contexts)

    def _whole(self, placed: Iterable[tuple[tuple[str, bool, Access | None], set[str]]]) -> tuple[Bind, ...]:
        return tuple(
            Bind(
                source,
                self.tree.digest(source),
                self._destination(source, writable, access),
                writable,
                tuple(sorted(users)),
                access,
            )
            for (source, writable, access), users in placed
        )

    def inputs(self, service: str) -> str | None:
        """Return the digest of what a service uses, for its label; None if it uses nothing."""
        used = sorted(self.used[service])
        return hashlib.sha256(canonical(used)).hexdigest()[:32] if used else None

    def _context(self, source: str, digest: str) -> str:
        return posixpath.join(self._policy.workspace, "context", digest, posixpath.basename(source) or "tree")

    def _destination(self, source: str, writable: bool, access: Access | None) -> str:
        digest = self.tree.digest(source)
        folder = "bind"
        if writable:
            # Two directories of equal content, such as empty ones for uploads, must not become one.
            folder = "bind-rw"
            digest = hashlib.sha256(f"{source}\0{digest}".encode()).hexdigest()
        elif access is not None:
            folder = "bind-as"
            digest = hashlib.sha256(f"{access.words}\0{digest}".encode()).hexdigest()
        return posixpath.join(self._policy.workspace, folder, digest, posixpath.basename(source) or "tree")
