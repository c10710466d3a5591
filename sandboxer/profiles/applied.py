"""A sandbox as it was applied, from its record: the counterpart of a desired one, to compare the two."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sandboxer.model.desired import SecretValue
from sandboxer.model.hidden import Hidden
from sandboxer.model.sandbox_manifests import ProfileSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.protocols import InputTree
    from sandboxer.model.record import Record

_KEYS = ("extension", "isolation", "network", "workspace", "compose", "resources", "setup", "reachability")


class NotAsAppliedError(ValueError):
    """A record whose spec this release cannot read as a profile; the message says so in a few words."""


def workspace_path(record: Record) -> str:
    """Return the directory of the input that was delivered, relative to the repository."""
    path = _mapping(record.spec.get("workspace")).get("path")
    return path if isinstance(path, str) else "."


def as_applied(record: Record, desired: DesiredSandbox, tree: InputTree) -> DesiredSandbox:
    """Return the sandbox with the profile and the variables that are on record, and the files of ``tree``.

    A record has digests of environment values alone: one that is the desired value still is that value, and for any
    other a stand-in is returned, which differs from every value. Raise NotAsAppliedError.
    """
    given: dict[str, Any] = {key: record.spec[key] for key in _KEYS if key in record.spec}
    given["workspace"] = {key: value for key, value in _mapping(given.get("workspace")).items() if key != "digest"}
    try:
        spec = ProfileSpec.model_validate({**given, "ttl": desired.profile.spec.ttl})
    except ValidationError:
        raise NotAsAppliedError("this release cannot read the spec on record") from None
    sealed, known = _mapping(record.spec.get("env")), desired.env
    env = {
        name: known[name] if name in known and known[name].hmac(record.salt) == hmac else Hidden(_stand_in(str(hmac)))
        for name, hmac in sealed.items()
    }
    return replace(
        desired,
        profile=desired.profile.model_copy(update={"spec": spec}),
        tree=tree,
        env=env,
        secrets=tuple(SecretValue(name, "", present=True) for name in _mapping(record.spec.get("secrets"))),
    )


def _stand_in(hmac: str) -> str:
    """Return a text that no value is, and that may stand where a word is needed, such as in the tag of an image."""
    return f"applied-{hmac.removeprefix('hmac:')[:32]}"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
