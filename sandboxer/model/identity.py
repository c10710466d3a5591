"""The identity of a sandbox on a host: its ID, its labels and its paths."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

LABEL_PREFIX = "dev.sandboxer."
LABEL_FLEET = LABEL_PREFIX + "fleet"
LABEL_ID = LABEL_PREFIX + "id"
LABEL_NAME = LABEL_PREFIX + "name"
LABEL_UID = LABEL_PREFIX + "uid"
LABEL_ROOT = LABEL_PREFIX + "root"
LABEL_ORIGIN = LABEL_PREFIX + "origin"
LABEL_UNTIL = LABEL_PREFIX + "until"
LABEL_CLEANER = LABEL_PREFIX + "cleaner"


def sandbox_id(fleet: str, name: str) -> str:
    """Return the ID of a sandbox that a manifest declares: the first 8 hex digits of SHA-256 of ``fleet/name``."""
    return hashlib.sha256(f"{fleet}/{name}".encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Ownership:
    """The owner that the labels of a container, network or volume claim, to compare with the record."""

    fleet: str
    id: str
    name: str
    uid: str
    root: str
    origin: str
    latest_expiry: str

    def labels(self) -> dict[str, str]:
        """Return the labels of this owner, for everything that a sandbox creates."""
        return {
            LABEL_FLEET: self.fleet,
            LABEL_ID: self.id,
            LABEL_NAME: self.name,
            LABEL_UID: self.uid,
            LABEL_ROOT: self.root,
            LABEL_ORIGIN: self.origin,
            LABEL_UNTIL: self.latest_expiry,
        }

    @classmethod
    def of(cls, labels: dict[str, str]) -> Ownership | None:
        """Return the owner that these labels claim; None where they are not a sandbox's labels."""
        if LABEL_FLEET not in labels and LABEL_ID not in labels:
            return None
        names = (LABEL_FLEET, LABEL_ID, LABEL_NAME, LABEL_UID, LABEL_ROOT, LABEL_ORIGIN, LABEL_UNTIL)
        return cls(*(labels.get(name, "") for name in names))
