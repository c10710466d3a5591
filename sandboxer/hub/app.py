"""The hub's HTTP routes. They decide only how something is presented."""
# Without `from __future__ import annotations`: FastAPI reads the annotations of the functions that it calls.

import json
import sqlite3
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from sandboxer.hub.incoming import event_of, registration_of
from sandboxer.hub.metrics import Metrics
from sandboxer.hub.models import EventPage, SandboxList
from sandboxer.hub.openapi import PROBLEMS, document
from sandboxer.hub.pages import page_files
from sandboxer.hub.store import EventFilter, Store
from sandboxer.hub.stream import HEARTBEAT, Broadcaster, stream
from sandboxer.model.faults import SANDBOX_ID_PATTERN, fault_of
from sandboxer.model.hidden import Hidden
from sandboxer.model.lifecycle import Phase
from sandboxer.model.text import printable
from sandboxer.web.body import body_of
from sandboxer.web.gate import Gate, OneToken, problem
from sandboxer.web.problems import HttpProblem, ProblemKind, kind_of_status

_DETAILS = {404: "no such path", 405: "method not allowed"}
_EVENT_TYPES = ("application/cloudevents+json", "application/json")

router = APIRouter(responses=PROBLEMS)


@dataclass(frozen=True)
class Hub:
    """The objects that the routes work with."""

    store: Store
    broadcaster: Broadcaster
    metrics: Metrics
    heartbeat: float


class EventsQuery(BaseModel):
    """The filter and the page of events."""

    model_config = ConfigDict(extra="forbid")

    fleet: str | None = None
    host: str | None = None
    sandbox: str | None = None
    type: str | None = Field(None, description="An event type, or a prefix followed by `*`.")
    after: str | None = Field(None, description="The `next` of the previous page.")
    limit: int = Field(100, ge=1, le=1000)


class SandboxesQuery(BaseModel):
    """The filter of sandboxes."""

    model_config = ConfigDict(extra="forbid")

    fleet: str | None = None
    host: str | None = None
    phase: Phase | None = None
    sandbox: list[Annotated[str, StringConstraints(pattern="^[0-9a-f]{8}$")]] = Field(
        [], max_length=100, description="Of these IDs; may be repeated."
    )
    all: bool = Field(False, description="Include destroyed sandboxes.")


class LifeQuery(BaseModel):
    """The life of a sandbox."""

    model_config = ConfigDict(extra="forbid")

    host: str
    uid: str


def hub_of(request: Request) -> Hub:
    """Return the hub that serves this request."""
    hub: Hub = request.app.state.hub
    return hub


TheHub = Annotated[Hub, Depends(hub_of)]
SandboxId = Annotated[str, Path(pattern=SANDBOX_ID_PATTERN)]


@router.post("/events", status_code=201)
async def post_event(request: Request, hub: TheHub) -> Response:
    """Stores one CloudEvent; responds once it is on disk."""
    event = event_of(await body_of(request, _EVENT_TYPES))
    new = await run_in_threadpool(hub.store.add, event)
    if new:
        hub.broadcaster.ring()
    return JSONResponse({"id": event.id, "status": "accepted" if new else "duplicate"}, 201 if new else 200)


@router.get("/events", responses={200: {"model": EventPage}})
def get_events(hub: TheHub, query: Annotated[EventsQuery, Query()]) -> Response:
    """A page of the events, oldest first. `next` is null on the last one."""
    after = hub.store.position(query.after, "after") if query.after is not None else 0
    event_filter = EventFilter(query.fleet, query.host, query.sandbox, query.type)
    found = hub.store.events(after, query.limit + 1, event_filter)
    page = found[: query.limit]
    next_cursor = json.dumps(hub.store.cursor(page[-1].seq) if len(found) > len(page) else None)
    # The events are kept as the JSON that was received; parsing and writing them again would gain nothing.
    text = f'{{"events":[{",".join(one.body for one in page)}],"next":{next_cursor}}}'
    return Response(text.encode(), media_type="application/json")


@router.get("/sandboxes", responses={200: {"model": SandboxList}})
def get_sandboxes(hub: TheHub, query: Annotated[SandboxesQuery, Query()]) -> Response:
    """The sandboxes, as their events and registrations add up."""
    there = hub.store.sandboxes(over=query.all or query.phase is Phase.DESTROYED, ids=query.sandbox)
    rows = [
        life.row(key)
        for key, life in there
        if query.fleet in (None, key.fleet)
        and query.host in (None, key.host)
        and (query.phase is None or query.phase == life.phase)
    ]
    return JSONResponse({"sandboxes": rows})


@router.put("/sandboxes/{identifier}")
async def put_sandbox(request: Request, hub: TheHub, identifier: SandboxId) -> Response:
    """Registers the identity of a sandbox, or its newer handle."""
    given = registration_of(await body_of(request, ("application/json",)), identifier)
    new = await run_in_threadpool(hub.store.register, given)
    hub.broadcaster.ring(registration=True)
    registered = {"id": given.id, "host": given.host, "uid": given.uid, "status": "registered" if new else "updated"}
    return JSONResponse(registered, 201 if new else 200)


@router.delete("/sandboxes/{identifier}", status_code=204)
async def delete_sandbox(hub: TheHub, identifier: SandboxId, query: Annotated[LifeQuery, Query()]) -> Response:
    """Removes the registration of one life; succeeds if there is none."""
    if await run_in_threadpool(hub.store.unregister, identifier, query.host, query.uid):
        hub.broadcaster.ring(registration=True)
    return Response(status_code=204)


@router.get("/stream")
async def get_stream(request: Request, hub: TheHub, last_event_id: Annotated[str | None, Header()] = None) -> Response:
    """Streams events as they are stored: those after `Last-Event-ID`, or from now on."""
    address = request.client.host if request.client else ""
    if not hub.broadcaster.has_room(address):
        raise HttpProblem(ProblemKind.TOO_MANY_STREAMS, "too many open streams", headers={"Retry-After": "10"})
    if last_event_id is not None:
        after = hub.store.position(last_event_id, "Last-Event-ID")
    else:
        after = await run_in_threadpool(hub.store.newest)
    text = stream(hub.store, hub.broadcaster, after, hub.heartbeat, address)
    return StreamingResponse(text, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.get("/metrics")
def get_metrics(hub: TheHub) -> Response:
    """The metrics, in the Prometheus text format."""
    return Response(hub.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/healthz")
def get_health(hub: TheHub) -> Response:
    """Whether the hub can read its database."""
    hub.store.newest()
    return JSONResponse({"status": "ok"})


def create_app(
    store: Store, broadcaster: Broadcaster, *, token: Hidden, listen_host: str, heartbeat: float = HEARTBEAT
) -> ASGIApp:
    """Return the hub as an application. ``listen_host`` is accepted as a host name beside those of the loopback."""
    app = FastAPI(title="State Hub", docs_url=None, redoc_url=None, openapi_url="/openapi.json", redirect_slashes=False)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]  # as FastAPI has it documented
    metrics = Metrics(store)
    app.state.hub = Hub(store, broadcaster, metrics, heartbeat)
    app.include_router(router)
    free = {"/healthz"}
    for file in page_files():

        def answer(request: Request, file: Any = file) -> Response:
            response: Response = file.answer(request.headers.get("if-none-match"))
            return response

        app.add_route(file.path, answer, methods=["GET"], include_in_schema=False)
        free.add(file.path)
    app.add_exception_handler(HttpProblem, _problem_response)
    app.add_exception_handler(RequestValidationError, _problem_response)
    app.add_exception_handler(HTTPException, _problem_response)
    app.add_exception_handler(sqlite3.Error, _problem_response)
    app.add_exception_handler(Exception, _problem_response)
    check = OneToken(token, "State Hub", "hub")
    return Gate(app, check=check, listen_host=listen_host, free=free, answered=metrics.answered, called="hub")


def _problem_response(_request: Request, error: Exception) -> Response:
    """Return any error as a problem. A fault of the hub itself is reported to its owner, not to the client."""
    if isinstance(error, HttpProblem):
        return problem(error)
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return problem(
            HttpProblem(
                ProblemKind.INVALID_REQUEST,
                fault_of(first),
                field=printable(".".join(str(part) for part in first["loc"][1:])),
            )
        )
    if isinstance(error, HTTPException):
        detail = _DETAILS.get(error.status_code, str(error.detail))
        return problem(HttpProblem(kind_of_status(error.status_code), detail, headers=error.headers))
    if isinstance(error, sqlite3.Error):
        return problem(
            HttpProblem(ProblemKind.BUSY, "the hub's database does not answer", headers={"Retry-After": "5"})
        )
    return problem(HttpProblem(ProblemKind.INTERNAL_ERROR, "internal server error; see the hub's output"))
