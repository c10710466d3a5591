"""The hub's OpenAPI document, with its problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from sandboxer.version import __version__
from sandboxer.web.openapi import problem_schemas, responses, without_validation_errors
from sandboxer.web.problems import ProblemKind

if TYPE_CHECKING:
    from fastapi import FastAPI

KINDS = (
    ProblemKind.INVALID_REQUEST,
    ProblemKind.UNAUTHORIZED,
    ProblemKind.PATH_NOT_FOUND,
    ProblemKind.METHOD_NOT_ALLOWED,
    ProblemKind.REQUEST_TIMEOUT,
    ProblemKind.BODY_TOO_LARGE,
    ProblemKind.UNSUPPORTED_MEDIA_TYPE,
    ProblemKind.UNRECOGNIZED_HOST,
    ProblemKind.TOO_MANY_STREAMS,
    ProblemKind.INTERNAL_ERROR,
    ProblemKind.BUSY,
)
"""The problems of the hub."""

PROBLEMS = responses(KINDS)


def document(app: FastAPI) -> dict[str, Any]:
    """Return the complete OpenAPI document."""
    content = get_openapi(title=app.title, version=__version__, routes=app.routes)
    content["components"]["schemas"] |= problem_schemas()
    without_validation_errors(content)
    return content
