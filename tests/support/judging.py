"""Sandboxes whose compose files are judged without a host: their files as values."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sandboxer.errors import InputUnavailable
from sandboxer.extensions.compose_ssh.judging import judge
from sandboxer.model.desired import SecretValue
from sandboxer.model.protocols import Archive, InputTree, TreeEntry
from tests.support.planning import fleet_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandboxer.extensions.capabilities import Judgement
    from sandboxer.model.desired import DesiredSandbox


@dataclass(slots=True)
class FileInputs:
    """An input that is a mapping of paths to texts; a text that begins with ``-> `` is a link."""

    files: Mapping[str, str | bytes]
    reads: list[str] = field(default_factory=list)

    def tree(self) -> InputTree:
        links = {path: text[3:] for path, text in self.files.items() if isinstance(text, str) and text[:3] == "-> "}
        entries = {path: TreeEntry(path, _digest(text), target=links.get(path)) for path, text in self.files.items()}
        return InputTree("../shop", "main", "1" * 40, ".", _digest(repr(sorted(self.files.items()))), entries)

    def resolve(self, repo: str, ref: str, path: str, deadline: float | None = None) -> InputTree:
        return self.tree()

    def give_up(self) -> None:
        """Do nothing: no read takes time."""

    def read(self, tree: InputTree, path: str) -> bytes:
        self.reads.append(path)
        if path not in self.files:
            raise InputUnavailable(f"no file {path}")
        text = self.files[path]
        return text.encode() if isinstance(text, str) else text

    def bytes(self, path: str) -> bytes:
        """Return a file's bytes."""
        return self.read(self.tree(), path)

    def archive(self, tree: InputTree, paths: Iterable[str] | None = None) -> Archive:
        raise AssertionError("a judgement delivers no file")


def _digest(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:40]


def sandbox_of(
    inputs: FileInputs, *paths: str, profile: Mapping[str, Any] | None = None, secrets: Iterable[str] = (), **spec: Any
) -> DesiredSandbox:
    """Return a sandbox with these files; the first one is its compose file, unless ``paths`` names them."""
    files = list(paths or [next(iter(inputs.files))])
    given = {**(profile or {})}
    given["compose"] = {"files": files, **given.get("compose", {})}
    (desired,) = fleet_of(
        {"profile": given, "sandboxes": {"web": {"inputs": {"repo": "../shop"}, **spec}}}
    ).sandboxes.values()
    values = tuple(SecretValue(name, f"env:{name}", present=True) for name in secrets)
    return replace(desired, tree=inputs.tree(), input_error=None, secrets=values)


def judged(files: Mapping[str, str | bytes], *paths: str, **more: Any) -> Judgement:
    """Return the judgement of a sandbox with these files."""
    inputs = FileInputs(files)
    desired = sandbox_of(inputs, *paths, **more)
    return judge([desired], inputs)[desired.name]
