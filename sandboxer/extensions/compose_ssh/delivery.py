"""Which of the input's files a stack uses, and where on the host each must lie: under its own content's path.

So another content is another path: exactly the services that use it are created again. What any service may write to
is a copy of its own, seen by every service that mounts it or something in it.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.policy import Bind
from sandboxer.extensions.compose_ssh.tree import NotInTreeError, NotTrackedError, Tree
from sandboxer.model.jsontypes import canonical

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandboxer.extensions.compose_ssh.policy import Policy
    from sandboxer.extensions.compose_ssh.scope import Scope

_UNFIT = re.compile(r'[:,"\\\x00-\x1f\x7f]')


def escape(text: str) -> str:
    """A text as a value of a compose file, which interpolates ``$``."""
    return text.replace("$", "$$")


class Delivery:
    """Collects what is used. ``used`` holds, for each service, what its inputs' digest is taken of."""

    def __init__(self, policy: Policy, services: Iterable[str]) -> None:
        self.tree = Tree(policy.entries)
        self.used: dict[str, set[str]] = {name: set() for name in services}
        self._policy = policy
        self._writable: list[str] = []
        self._users: dict[str, set[str]] = {}

    def find(self, path: Any, scope: Scope | None = None, *, optional: bool = False) -> str | None:
        """The place in the tree that an absolute path of the model leads to; None, and a finding, where in none.

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

    def copy_for_writing(self, sources: Iterable[str]) -> None:
        """Says which places containers write to; the outermost of them each get a copy. Call before ``place``."""
        for source in sorted(set(sources)):
            if self._copy_of(source) is None:
                self._writable.append(source)

    def place(self, source: str, service: str) -> str:
        """Where on the host a place of the tree will lie for this service, as a value of a compose file."""
        home = self._copy_of(source)
        whole = source if home is None else home
        self._users.setdefault(whole, set()).add(service)
        self.used[service].add(f"file:{source}:{self.tree.digest(whole)}")
        inner = posixpath.relpath(source or ".", whole or ".")
        return escape(posixpath.normpath(posixpath.join(self._destination(whole), inner)))

    def binds(self) -> tuple[Bind, ...]:
        """Everything that was placed, sorted."""
        return tuple(
            Bind(
                source,
                self.tree.digest(source),
                self._destination(source),
                source in self._writable,
                tuple(sorted(users)),
            )
            for source, users in sorted(self._users.items())
        )

    def inputs(self, service: str) -> str | None:
        """The digest of what a service uses, for its label; None where it uses nothing."""
        used = sorted(self.used[service])
        return hashlib.sha256(canonical(used)).hexdigest()[:32] if used else None

    def _copy_of(self, source: str) -> str | None:
        return next((one for one in self._writable if not one or source == one or source.startswith(one + "/")), None)

    def _destination(self, source: str) -> str:
        digest = self.tree.digest(source)
        folder = "bind"
        if source in self._writable:
            # Two folders of equal content, such as empty ones for uploads, must not become one.
            folder = "bind-rw"
            digest = hashlib.sha256(f"{source}\0{digest}".encode()).hexdigest()
        return posixpath.join(self._policy.workspace, folder, digest, posixpath.basename(source) or "tree")
