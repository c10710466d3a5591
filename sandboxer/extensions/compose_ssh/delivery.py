"""Which of the input's files a stack uses, and where on the host each must lie: under its own content's path.

So another content is another path: exactly the services that use it are created again. What any service may write to
is a copy of its own, seen by every service that mounts the very same file or folder. Nothing else is read from such a
copy, and nothing below it is ever named to an engine: a container can put a link there, to any place of the host.
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
    """Return a text as a value of a compose file, which interpolates ``$``."""
    return text.replace("$", "$$")


class Delivery:
    """Collects what is used. ``used`` holds, for each service, what its inputs' digest is taken of."""

    def __init__(self, policy: Policy, services: Iterable[str]) -> None:
        self.tree = Tree(policy.entries)
        self.used: dict[str, set[str]] = {name: set() for name in services}
        self._policy = policy
        self._writable: set[str] = set()
        self._users: dict[tuple[str, bool, Access | None], set[str]] = {}
        self._secret_files: dict[str, SecretFile] = {}

    def find(self, path: Any, scope: Scope | None = None, *, optional: bool = False) -> str | None:
        """Return the place in the tree that an absolute path of the model leads to; None, and a finding, where in none.

        Without a ``scope`` there is no finding; an ``optional`` path may also lead to nothing.
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
            raise NotInTreeError("is the engine's socket, which is root on the host; remove it")
        plain = posixpath.normpath(path.replace("$$", "$"))
        root = posixpath.normpath(self._policy.tree_dir)
        if plain != root and not plain.startswith(root + "/"):
            raise NotInTreeError("lies outside the sandbox's files; use a relative path, or a named volume for data")
        found = self.tree.resolve(plain[len(root) + 1 :])
        if _UNFIT.search(found):
            raise NotInTreeError("has a character in its name that a mount cannot carry; rename it")
        return found

    def copy_for_writing(self, sources: Iterable[str], scope: Scope) -> None:
        """Say which places containers write to; each gets a copy of its own. Call before ``place``."""
        self._writable.update(sources)
        for source in sorted(self._writable):
            around = [one for one in self._writable if not one or source == one or source.startswith(one + "/")]
            if len(around) > MAX_COPIES:
                scope.refuse(f"{source} lies in more than {MAX_COPIES} folders that are each mounted writable")
                return

    def place(self, source: str, service: str, *, live: bool = False, access: Access | None = None) -> str:
        """Return where on the host a place of the tree will lie for this service, as a value of a compose file.

        A ``live`` one is the copy that containers write to, where they may write to this very place. Any other is as
        the input has it, as a file with an ``access`` of its own where one is given.
        """
        what = (source, live and source in self._writable, access)
        self._users.setdefault(what, set()).add(service)
        self.used[service].add(f"file:{source}:{self.tree.digest(source)}")
        return escape(self._destination(*what))

    def place_secret(self, secret: DeliveredSecret, access: Access | None) -> str:
        """Return where on the host a secret's file will lie with this access, as a value of a compose file."""
        path = f"{secret.path}.{'.'.join(access.words)}" if access else secret.path
        self._secret_files[path] = SecretFile(secret.path, path, access or Access())
        return escape(path)

    def secret_files(self) -> tuple[SecretFile, ...]:
        """Return every file of a secret that a service is given, sorted."""
        return tuple(file for _, file in sorted(self._secret_files.items()))

    def check_copies(self, scope: Scope) -> None:
        """Refuse a file of which many services want each a copy of its own."""
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
        """Return the digest of what a service uses, for its label; None where it uses nothing."""
        used = sorted(self.used[service])
        return hashlib.sha256(canonical(used)).hexdigest()[:32] if used else None

    def _destination(self, source: str, writable: bool, access: Access | None) -> str:
        digest = self.tree.digest(source)
        folder = "bind"
        if writable:
            # Two folders of equal content, such as empty ones for uploads, must not become one.
            folder = "bind-rw"
            digest = hashlib.sha256(f"{source}\0{digest}".encode()).hexdigest()
        elif access is not None:
            folder = "bind-as"
            digest = hashlib.sha256(f"{access.words}\0{digest}".encode()).hexdigest()
        return posixpath.join(self._policy.workspace, folder, digest, posixpath.basename(source) or "tree")
