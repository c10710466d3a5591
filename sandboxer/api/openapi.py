"""OpenAPI details that FastAPI does not derive by itself: bodies, problems, and the bearer token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from sandboxer.api.models import CreateSandbox, ExtendTtl
from sandboxer.version import __version__
from sandboxer.web.openapi import REF, problem_schemas, responses, without_validation_errors
from sandboxer.web.problems import ProblemKind

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
_MODELS: tuple[type[BaseModel], ...] = (CreateSandbox, ExtendTtl)


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problems that a route may answer with."""
    return responses((kind for kind in ProblemKind if kind.status in statuses), _WORDS)


def body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the description of the body that a route accepts."""
    content = {"application/json": {"schema": {"$ref": REF.format(model=model.__name__)}}}
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
    schemas |= problem_schemas()
    for model in _MODELS:
        own = model.model_json_schema(ref_template=REF)
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
    without_validation_errors(content)
    content["components"]["schemas"] = dict(sorted(schemas.items()))
    return content


COMMON = answers(400, 401, 403, 421, 429, 500, 503)
