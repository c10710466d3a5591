"""A sandbox that somebody asks for, without git: the document that a manifest would be, and its id."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandboxer.model.metadata import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

# As a file of the fleet, so that it is checked as one, with everything else that the fleet says.
FILE = "manifests/(asked for).yaml"


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for. ``document`` is a Sandbox as a manifest would say it; ``id`` is random, not the name's."""

    id: str
    document: Mapping[str, Any]

    @classmethod
    def new(cls, name: str, spec: Mapping[str, Any], labels: Mapping[str, str]) -> Asked:
        """One that is not there yet, with an id of its own."""
        document = {
            "apiVersion": API_VERSION,
            "kind": "Sandbox",
            "metadata": {"name": name, "labels": dict(labels)},
            "spec": dict(spec),
        }
        return cls(secrets.token_hex(4), document)

    @classmethod
    def parse(cls, identifier: str, data: bytes) -> Asked | None:
        """One that was asked for before, from what lies beside its record; None where those bytes are none."""
        try:
            document = json.loads(data.decode())
        except ValueError:
            return None
        return cls(identifier, document) if isinstance(document, dict) else None

    @property
    def name(self) -> str:
        """The sandbox's name."""
        return str(self.document.get("metadata", {}).get("name", ""))

    def to_bytes(self) -> bytes:
        """As a file: JSON, which is YAML too."""
        return json.dumps(self.document, indent=2, ensure_ascii=False).encode() + b"\n"
