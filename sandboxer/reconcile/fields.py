"""The table of what a change of each field does, and the digest of what reaches the containers."""

from __future__ import annotations

import hashlib
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from sandboxer.model.jsontypes import canonical
from sandboxer.model.plan import FieldChange

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandboxer.model.desired import DesiredSandbox, SecretValue


class Effect(IntEnum):
    """The effect of a changed field; the greatest effect of all changed fields decides."""

    RECORD = 1
    """Only the record is written again."""
    IN_PLACE = 2
    """The backend recreates what uses it."""
    REPLACE = 3
    """The sandbox is torn down and made again under the same id."""


EFFECTS: dict[str, Effect] = {
    "profile": Effect.RECORD,
    "scope": Effect.RECORD,
    "costClass": Effect.RECORD,
    "readiness": Effect.RECORD,
    "inputs": Effect.RECORD,
    "ttl": Effect.RECORD,
    "ttlClock": Effect.RECORD,
    "expiresAt": Effect.RECORD,
    "labels": Effect.RECORD,
    "consumer": Effect.RECORD,
    "syncPolicy": Effect.RECORD,
    "suspend": Effect.RECORD,
    "network": Effect.IN_PLACE,
    "workspace": Effect.IN_PLACE,
    "compose": Effect.IN_PLACE,
    "resources": Effect.IN_PLACE,
    "setup": Effect.IN_PLACE,
    "reachability": Effect.IN_PLACE,
    "env": Effect.IN_PLACE,
    "secrets": Effect.IN_PLACE,
    "extension": Effect.REPLACE,
    "isolation": Effect.REPLACE,
    "runtime": Effect.REPLACE,
}
"""By the first key below ``spec``. A field that is missing here fails a test, not a user."""


def effect_of(path: str) -> Effect:
    """Return the effect of the field at ``path``, such as ``spec.network.egress``. Raise KeyError if no spec has it."""
    return EFFECTS[path.split(".")[1]]


def seal(desired: DesiredSandbox, salt: str, former: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the spec as a record holds it: environment and secrets as HMACs under the record's hex ``salt``.

    ``former`` is the record's spec: a secret whose value this run does not have counts as unchanged, and a secret's
    version increases by one where its value changed.
    """
    known: Mapping[str, Any] = (former or {}).get("secrets", {})
    sealed = dict(desired.spec)
    sealed["env"] = {name: value.hmac(salt) for name, value in desired.env.items()}
    sealed["secrets"] = {secret.name: _sealed(secret, salt, known.get(secret.name)) for secret in desired.secrets}
    return sealed


def _sealed(secret: SecretValue, salt: str, before: Mapping[str, Any] | None) -> dict[str, Any]:
    former = before.get("hmac") if before else None
    digest = secret.value.hmac(salt) if secret.value is not None else former
    version = before.get("version", 0) if before else 0
    if before is None or digest != former:
        version += 1
    return {"from": secret.source, "hmac": digest, "version": version}


def unsealed(desired: DesiredSandbox) -> dict[str, Any]:
    """Return the spec of a sandbox without a record, and so without a salt: only names stand for hidden values."""
    return {
        **desired.spec,
        "env": {name: str(value) for name, value in desired.env.items()},
        "secrets": {secret.name: {"from": secret.source} for secret in desired.secrets},
    }


def digest_of(sealed: Mapping[str, Any]) -> str:
    """Return the ``desired_digest`` of a sealed spec: of every field whose change reaches the containers."""
    covered = {key: value for key, value in sealed.items() if EFFECTS[key] is not Effect.RECORD}
    return "sha256:" + hashlib.sha256(canonical(covered)).hexdigest()


def differences(old: Mapping[str, Any] | None, new: Mapping[str, Any], path: str = "spec") -> tuple[FieldChange, ...]:
    """Return every field that differs, sorted by path; without ``old``, every field that is set.

    HMACs are shortened.
    """
    return tuple(_differences(old, new, path))


def _differences(old: Any, new: Any, path: str) -> Iterator[FieldChange]:
    mappings = isinstance(new, dict) or isinstance(old, dict)
    if mappings and isinstance(new, dict | None) and isinstance(old, dict | None):
        old, new = old or {}, new or {}
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}")
    elif old != new:
        yield FieldChange(path, _shown(old), _shown(new))


def _shown(value: Any) -> Any:
    """Return a value as a plan may show it: an HMAC or digest shortened to what distinguishes two of them."""
    if isinstance(value, str) and value.startswith(("hmac:", "sha256:")):
        kind, _, digest = value.partition(":")
        return f"{kind}:{digest[:12]}"
    if isinstance(value, tuple):
        return list(value)
    return value
