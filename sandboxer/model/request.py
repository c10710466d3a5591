"""A request for a sandbox without git: the document that a manifest would be, its ID, and the requester."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandboxer.model.jsontypes import canonical
from sandboxer.model.metadata import API_VERSION
from sandboxer.model.record import Requested

if TYPE_CHECKING:
    from collections.abc import Mapping

# In place of a file of the fleet, so that it is checked like one, with everything else in the fleet.
FILE = "(request)"


@dataclass(frozen=True, slots=True)
class SandboxRequest:
    """A request. ``document`` is a Sandbox as in a manifest; ``id`` is not derived from its name."""

    id: str
    document: Mapping[str, Any]
    requested: Requested

    @classmethod
    def new(
        cls,
        name: str,
        spec: Mapping[str, Any],
        labels: Mapping[str, str],
        *,
        by: str,
        detached: bool = False,
        identifier: str = "",
        key: str | None = None,
    ) -> SandboxRequest:
        """Return a new request. Its ID is random, unless ``identifier`` is given, as for an idempotency ``key``."""
        document: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "kind": "Sandbox",
            "metadata": {"name": name, "labels": dict(labels)},
            "spec": dict(spec),
        }
        requested = Requested(
            by=by,
            detached=detached,
            key=_digest(key.encode()) if key else None,
            body=_digest(canonical(document)) if key else None,
        )
        return cls(identifier or secrets.token_hex(4), document, requested)

    @classmethod
    def parse(cls, identifier: str, data: bytes) -> SandboxRequest | None:
        """Return the request stored beside a record; None where the bytes are not a request."""
        try:
            given = json.loads(data.decode())
            document, requested = given["document"], Requested.model_validate(given["requested"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        is_sandbox = isinstance(document, dict) and document.get("kind") == "Sandbox"
        return cls(identifier, document, requested) if is_sandbox else None

    @property
    def name(self) -> str:
        """The sandbox's name; empty where the document has none."""
        metadata = self.document.get("metadata")
        return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""

    def manifest(self) -> bytes:
        """Return the document as a file of a fleet: JSON, which is also YAML."""
        return json.dumps(self.document, indent=2, ensure_ascii=False).encode() + b"\n"

    def named(self, text: str) -> str:
        """Return a text about the document with the name of each secret in place of its number."""
        spec = self.document.get("spec")
        given = spec.get("secretRefs") if isinstance(spec, dict) else None
        for number, secret in enumerate(given if isinstance(given, list) else ()):
            if isinstance(secret, dict) and isinstance(name := secret.get("name"), str):
                path = f"spec.secretRefs[{number}]"
                for part in (f"{path}.from", f"{path}.name", path):
                    text = text.replace(part, f"spec.secretRefs.{name}")
        return text

    def to_bytes(self) -> bytes:
        """Return the bytes that are stored beside the record."""
        return canonical({"document": self.document, "requested": self.requested.model_dump(mode="json")}) + b"\n"


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
