"""Problems: why a request was rejected, in the format of RFC 9457.

Each kind has a type, which docs/api.md lists: a URI to compare, below the address that the identifiers of the schemas
have too.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandboxer.model.jsontypes import JsonObject, JsonValue

MEDIA_TYPE = "application/problem+json"
TYPES = "https://sandboxer.dev/problems/"


class ProblemKind(StrEnum):
    """The kinds of problems. Clients tolerate new ones, and then go by the status."""

    INVALID_REQUEST = "invalid-request"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    SANDBOX_NOT_FOUND = "sandbox-not-found"
    SERVICE_NOT_FOUND = "service-not-found"
    PATH_NOT_FOUND = "path-not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    REQUEST_TIMEOUT = "request-timeout"
    CONFLICT = "conflict"
    FROM_GIT = "from-git"
    LOCKED = "locked"
    NAME_TAKEN = "name-taken"
    OPERATION_FAILED = "operation-failed"
    BODY_TOO_LARGE = "body-too-large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    UNRECOGNIZED_HOST = "unrecognized-host"
    VALIDATION_FAILED = "validation-failed"
    COMPOSE_REFUSED = "compose-refused"
    INPUT_UNAVAILABLE = "input-unavailable"
    KEY_REUSED = "key-reused"
    RATE_LIMITED = "rate-limited"
    TOO_MANY_OPERATIONS = "too-many-operations"
    TOO_MANY_STREAMS = "too-many-streams"
    INTERNAL_ERROR = "internal-error"
    BUSY = "busy"
    FLEET_INVALID = "fleet-invalid"
    HOST_UNAVAILABLE = "host-unavailable"
    NOT_READY = "not-ready"
    SHUTTING_DOWN = "shutting-down"

    @property
    def uri(self) -> str:
        """The type in a problem document."""
        return TYPES + self.value

    @property
    def status(self) -> int:
        """The status of a response with such a problem."""
        return _MEANINGS[self].status

    @property
    def summary(self) -> str:
        """The kind in a few words."""
        return _MEANINGS[self].summary


class _Meaning(NamedTuple):
    status: int
    summary: str


_MEANINGS: Mapping[ProblemKind, _Meaning] = {
    ProblemKind.INVALID_REQUEST: _Meaning(400, "The request is malformed"),
    ProblemKind.UNAUTHORIZED: _Meaning(401, "The token is missing or invalid"),
    ProblemKind.FORBIDDEN: _Meaning(403, "The token does not permit the operation"),
    ProblemKind.SANDBOX_NOT_FOUND: _Meaning(404, "No such sandbox, or none that the token sees"),
    ProblemKind.SERVICE_NOT_FOUND: _Meaning(404, "The sandbox has no such service"),
    ProblemKind.PATH_NOT_FOUND: _Meaning(404, "No such path"),
    ProblemKind.METHOD_NOT_ALLOWED: _Meaning(405, "The path does not support the method"),
    ProblemKind.REQUEST_TIMEOUT: _Meaning(408, "The request did not arrive in time"),
    ProblemKind.CONFLICT: _Meaning(409, "The sandbox is in another state"),
    ProblemKind.FROM_GIT: _Meaning(409, "The sandbox is from git"),
    ProblemKind.LOCKED: _Meaning(409, "Another client is changing the sandbox"),
    ProblemKind.NAME_TAKEN: _Meaning(409, "The name is taken"),
    ProblemKind.OPERATION_FAILED: _Meaning(409, "The operation failed"),
    ProblemKind.BODY_TOO_LARGE: _Meaning(413, "The body is too large"),
    ProblemKind.UNSUPPORTED_MEDIA_TYPE: _Meaning(415, "The content type is not supported"),
    ProblemKind.UNRECOGNIZED_HOST: _Meaning(421, "The Host header is not recognized"),
    ProblemKind.VALIDATION_FAILED: _Meaning(422, "The request failed validation"),
    ProblemKind.COMPOSE_REFUSED: _Meaning(422, "The compose file is refused"),
    ProblemKind.INPUT_UNAVAILABLE: _Meaning(422, "The input is unavailable"),
    ProblemKind.KEY_REUSED: _Meaning(422, "The idempotency key belongs to another request"),
    ProblemKind.RATE_LIMITED: _Meaning(429, "The rate limit is exceeded"),
    ProblemKind.TOO_MANY_OPERATIONS: _Meaning(429, "Too many operations are queued"),
    ProblemKind.TOO_MANY_STREAMS: _Meaning(429, "Too many streams are open"),
    ProblemKind.INTERNAL_ERROR: _Meaning(500, "Internal error of the server"),
    ProblemKind.BUSY: _Meaning(503, "The server is busy"),
    ProblemKind.FLEET_INVALID: _Meaning(503, "The fleet cannot be read"),
    ProblemKind.HOST_UNAVAILABLE: _Meaning(503, "A host did not answer"),
    ProblemKind.NOT_READY: _Meaning(503, "The server is starting"),
    ProblemKind.SHUTTING_DOWN: _Meaning(503, "The server is shutting down"),
}
_OF_STATUS = {404: ProblemKind.PATH_NOT_FOUND, 405: ProblemKind.METHOD_NOT_ALLOWED}


def kind_of_status(status: int) -> ProblemKind:
    """Return the kind of an error of the framework, which knows the status alone."""
    return _OF_STATUS.get(status, ProblemKind.INTERNAL_ERROR if status >= 500 else ProblemKind.INVALID_REQUEST)


class HttpProblem(Exception):
    """A rejected request. ``field`` is the part of the request at fault, or empty if there is no single one.

    ``errors`` holds several findings, each with its ``detail`` and its location.
    """

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        *,
        field: str = "",
        headers: Mapping[str, str] | None = None,
        errors: Sequence[JsonObject] = (),
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.field = field
        self.headers = dict(headers or {})
        self.errors = list(errors)

    @property
    def status(self) -> int:
        """The status of the response."""
        return self.kind.status

    def body(self) -> bytes:
        """Return the problem document."""
        problem: dict[str, JsonValue] = {
            "type": self.kind.uri,
            "title": self.kind.summary,
            "status": self.status,
            "detail": f"{self.field}: {self.detail}" if self.field else self.detail,
        }
        if self.field:
            problem["field"] = self.field
        if self.errors:
            problem["errors"] = list(self.errors)
        return json.dumps(problem, ensure_ascii=True).encode()
