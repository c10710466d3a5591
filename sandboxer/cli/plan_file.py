"""A saved plan as a file: written atomically, and validated when read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sandboxer.cli.atomic_write import write_atomically
from sandboxer.errors import PlanRefused, UsageError
from sandboxer.model.saved_plan import MAX_BYTES, parse_saved_plan, saved_bytes, saved_content
from sandboxer.render.remedies import from_json, in_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.model.plan import Plan
    from sandboxer.model.saved_plan import Approval, SavedPlan

Parsed = TypeVar("Parsed")


def save(decided: Plan, approval: Approval, name: str) -> None:
    """Write a plan and its approval to the file of this name. Raise UsageError if that is not possible."""
    write_atomically("--out", name, saved_bytes(decided, approval, in_json))


def read(name: str) -> SavedPlan:
    """Return the saved plan in the file of this name.

    Raise UsageError if there is no such file, and PlanRefused if it is no valid plan.
    """
    return _parsed(name, parse_saved_plan)


def read_to_show(name: str) -> tuple[Plan, dict[str, Any]]:
    """Return the plan in the file of this name, and its JSON, to show both. Raise as ``read`` does."""

    def parse(data: bytes) -> tuple[Plan, dict[str, Any]]:
        from sandboxer.model.plan_reading import plan_of_json

        content = saved_content(data)
        return plan_of_json(content, from_json), content

    return _parsed(name, parse)


def _parsed(name: str, parse: Callable[[bytes], Parsed]) -> Parsed:
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
        return parse(data)
    except PlanRefused as refused:
        where = f"{name}:{refused.line}:{refused.column}" if refused.line else name
        raise PlanRefused(f"{where}: {refused.message}", hint=refused.hint, remedy=refused.remedy) from None
