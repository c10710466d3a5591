"""The description of problems in the OpenAPI documents of the servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from sandboxer.web.problems import MEDIA_TYPE, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REF = "#/components/schemas/{model}"

_RETRIES = frozenset({429, 503})
_RETRY = {"schema": {"type": "integer", "minimum": 1}, "description": "The seconds to wait before a retry."}


class Finding(BaseModel):
    """One fault of a request."""

    model_config = ConfigDict(extra="allow", frozen=True)

    detail: str = Field(description="The fault and the remedy.")
    field: str = Field(description="The path in the request. Empty if no single part is at fault.")


class Problem(BaseModel):
    """A problem by RFC 9457: the reason why a request failed."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str = Field(
        description="The kind of problem, to compare. Responses list those of each status; readers tolerate others.",
        examples=[kind.uri for kind in ProblemKind],
    )
    title: str = Field(description="The kind of problem in a few words.")
    status: int = Field(ge=400, le=599, description="The HTTP status code.")
    detail: str = Field(description="The fault.")
    field: str | None = Field(None, description="The part of the request at fault.")
    errors: list[Finding] | None = Field(None, description="The findings, if there are several.")


def responses(kinds: Iterable[ProblemKind], words: Mapping[int, str] | None = None) -> dict[int | str, dict[str, Any]]:
    """Return the responses with these kinds of problems, by status; ``words`` describe a status.

    Without words, a status is described by its kinds.
    """
    by_status: dict[int, list[ProblemKind]] = {}
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind)
    return {status: _response(status, of, (words or {}).get(status, "")) for status, of in sorted(by_status.items())}


def without_validation_errors(content: dict[str, Any]) -> None:
    """Remove what FastAPI adds for an invalid query: here that is a problem."""
    for operations in content["paths"].values():
        for operation in operations.values():
            own = {code: one for code, one in operation["responses"].items() if "HTTPValidationError" not in str(one)}
            operation["responses"] = dict(sorted(own.items()))
    for name in ("HTTPValidationError", "ValidationError"):
        content["components"]["schemas"].pop(name, None)


def problem_schemas() -> dict[str, Any]:
    """Return the schemas of a problem, by name."""
    own = Problem.model_json_schema(ref_template=REF)
    return {**own.pop("$defs", {}), Problem.__name__: own}


def _response(status: int, kinds: list[ProblemKind], words: str) -> dict[str, Any]:
    listed = "\n".join(f"- `{kind.uri}`: {kind.summary}." for kind in kinds)
    reference = {"$ref": REF.format(model=Problem.__name__)}
    found: dict[str, Any] = {
        "description": f"{words}\n\n{listed}".lstrip(),
        "content": {MEDIA_TYPE: {"schema": reference}},
    }
    if status in _RETRIES:
        found["headers"] = {"Retry-After": _RETRY}
    return found
