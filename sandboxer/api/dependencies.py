"""What every route needs from a request: the server, its grant, and a valid body."""
# Without `from __future__ import annotations`: FastAPI reads the annotations of the functions that it calls.

from typing import Annotated, TypeVar

from fastapi import Depends, Path, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sandboxer.api.service import Service
from sandboxer.api.tokens import Grant
from sandboxer.model.faults import fault_of
from sandboxer.model.text import NAME_PATTERN, printable
from sandboxer.web.body import body_of
from sandboxer.web.problems import HttpProblem, ProblemKind

M = TypeVar("M", bound=BaseModel)

JSON = "application/json"
LONGEST_WAIT = 300


def service_of(request: Request) -> Service:
    """Return the server that answers this request."""
    service: Service = request.app.state.service
    return service


def grant_of(request: Request) -> Grant:
    """Return the grant of this request."""
    grant: Grant = request.scope["grant"]
    return grant


TheService = Annotated[Service, Depends(service_of)]
TheGrant = Annotated[Grant, Depends(grant_of)]
Ref = Annotated[str, Path(pattern=NAME_PATTERN, description="The ID or name of the sandbox.")]


class Waiting(BaseModel):
    """How long to wait for the end of the operation."""

    model_config = ConfigDict(extra="forbid")

    wait: float = Field(0, ge=0, le=LONGEST_WAIT, description="The seconds to wait for the end of the operation.")


class WaitingToEnd(BaseModel):
    """How long to wait for the end of the operation; by default 30 seconds."""

    model_config = ConfigDict(extra="forbid")

    wait: float = Field(30, ge=0, le=LONGEST_WAIT, description="The seconds to wait for the end of the operation.")


class NoQuery(BaseModel):
    """No query parameters: any is an error."""

    model_config = ConfigDict(extra="forbid")


class PlanQuery(BaseModel):
    """The query parameters of a plan."""

    model_config = ConfigDict(extra="forbid")

    diff: bool = Field(False, description="Whether to include the text of the files that changed.")


async def new_request(request: Request, model: type[M]) -> M:
    """Return the body of a request, as its model.

    Raise HttpProblem: 400 for invalid JSON, 422 for JSON that does not fit the model.
    """
    data = await body_of(request, (JSON,))
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
    if any(one["type"] == "json_invalid" for one in found):
        raise HttpProblem(ProblemKind.INVALID_REQUEST, "the body is not valid JSON")
    # The first part of the location is the model itself; values are never repeated.
    errors = [
        {"detail": fault_of(one), "field": printable(".".join(str(part) for part in one["loc"]))} for one in found
    ]
    raise HttpProblem(ProblemKind.VALIDATION_FAILED, "request body failed validation", errors=errors[:100])
