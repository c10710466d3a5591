"""Problems: why a request was rejected, in the format of RFC 9457."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandboxer.model.jsontypes import JsonObject, JsonValue

MEDIA_TYPE = "application/problem+json"


class HttpProblem(Exception):
    """A rejected request. ``field`` is the part of the request at fault, or empty if there is no single one.

    ``errors`` holds several findings, each with its ``detail`` and its location.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str = "",
        headers: Mapping[str, str] | None = None,
        errors: Sequence[JsonObject] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.headers = dict(headers or {})
        self.errors = list(errors)

    def body(self) -> bytes:
        """Return the problem document."""
        problem: dict[str, JsonValue] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": f"{self.field}: {self.detail}" if self.field else self.detail,
        }
        if self.field:
            problem["field"] = self.field
        if self.errors:
            problem["errors"] = list(self.errors)
        return json.dumps(problem, ensure_ascii=True).encode()
