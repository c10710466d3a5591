"""What a backend found wrong in an input before any host was touched: it blocks whatever would need that input."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.model.lifecycle import Action, Reason
from sandboxer.reconcile.change import blocked
from sandboxer.reconcile.fields import Effect, effect_of

if TYPE_CHECKING:
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.plan import Change


def refusal(desired: DesiredSandbox) -> str:
    """Return why a host would refuse the sandbox, in a sentence; empty where no finding says so."""
    errors = desired.errors
    if not errors:
        return ""
    more = f", and {len(errors) - 1} more" if len(errors) > 1 else ""
    return f"its input is refused: {errors[0].message} ({errors[0].place}){more}"


def unless_refused(change: Change, desired: DesiredSandbox) -> Change:
    """Return the change of a sandbox that exists, blocked where a host would refuse its input.

    What leaves its services alone stays: a delete, a no-op, and an update of the record alone.
    """
    if not change.acts or change.action is Action.DELETE or _of_record_alone(change):
        return change
    why = refusal(desired)
    if why:
        change = blocked(change, Reason.BLOCKED_REFUSED, why)
    return replace(change, diagnostics=desired.diagnostics)


def _of_record_alone(change: Change) -> bool:
    if change.action is not Action.UPDATE or change.drift:
        return False
    return all(effect_of(field.path) is Effect.RECORD for field in change.pending)
