"""Routes that read: events, logs, the plan, and the server's state."""
# Without `from __future__ import annotations`: FastAPI reads the annotations of the functions that it calls.

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from sandboxer.api.dependencies import PlanQuery, Ref, TheGrant, TheService
from sandboxer.api.errors import code_location
from sandboxer.api.models import EventPage, EventsQuery, LogsQuery, PlanDocument, State
from sandboxer.api.openapi import COMMON, answers
from sandboxer.api.service import Service, absent
from sandboxer.api.streams import Reader, StreamReader
from sandboxer.api.tokens import Grant
from sandboxer.errors import SandboxerError, UsageError
from sandboxer.model.event import Event
from sandboxer.model.faults import EVENT_ID_PATTERN
from sandboxer.model.hub import cloud_event
from sandboxer.model.text import named, printable
from sandboxer.web.problems import HttpProblem, ProblemKind

router = APIRouter()

EVENT_STREAM = "text/event-stream"
_FIRST_SECONDS, _FOLLOW_SECONDS = 120.0, 1.0
_NO_BUFFER = {"X-Accel-Buffering": "no"}
_STREAMED = {EVENT_STREAM: {"schema": {"type": "string"}}}
_WRITTEN = {"text/plain": {"schema": {"type": "string"}}}


@router.get(
    "/v1/sandboxes/{ref}/events",
    tags=["sandboxes"],
    summary="List or stream the events of a sandbox",
    responses={
        200: {"model": EventPage, "content": _STREAMED, "description": "A page of events, or a stream of them."},
        **COMMON,
        **answers(404, 409),
    },
)
async def events(
    request: Request,
    service: TheService,
    grant: TheGrant,
    ref: Ref,
    query: Annotated[EventsQuery, Query()],
    last_event_id: Annotated[str | None, Header(pattern=EVENT_ID_PATTERN)] = None,
) -> Response:
    """Reads the journals on the hosts. Returns a page as JSON, or with `Accept: text/event-stream` all events, past and
    new, until the life ends. `Last-Event-ID` resumes after that event. A comment is sent every 15 seconds.
    """
    if _wants_stream(request):
        return await _event_stream(service, grant, ref, last_event_id or query.after, _reader(request, service, grant))
    warnings: list[str] = []
    found = await _answer(service, ref, lambda: [one for one in service.client(warnings.append).events(ref) if one])
    found = [one for one in found if _is_for(grant, one)]
    if not found:
        raise absent(ref)
    at = next((number for number, one in enumerate(found, 1) if one.id == query.after), 0)
    if query.after is not None and not at:
        raise HttpProblem(ProblemKind.INVALID_REQUEST, "is not an event of this sandbox", field="after")
    page = found[at : at + query.limit]
    next_cursor = page[-1].id if len(found) > at + len(page) else None
    items = [cloud_event(one).to_json() for one in page]
    return JSONResponse({"items": items, "next": next_cursor, "complete": not warnings})


@router.get(
    "/v1/sandboxes/{ref}/logs",
    tags=["sandboxes"],
    summary="Show or stream the logs of a sandbox",
    response_class=Response,
    responses={
        200: {"content": {**_WRITTEN, **_STREAMED}, "description": "Lines, each prefixed with its service."},
        **COMMON,
        **answers(404, 409),
    },
)
async def logs(
    request: Request, service: TheService, grant: TheGrant, ref: Ref, query: Annotated[LogsQuery, Query()]
) -> Response:
    """Returns text lines, or with `Accept: text/event-stream` JSON objects with `service`, `source` and `text`."""
    handle = await service.there(grant, ref)

    def lines() -> Any:
        return service.client().logs(
            handle.id,
            services=query.service,
            tail=query.tail,
            follow=query.follow,
            timestamps=query.timestamps,
        )

    stream: StreamReader[Any] = service.streams.open(_reader(request, service, grant), lines)
    seconds = _FOLLOW_SECONDS if query.follow else _FIRST_SECONDS
    await _begun(service, stream, seconds, usage=ProblemKind.SERVICE_NOT_FOUND)
    if _wants_stream(request):
        return StreamingResponse(_log_events(service, stream), media_type=EVENT_STREAM, headers=_NO_BUFFER)
    return StreamingResponse(_log_lines(service, stream), media_type="text/plain", headers=_NO_BUFFER)


@router.get(
    "/v1/plan",
    tags=["fleet"],
    summary="Show the plan of the fleet",
    responses={200: {"model": PlanDocument, "description": "The plan."}, **COMMON},
)
async def plan(service: TheService, grant: TheGrant, query: Annotated[PlanQuery, Query()]) -> Response:
    """Plans the fleet's manifests on the server, read-only. Only for tokens that are not bound to a consumer."""
    if grant.consumer is not None:
        raise HttpProblem(
            ProblemKind.FORBIDDEN, "the token is bound to a consumer, but the plan covers the whole fleet"
        )
    return JSONResponse(await service.call(service.reads, lambda: service.client().plan(diff=query.diff)))


@router.get(
    "/metrics",
    tags=["server"],
    summary="Return metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": _WRITTEN, "description": "Metrics in the text format."}, **COMMON},
)
async def metrics(service: TheService) -> Response:
    """Counts requests and operations."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get(
    "/healthz",
    tags=["server"],
    summary="Check that the server runs",
    responses={200: {"model": State, "description": "The server runs."}, **answers(421)},
)
async def healthz() -> Response:
    """Needs no token, and contacts no host."""
    return JSONResponse({"status": "ok"})


@router.get(
    "/readyz",
    tags=["server"],
    summary="Check that the server is ready",
    responses={200: {"model": State, "description": "The server is ready."}, **answers(421, 503)},
)
async def readyz(service: TheService) -> Response:
    """Check that manifests are valid and interrupted operations were searched for. Needs no token."""
    await service.ready()
    return JSONResponse({"status": "ready"})


def _wants_stream(request: Request) -> bool:
    return EVENT_STREAM in request.headers.get("accept", "").lower()


def _is_for(grant: Grant, event: Event) -> bool:
    """Return whether an event is of a sandbox that the token may see; the sandbox itself may be gone."""
    return grant.consumer is None or grant.consumer == (event.actor_type, event.consumer)


async def _answer(service: Service, ref: str, call: Any) -> Any:
    """Return the result of a call about a journal. Raise HttpProblem (404) if no host has one."""
    try:
        return await service.reads.call(call)
    except UsageError:
        raise absent(ref) from None
    except SandboxerError as error:
        raise service.refused(error) from None


async def _begun(service: Service, stream: StreamReader[Any], seconds: float, *, usage: ProblemKind) -> None:
    """Wait until a stream has an item or has failed.

    Raise HttpProblem if it failed; ``usage`` is the kind of a call that is invalid at present.
    """
    try:
        await stream.begun(seconds)
    except SandboxerError as error:
        stream.close()
        raise service.refused(error, usage=usage) from None
    except BaseException:
        stream.close()
        raise


def _reader(request: Request, service: Service, grant: Grant) -> Reader:
    """Return the client that opens a stream."""
    address = request.client.host if request.client and not service.behind_proxy else ""
    return Reader(grant.name, "/".join(grant.consumer or ()), address)


async def _event_stream(service: Service, grant: Grant, ref: str, after: str | None, reader: Reader) -> Response:
    sent = await _answer(service, ref, lambda: _sent_before(service, grant, ref, after))
    stream: StreamReader[Event] = service.streams.open(reader, lambda: service.client().events(ref, follow=True))
    await _begun(service, stream, _FIRST_SECONDS, usage=ProblemKind.SANDBOX_NOT_FOUND)
    return StreamingResponse(_events(service, grant, stream, sent), media_type=EVENT_STREAM, headers=_NO_BUFFER)


def _sent_before(service: Service, grant: Grant, ref: str, after: str | None) -> frozenset[str]:
    """Return the IDs up to ``after``; an empty set if that one belongs to an earlier life.

    Raise UsageError if the token sees no journal: a stream of it would never begin.
    """
    found = [one for one in service.client().events(ref) if one and _is_for(grant, one)]
    if not found:
        raise UsageError(f"no {named('sandbox', ref)}")
    ids = [one.id for one in found]
    return frozenset(ids[: ids.index(after) + 1]) if after in ids else frozenset()


async def _events(
    service: Service, grant: Grant, stream: StreamReader[Event], sent: frozenset[str]
) -> AsyncIterator[str]:
    with stream.closing():
        yield ": connected\n\n"
        try:
            async for one in stream.each(service.heartbeat):
                if one is None:
                    yield ": still here\n\n"
                elif one.id not in sent and _is_for(grant, one):
                    yield _event(one)
        except Exception as error:  # noqa: BLE001 - the response has begun
            yield _broken_off(service, error)


def _event(event: Event) -> str:
    data = json.dumps(cloud_event(event).to_json(), ensure_ascii=False)
    # The type comes from a file on a host, and is not encoded as JSON here.
    return f"id: {event.id}\nevent: {printable(event.type)}\ndata: {data}\n\n"


async def _log_events(service: Service, stream: StreamReader[Any]) -> AsyncIterator[str]:
    with stream.closing():
        yield ": connected\n\n"
        try:
            async for one in stream.each(service.heartbeat):
                if one is None:
                    yield ": still here\n\n"
                else:
                    data = {"service": one.service, "source": one.source, "text": one.text}
                    yield f"event: line\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
        except Exception as error:  # noqa: BLE001 - the response has begun
            yield _broken_off(service, error)


async def _log_lines(service: Service, stream: StreamReader[Any]) -> AsyncIterator[bytes]:
    with stream.closing():
        try:
            async for one in stream.each(service.heartbeat):
                if one is not None:
                    yield f"{one.source} | {one.text}\n".encode()
        except Exception as error:  # noqa: BLE001 - the response has begun
            yield f"(interrupted: {_why(service, error)})\n".encode()


def _broken_off(service: Service, error: Exception) -> str:
    return f"event: error\ndata: {json.dumps({'detail': _why(service, error)})}\n\n"


def _why(service: Service, error: Exception) -> str:
    if isinstance(error, SandboxerError):
        return service.refused(error).detail
    service.log("error", code_location(error))
    return "internal server error; see the server's output"
