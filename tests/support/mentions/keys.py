"""Keys of manifests that a text mentions: `spec.ttl.max`, `Host.spec.capacity`, `placement.hosts`."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel

from sandboxer.model.manifest import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.mentions.texts import Text

_KIND = "|".join(KINDS)
_PATH = re.compile(rf"(?<![\w./-])(?:({_KIND})\.)?((?:spec|metadata)(?:\.[a-zA-Z_]\w*|\[\w*\])+)", re.IGNORECASE)
_SHORT = re.compile(r"([a-z]\w*)((?:\.[a-z]\w*)+)")
_ENDS = re.compile(r"\.(?:ya?ml|json|py|sh|md|sqlite|lock|service|conf|d)$")
# What a record and a difference have beside the keys of a manifest.
RESOLVED = {
    "inputs.commit": "the commit that the input's ref named",
    "workspace.digest": "the digest of the input's tree",
    "workspace.files": "what drift compares of the files on the host",
}


def faults(text: Text) -> Iterator[str]:
    """Yield each key that no kind of manifest has, or not the kind in front of it."""
    found = dict.fromkeys(match.groups() for match in _PATH.finditer(text.words))
    for kind, path in found:
        kinds = [KINDS[kind.title()]] if kind else list(KINDS.values())
        if not any(has_key(model, path) for model in kinds):
            yield f"no such key: {f'{kind}.' if kind else ''}{path}"
    for span in dict.fromkeys(text.spans):
        short = _SHORT.fullmatch(span)
        if not short or short[1] not in _sections() or _ENDS.search(span) or span in RESOLVED:
            continue
        if not any(has_key(model, f"spec.{span}") for model in KINDS.values()):
            yield f"no such key: {span}"


def has_key(model: type[BaseModel], path: str) -> bool:
    """Return whether a dotted path leads through the fields of a model, by their names in YAML."""
    types: list[Any] = [model]
    for part in re.sub(r"\[\w*\]", "", path).split("."):
        types = [inner for one in types for inner in _under(one, part)]
    return bool(types)


def _under(kind: Any, key: str) -> list[Any]:
    """Return the types that a value may have under a key of a value of this type; none where it has no such key."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {field.alias or name: field for name, field in kind.model_fields.items()}
        return [fields[key].annotation] if key in fields else []
    if get_origin(kind) is dict or kind is dict:
        return [(*get_args(kind), Any, Any)[1]]
    return [inner for one in get_args(kind) for inner in _under(one, key)]


@cache
def _sections() -> frozenset[str]:
    """Return the keys of a `spec` that have keys of their own."""
    specs: list[Any] = [model.model_fields["spec"].annotation for model in KINDS.values()]
    return frozenset(
        field.alias or name
        for spec in specs
        for name, field in spec.model_fields.items()
        if any(
            isinstance(one, type) and issubclass(one, BaseModel)
            for one in (field.annotation, *get_args(field.annotation))
        )
    )
