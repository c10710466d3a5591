"""Scope: a place in the compose model while it is checked, and how to refuse what is there."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sandboxer.extensions.compose_ssh.findings import Findings
    from sandboxer.extensions.compose_ssh.policy import Policy

UNSUPPORTED = "is not supported in a sandbox"
MAX_KEY = 40


@dataclass(frozen=True, slots=True)
class Scope:
    """A place in the model: ``where`` is the path of a value, ``services`` are the names of the stack's services.

    The readers below return what is usable and refuse the rest.
    """

    where: str
    policy: Policy
    findings: Findings
    services: frozenset[str] = frozenset()

    def at(self, key: object) -> Scope:
        """Return the scope of a key in the mapping here, or of an item of the list."""
        step = f"[{key}]" if isinstance(key, int) else f".{key}" if self.where else str(key)
        return replace(self, where=self.where + step)

    def refuse(self, why: str) -> None:
        """Add a finding about this place: the reason, and what to do."""
        self.findings.add(self.where, why)

    def refuse_key(self, key: str, known: Collection[str]) -> None:
        """Add a finding about a key that is not one of the ``known``."""
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.75) if len(key) <= MAX_KEY and "." not in key else []
        self.refuse(f"{UNSUPPORTED}; {f'did you mean `{near[0]}`?' if near else 'remove it'}")

    def mapping(self, value: Any) -> dict[str, Any]:
        """Return the mapping here; None counts as an empty one."""
        if value is not None and not isinstance(value, dict):
            self.refuse("must be a mapping")
        return value if isinstance(value, dict) else {}

    def items(self, value: Any) -> Iterator[tuple[Scope, Any]]:
        """Yield the items of the list here, each with its scope; None counts as an empty list."""
        if value is not None and not isinstance(value, list):
            self.refuse("must be a list")
        for index, item in enumerate(value if isinstance(value, list) else ()):
            yield self.at(index), item

    def only(self, value: dict[str, Any], known: Collection[str]) -> dict[str, Any]:
        """Return the keys of a mapping that are in ``known``; drop extension fields (``x-``), refuse any other key."""
        for key in value:
            if key not in known and not key.startswith("x-"):
                self.at(key).refuse_key(key, known)
        return {key: item for key, item in value.items() if key in known and item is not None}
