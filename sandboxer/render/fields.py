"""The fields of a change as people read them: values where git has them, words in place of digests."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

from sandboxer.model.hidden import SHOWN
from sandboxer.model.plan import variable_of
from sandboxer.model.sandbox_manifests import ProfileSpec, SandboxSpec
from sandboxer.render.words import safe, value_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sandboxer.model.plan import Change, FieldChange

#: What a Sandbox document says itself, in the order that people write it; the rest is its profile's.
OWN_KEYS = ("profile", "inputs", "ttl", "expiresAt", "env", "secrets", "labels", "consumer")
_DIGEST = "spec.workspace.digest"
_LONGEST, _BEFORE = 400, 40  # characters of a value, and of what both have in common before they differ


@dataclass(frozen=True, slots=True)
class FieldLine:
    """One field that differs, ready to print. ``words`` stand in place of values that say nothing to people.

    ``key`` is the first key of its path. ``of_profile`` says that no Sandbox document has the field.
    """

    path: str
    old: str | None = None
    new: str | None = None
    words: str = ""
    of_profile: bool = False

    @property
    def text(self) -> str:
        """The change in one line: ``4h -> 8h``, or its words."""
        return self.words or f"{_or_none(self.old)} -> {_or_none(self.new)}"

    @property
    def only_new(self) -> str:
        """The new value of a field of a sandbox that is created."""
        return self.words or _or_none(self.new)


def pending_lines(change: Change) -> list[FieldLine]:
    """Return what git changes, a line for each field; the delivered files are left out where ``input`` has them."""
    shown = [field for field in change.pending if not (change.input and field.path == _DIGEST)]
    found: list[FieldLine] = []
    for secret, fields in groupby(shown, key=_secret_of):
        together = list(fields)
        found += _secret(secret, together) if secret else map(_line, together)
    return found


def drift_lines(fields: Iterable[FieldChange]) -> list[FieldLine]:
    """Return what runs otherwise than applied, a line for each field."""
    return [_drifted(field) for field in fields]


def unknown_lines(change: Change) -> Iterator[str]:
    """Yield why applied values of the environment are unknown, and what would help, each reason once."""
    given = (field.env for field in change.pending if field.env is not None)
    reasons = dict.fromkeys((env.unknown, env.hint) for env in given if env.unknown)
    for unknown, hint in reasons:
        yield f"applied values unknown: {safe(unknown)}"
        if hint:
            yield f"hint: {safe(hint)}"


def key_of(path: str) -> str:
    """Return the first key of a field below ``spec``."""
    return path.removeprefix("spec.").split(".")[0]


@cache
def _of_profile() -> frozenset[str]:
    """Return the keys of an applied specification that its profile alone says."""
    profile, sandbox = (
        {field.alias or name for name, field in model.model_fields.items()} for model in (ProfileSpec, SandboxSpec)
    )
    return frozenset({*(profile - sandbox), "ttlClock"})


def _line(field: FieldChange) -> FieldLine:
    path = safe(field.path)
    if field.path == _DIGEST:
        words = "files are delivered" if field.old is None else "no files are delivered" if field.new is None else ""
        return FieldLine(path.removesuffix(".digest"), words=words or "the delivered files changed")
    if variable_of(field.path) and field.env is None:
        old, new = (None if value is None else SHOWN for value in (field.old, field.new))
        return FieldLine(path, old, new)
    if field.env is not None:
        return FieldLine(path, *_pair(field.env.old, field.env.new))
    of_profile = field.path.startswith("spec.") and key_of(field.path) in _of_profile()
    old, new = (None if value is None else _plain(field.path, value) for value in (field.old, field.new))
    return FieldLine(path, *_pair(old, new), of_profile=of_profile)


def _drifted(field: FieldChange) -> FieldLine:
    if field.path.startswith("services.") and field.path.endswith(".config"):
        return FieldLine(safe(field.path.removesuffix(".config")), words="its definition is not the applied one")
    if all(isinstance(value, str) and value.startswith("sha256:") for value in (field.old, field.new)):
        return FieldLine(safe(field.path), words="its content is not the applied one")
    old, new = (None if value is None else _plain(field.path, value) for value in (field.old, field.new))
    return FieldLine(safe(field.path), *_pair(old, new))


def _secret_of(field: FieldChange) -> str:
    """Return the path of the secret that a field is of; empty for another field."""
    parts = field.path.split(".")
    return ".".join(parts[:3]) if parts[:2] == ["spec", "secrets"] and len(parts) == 4 else ""


def _secret(path: str, fields: Sequence[FieldChange]) -> Iterator[FieldLine]:
    """Yield what changes of one secret: its digest and version say no more than that its value changed."""
    by_key = {field.path.rpartition(".")[2]: field for field in fields}
    source = by_key.get("from")
    if source is not None and source.new is None:
        yield FieldLine(safe(path), words="removed")
        return
    if source is not None:
        yield FieldLine(
            safe(source.path),
            None if source.old is None else value_text(source.path, source.old),
            value_text(source.path, source.new),
        )
    if (source is None or source.old is not None) and by_key.keys() & {"hmac", "version"}:
        yield FieldLine(safe(path), words="its value changed")
    yield from (_line(field) for key, field in by_key.items() if key not in ("from", "hmac", "version"))


def _plain(path: str, value: object) -> str:
    """Return a value as people write it: names in a list with commas, ports as ``http web:8080``."""
    if isinstance(value, list | tuple) and value:
        if all(isinstance(item, str) and item.strip() == item != "" for item in value):
            return ", ".join(value_text(path, item) for item in value)
        if path == "spec.reachability.ports" and all(
            isinstance(item, dict) and item.keys() == {"name", "service", "port"} for item in value
        ):
            return safe(", ".join(f"{item['name']} {item['service']}:{item['port']}" for item in value))
    return value_text(path, value)


def _pair(old: str | None, new: str | None) -> tuple[str | None, str | None]:
    """Return two values that fit a line: of long ones the part from shortly before they differ."""
    same = 0
    if old is not None and new is not None and max(len(old), len(new)) > _LONGEST:
        same = next((at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), 0)
    return _part(old, same), _part(new, same)


def _part(text: str | None, same: int) -> str | None:
    if text is None or (len(text) <= _LONGEST and not same):
        return text if text is None else _quoted(text)
    start = max(0, same - _BEFORE)
    end = start + _LONGEST
    return ("…" if start else "") + safe(text[start:end]) + ("…" if end < len(text) else "")


def _quoted(text: str) -> str:
    return safe(text) if text.strip() == text != "" else value_text("", text)


def _or_none(text: str | None) -> str:
    return "(none)" if text is None else text
