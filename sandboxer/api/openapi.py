"""OpenAPI details that FastAPI does not derive by itself: bodies, problems, and the bearer token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from sandboxer.api.models import CreateSandbox, ExtendTtl, Problem
from sandboxer.version import __version__
from sandboxer.web.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from fastapi import FastAPI
    from pydantic import BaseModel

_WORDS = {
    400: "A query, a header or the body is invalid.",
    401: "The token is missing or invalid.",
    403: "The token does not permit the operation.",
    404: "No such sandbox, or none that is visible to the token.",
    408: "The body did not arrive in time.",
    409: "A conflict: the name is taken, git owns the sandbox, another client is changing it, or it failed.",
    413: "The body exceeds 256 KiB.",
    415: "The body is not application/json.",
    421: "The `Host` header is not recognized.",
    422: "The request failed validation; `errors` lists the faults.",
    429: "Too many requests, operations or streams. Retry after `Retry-After`.",
    500: "An internal error of the server.",
    503: "A host did not answer, the fleet cannot be read, or the server is shutting down. Retry after `Retry-After`.",
}
_RETRIES = frozenset({429, 503})
_RETRY = {"schema": {"type": "integer", "minimum": 1}, "description": "The seconds to wait before a retry."}
_MODELS: tuple[type[BaseModel], ...] = (CreateSandbox, ExtendTtl, Problem)
_REF = "#/components/schemas/{model}"


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problems that a route may answer with."""
    return {status: _problem(status) for status in statuses}


def body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the description of the body that a route accepts."""
    content = {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}
    return {"requestBody": {"required": True, "content": content}}


def document(app: FastAPI) -> dict[str, Any]:
    """Return the complete OpenAPI document."""
    content = get_openapi(
        title=app.title,
        version=__version__,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas = content["components"]["schemas"]
    for model in _MODELS:
        own = model.model_json_schema(ref_template=_REF)
        schemas |= own.pop("$defs", {})
        schemas[model.__name__] = own
    content["components"]["securitySchemes"] = {
        "token": {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of the `--tokens` file, or the token of this run.",
        }
    }
    content["security"] = [{"token": []}]
    for path, operations in content["paths"].items():
        for operation in operations.values():
            if path in ("/healthz", "/readyz"):
                operation["security"] = []
            # FastAPI adds a 422 for every invalid query; here that is a 400, and a problem.
            own = {code: one for code, one in operation["responses"].items() if "HTTPValidationError" not in str(one)}
            operation["responses"] = dict(sorted(own.items()))
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    content["components"]["schemas"] = dict(sorted(schemas.items()))
    return content


def _problem(status: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "description": _WORDS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}},
    }
    if status in _RETRIES:
        found["headers"] = {"Retry-After": _RETRY}
    return found


COMMON = answers(400, 401, 403, 421, 429, 500, 503)
