"""Values that must not be shown: secrecy as a type, so that no format string can forget it."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandboxer.model.jsontypes import JsonValue

SHOWN = "(hidden)"


def without_hmac(value: JsonValue) -> JsonValue:
    """Return a value as a plan may have it: ``(hidden)`` in place of an HMAC."""
    return SHOWN if isinstance(value, str) and value.startswith("hmac:") else value


@dataclass(frozen=True, slots=True)
class Hidden:
    """A string that prints as ``(hidden)``; only ``reveal`` returns it, on its way to a host."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """Return the value itself. The caller is responsible for where it goes."""
        return self._value

    def hmac(self, salt: str) -> str:
        """Return ``hmac:`` and the value's HMAC-SHA-256 under a hex salt, which reveals only whether it changed."""
        data = self._value.encode("utf-8", "surrogatepass")  # a variable may hold bytes that are not text
        return "hmac:" + hmac.new(bytes.fromhex(salt), data, hashlib.sha256).hexdigest()

    def __repr__(self) -> str:
        return SHOWN

    __str__ = __repr__
