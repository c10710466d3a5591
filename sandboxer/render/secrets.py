"""What an apply did about secrets whose values changed, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.render.lines import Lines
from sandboxer.render.words import plural, safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandboxer.model.outcome import ChangedSecrets

_MOST = 20  # sandboxes that are listed


def secrets_text(changed: Sequence[ChangedSecrets], *, saved: bool) -> Lines:
    """Return a line for each sandbox with changed secrets, and what to do where a saved plan did not apply them."""
    out = Lines()
    if not changed:
        return out
    out.blank()
    out.add(("Changed secrets", "bold"))
    for one in changed[:_MOST]:
        names = ", ".join(map(safe, one.names))
        state = ("applied", "green") if one.applied else (f"not applied ({one.reason})", "bold yellow")
        out.add((safe(one.sandbox), "bold"), f" on {safe(one.host)}: {names}: ", state, indent=2)
    if len(changed) > _MOST:
        out.add(f"and {plural(len(changed) - _MOST, 'more sandbox')}", indent=2)
    if saved and not all(one.applied for one in changed):
        hint = "a saved plan applies no other changes than its own: run `sandboxer apply` to apply these"
        out.add(hint, indent=2, prefix=("hint: ", "bold"))
    return out
