"""The base class of all manifest models, and the errors that their validators raise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic import Strict as StrictMode
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from pydantic.fields import ComputedFieldInfo, FieldInfo

T = TypeVar("T")

#: A list in the manifest, a tuple in the model: a frozen model holds nothing that can grow.
Items = Annotated[tuple[T, ...], StrictMode(False)]

# The keys of a problem in pydantic's error context.
PROBLEM_TEXT, PROBLEM_HINT, PROBLEM_PATH = "text", "hint", "path"


def _title(name: str, _info: FieldInfo | ComputedFieldInfo) -> str:
    return name.replace("_", " ").strip().capitalize()


class Strict(BaseModel):
    """A frozen value whose YAML keys are camelCase, which takes no other keys and converts no types."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        field_title_generator=_title,
        # Most models are parts of others: build a validator only for those that are validated by themselves.
        defer_build=True,
    )


def problem(code: str, text: str, hint: str = "", path: tuple[str | int, ...] = ()) -> PydanticCustomError:
    """Return the error that a validator raises: a diagnostic's code, text and hint.

    ``text`` continues a sentence that begins with the name of the value: "must not be empty". ``path`` leads from the
    validated value to the part of it that is wrong.
    """
    context: dict[str, Any] = {PROBLEM_TEXT: text, PROBLEM_HINT: hint, PROBLEM_PATH: path}
    # A code is one of the package's own constants: the annotation requires a literal, and all callers pass one.
    return PydanticCustomError(code, "{text}", context)
