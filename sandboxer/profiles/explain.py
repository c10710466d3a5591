"""The effective values of a sandbox, and the manifest and line that set each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sandboxer.model.hidden import Hidden

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.documents import Document, Manifests

    Path = tuple[str | int, ...]

DEFAULT = "default"
# The keys that the Sandbox sets; everything else comes from its profile.
_OWN = frozenset({"profile", "inputs", "expiresAt", "consumer", "syncPolicy", "suspend", "env", "secretRefs"})


class Row(NamedTuple):
    """One effective value. ``source`` is ``profiles/x.yaml:12:5``, the input's commit, or ``default``."""

    path: str
    value: Any
    source: str


def effective(sandbox: DesiredSandbox) -> dict[str, Any]:
    """Return the effective specification: the profile merged in, the input's commit, environment values as Hidden.

    Where the input cannot be read, ``inputs.commit`` and ``workspace.digest`` say why.
    """
    spec = dict(sandbox.spec)
    missing = f"unavailable: {sandbox.input_error}" if sandbox.input_error else None
    spec["inputs"] = {**spec["inputs"], "commit": sandbox.tree.commit if sandbox.tree else missing}
    spec["workspace"] = {**spec["workspace"], "digest": spec["workspace"]["digest"] or missing}
    spec["placement"] = {"hosts": list(sandbox.eligible)}
    if sandbox.env:
        spec["env"] = dict(sandbox.env)
    if sandbox.secrets:
        spec["secretRefs"] = [{"name": secret.name, "from": secret.source} for secret in sandbox.secrets]
    first = {key: spec.pop(key) for key in ("profile", "inputs") if key in spec}
    return {"fleet": sandbox.fleet, "name": sandbox.name, "id": sandbox.id, "spec": first | spec}


def shown(value: Any) -> Any:
    """Return the value as plain data that may be printed, with ``(hidden)`` for Hidden values."""
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    return str(value) if isinstance(value, Hidden) else value


def explain(sandbox: DesiredSandbox, manifests: Manifests) -> list[Row]:
    """Return each effective value of ``spec`` with its source; an empty list or mapping is also a value."""
    sources = _Sources(sandbox, manifests)
    return [Row(_text(path), value, sources.of(path)) for path, value in _leaves(effective(sandbox)["spec"])]


def _leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each value and its path. A list of plain values is one value: manifests set it as a whole."""
    children: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list | tuple) and any(isinstance(item, dict | list | tuple) for item in value):
        children = list(enumerate(value))
    for key, item in children:
        yield from _leaves(item, (*path, key))
    if not children:
        yield path, value


def _text(path: Path) -> str:
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)


class _Sources:
    """The sources of one sandbox's values."""

    def __init__(self, sandbox: DesiredSandbox, manifests: Manifests) -> None:
        self._sandbox = sandbox
        self._own = manifests.document("Sandbox", sandbox.name)
        self._profile = manifests.document("Profile", sandbox.profile.metadata.name)

    def of(self, path: Path) -> str:
        """Return the source of the value at ``path`` below ``spec``."""
        if path in (("inputs", "commit"), ("workspace", "digest")):
            given = self._sandbox.sandbox.spec.inputs
            return f"{given.repo} at {given.ref}"
        return next(
            (str(location) for doc, at in self._candidates(path) if doc and (location := doc.find(at))), DEFAULT
        )

    def _candidates(self, path: Path) -> Iterator[tuple[Document | None, Path]]:
        """Yield the documents and paths that may set the value, by descending precedence."""
        if path[0] == "labels":
            yield self._own, ("metadata", *path)
        elif path[0] == "ttl":
            if self._sandbox.ttl is not None:
                yield self._own, ("spec", "ttl")
            yield self._profile, ("spec", "ttl", "default")
        elif path[0] == "ttlClock":
            yield self._profile, ("spec", "ttl", "clock")
        elif path[0] == "placement":
            if self._sandbox.sandbox.spec.placement.hosts is not None:
                yield self._own, ("spec", "placement", "hosts")
            yield self._profile, ("spec", "placement")
        else:
            yield (self._own if path[0] in _OWN else self._profile), ("spec", *path)
