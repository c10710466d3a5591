"""What ``doctor`` reports of a host: each prerequisite, what was found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sandboxer.model.jsontypes import JsonObject

Status = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Check:
    """One prerequisite. ``remedy`` is what to type or write to fix it, possibly several lines; empty where ok.

    A ``note`` needs no fix, and is good to know. A ``warning`` works for now; with an ``error`` nothing can be applied
    on the host.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class HostReport:
    """Everything that was checked on one host, in order of importance."""

    host: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing prevents an apply; warnings do not."""
        return all(check.status != "error" for check in self.checks)

    def to_json(self) -> JsonObject:
        """Return it as ``doctor -o json`` prints it."""
        return {
            "name": self.host,
            "ok": self.ok,
            "checks": [
                {"name": check.name, "status": check.status, "found": check.found, "remedy": check.remedy}
                for check in self.checks
            ],
        }
