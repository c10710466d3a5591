"""A saved plan as a file: written atomically, and validated when read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sandboxer.cli.atomic_write import write_atomically
from sandboxer.errors import PlanRefused, UsageError
from sandboxer.model.saved_plan import MAX_BYTES, parse_saved_plan, saved_bytes
from sandboxer.render.remedies import in_json

if TYPE_CHECKING:
    from sandboxer.model.plan import Plan
    from sandboxer.model.saved_plan import Approval, SavedPlan


def save(decided: Plan, approval: Approval, name: str) -> None:
    """Write a plan and its approval to the file of this name. Raise UsageError if that is not possible."""
    write_atomically("--out", name, saved_bytes(decided, approval, in_json))


def read(name: str) -> SavedPlan:
    """Return the saved plan in the file of this name.

    Raise UsageError if there is no such file, and PlanRefused if it is no valid plan.
    """
    path = Path(name)
    try:
        if path.exists() and not path.is_file():
            raise UsageError(
                f"{name} is not a regular file", hint="specify a file written by `sandboxer plan --out FILE`"
            )
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        hint = "specify a file written by `sandboxer plan --out FILE`; to apply one sandbox, use --target NAME"
        raise UsageError(f"{name}: {error.strerror or error}", hint=hint) from None
    try:
        return parse_saved_plan(data)
    except PlanRefused as refused:
        where = f"{name}:{refused.line}:{refused.column}" if refused.line else name
        raise PlanRefused(f"{where}: {refused.message}", hint=refused.hint, remedy=refused.remedy) from None
