"""Routes of sandboxes: list, create and change them."""
# Without `from __future__ import annotations`: FastAPI reads the annotations of the functions that it calls.

import base64
import json
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse

from sandboxer.api.dependencies import NoQuery, Ref, TheGrant, TheService, Waiting, WaitingToEnd, new_request
from sandboxer.api.models import CreateSandbox, ExtendTtl, SandboxPage, SandboxQuery
from sandboxer.api.openapi import COMMON, answers, body
from sandboxer.api.operations import Job
from sandboxer.api.service import READY, UNMADE, Service, must_be_imperative, sort_key
from sandboxer.api.tokens import Grant
from sandboxer.model.faults import KEY_PATTERN
from sandboxer.model.handle import Handle
from sandboxer.model.quantity import parse_duration
from sandboxer.model.text import named
from sandboxer.web.problems import HttpProblem, ProblemKind

router = APIRouter(prefix="/v1/sandboxes", tags=["sandboxes"], responses=COMMON)

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=KEY_PATTERN,
        description="A repeated request of the same consumer with this key returns the existing sandbox.",
    ),
]


@router.post(
    "",
    status_code=202,
    summary="Create a sandbox",
    openapi_extra=body(CreateSandbox),
    responses={
        201: {"model": Handle, "description": "The sandbox is ready. Only with `wait`."},
        202: {"model": Handle, "description": "The sandbox is on record on its host and is being created."},
        **answers(408, 409, 413, 415, 422),
    },
)
async def create(
    request: Request, service: TheService, grant: TheGrant, query: Annotated[Waiting, Query()], key: Key = None
) -> Response:
    """Responds once the sandbox is on record on its host, in phase `requested`. It then becomes ready or failed,
    even if this server is killed. Without `wait` the status is 202, and `GET` shows the progress.
    """
    given = await new_request(request, CreateSandbox)
    consumer = consumer_for(grant, given)
    with service.operations.reserve():
        made = await service.call(
            service.writes, lambda: _request(service, grant, given, consumer, key), usage=ProblemKind.VALIDATION_FAILED
        )
        job = service.begin(made.id, "make") if made.phase in UNMADE else None
    headers = {"Location": f"/v1/sandboxes/{made.id}"}
    if query.wait and job is not None:
        over, handle = await service.outcome(job, query.wait)
        made = handle if over else await _fresh(service, grant, made)
    elif query.wait and made.phase not in READY:
        raise HttpProblem(
            ProblemKind.OPERATION_FAILED, f"{named('sandbox', made.name)} is {made.phase}", headers=headers
        )
    return JSONResponse(made.to_json(), 201 if query.wait and made.phase in READY else 202, headers)


@router.get(
    "",
    summary="List sandboxes",
    responses={200: {"model": SandboxPage, "description": "A page of sandboxes."}},
)
async def list_(service: TheService, grant: TheGrant, query: Annotated[SandboxQuery, Query()]) -> Response:
    """Lists every sandbox that is visible to the token, those from git too, by name. Observes the hosts."""
    behind = _key_of(query.after) if query.after is not None else None
    labels = [tuple(one.split("=", 1)) for one in query.label]
    found, complete = await service.handles()
    matching = [
        handle
        for handle in found
        if grant.sees(handle)
        and (behind is None or sort_key(handle) > behind)
        and query.phase in (None, handle.phase)
        and query.host in (None, handle.host)
        and query.origin in (None, handle.origin)
        and (query.consumer is None or query.consumer == str(handle.consumer or ""))
        and set(labels) <= set(handle.labels.items())
    ]
    page = matching[: query.limit]
    next_cursor = _cursor(page[-1]) if len(matching) > len(page) else None
    return JSONResponse({"items": [handle.to_json() for handle in page], "next": next_cursor, "complete": complete})


@router.get(
    "/{ref}",
    summary="Show a sandbox",
    responses={200: {"model": Handle, "description": "The sandbox."}, **answers(404, 409)},
)
async def get(service: TheService, grant: TheGrant, ref: Ref, _: Annotated[NoQuery, Query()]) -> Response:
    """Shows the current state of a sandbox by ID or name. Observes its host."""
    return JSONResponse((await service.there(grant, ref)).to_json())


@router.delete(
    "/{ref}",
    status_code=204,
    summary="Destroy a sandbox",
    responses={
        202: {"model": Handle, "description": "The sandbox is still being destroyed."},
        204: {"description": "The sandbox no longer exists, or is not visible to the token."},
        **answers(409),
    },
)
async def delete(service: TheService, grant: TheGrant, ref: Ref, query: Annotated[WaitingToEnd, Query()]) -> Response:
    """Deletes a sandbox and everything in it. 204 also if it does not exist or is not visible to the token."""
    handle = await service.find(grant, ref)
    if handle is None:
        return Response(status_code=204)
    must_be_imperative(handle)
    with service.operations.reserve():
        job = service.begin(handle.id, "destroy")
    over, _ = await service.outcome(job, query.wait)
    return Response(status_code=204) if over else JSONResponse(handle.to_json(), 202)


@router.post(
    "/{ref}/recreate",
    status_code=202,
    summary="Recreate a sandbox",
    responses={
        200: {"model": Handle, "description": "The sandbox is ready. Only with `wait`."},
        202: {"model": Handle, "description": "The sandbox is being recreated."},
        **answers(404, 409, 422),
    },
)
async def recreate(service: TheService, grant: TheGrant, ref: Ref, query: Annotated[Waiting, Query()]) -> Response:
    """Keeps the ID and the inputs, at the latest commit. Deletes the volumes."""
    handle = await service.there(grant, ref)
    must_be_imperative(handle)
    with service.operations.reserve():
        job = service.begin(handle.id, "recreate")
    return await _answer(service, grant, job, handle, query.wait)


@router.post(
    "/{ref}/extend-ttl",
    summary="Extend the time to live of a sandbox",
    openapi_extra=body(ExtendTtl),
    responses={
        200: {"model": Handle, "description": "The sandbox, with its new expiry."},
        **answers(404, 408, 409, 413, 415, 422),
    },
)
async def extend_ttl(
    request: Request, service: TheService, grant: TheGrant, ref: Ref, _: Annotated[NoQuery, Query()]
) -> Response:
    """Extends the expiry, up to the limit of the profile; also for a sandbox from git, without a change of its
    manifest.
    """
    given = await new_request(request, ExtendTtl)
    try:
        by = parse_duration(given.by)
    except ValueError as error:
        raise HttpProblem(ProblemKind.VALIDATION_FAILED, str(error), field="by") from None
    identifier = (await service.there(grant, ref)).id
    extended = await service.call(
        service.writes, lambda: service.client().extend_ttl(identifier, by), usage=ProblemKind.VALIDATION_FAILED
    )
    return JSONResponse(extended.handle.to_json())


@router.post(
    "/{ref}/activity",
    summary="Mark a sandbox as in use",
    responses={200: {"model": Handle, "description": "The sandbox, in phase `active`."}, **answers(404, 409)},
)
async def activity(service: TheService, grant: TheGrant, ref: Ref, _: Annotated[NoQuery, Query()]) -> Response:
    """Sets the phase `active`, also for a sandbox from git. With `ttl.clock: activity`, extends the expiry."""
    identifier = (await service.there(grant, ref)).id
    marked = await service.call(service.writes, lambda: service.client().activity(identifier))
    return JSONResponse(marked.handle.to_json())


def consumer_for(grant: Grant, given: CreateSandbox) -> str | None:
    """Return the consumer of a new sandbox. Raise HttpProblem (403) if the token is bound to another one."""
    own = (given.consumer.actor, given.consumer.project) if given.consumer else None
    if grant.consumer is not None and own not in (None, grant.consumer):
        raise HttpProblem(ProblemKind.FORBIDDEN, "the token is bound to another consumer", field="consumer")
    found = own or grant.consumer
    return "/".join(found) if found else None


def _request(service: Service, grant: Grant, given: CreateSandbox, consumer: str | None, key: str | None) -> Handle:
    inputs = given.inputs.model_dump(exclude_none=True) if given.inputs else {}
    made = service.client().create(
        given.profile,
        name=given.name,
        inputs=inputs,
        ttl=given.ttl,
        consumer=consumer,
        labels=given.labels,
        env=given.env,
        secret_refs=given.secret_refs,
        hosts=given.hosts,
        key=key,
        by=grant.name,
        wait=False,
    )
    return made.handle


async def _answer(service: Service, grant: Grant, job: Job, handle: Handle, wait: float) -> Response:
    if wait:
        over, made = await service.outcome(job, wait)
        if over:
            return JSONResponse(made.to_json())
        handle = await _fresh(service, grant, handle)
    return JSONResponse(handle.to_json(), 202)


async def _fresh(service: Service, grant: Grant, handle: Handle) -> Handle:
    """Return the sandbox as it is now; as it was, if its host does not answer."""
    try:
        return await service.find(grant, handle.id) or handle
    except HttpProblem:
        return handle


def _cursor(handle: Handle) -> str:
    return base64.urlsafe_b64encode(json.dumps(sort_key(handle)).encode()).decode().rstrip("=")


def _key_of(cursor: str) -> tuple[str, str]:
    """Return the sort key in a cursor. Raise HttpProblem if the cursor is invalid."""
    try:
        found: Any = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        found = None
    match found:
        case [str(name), str(identifier)]:
            return name, identifier
    raise HttpProblem(ProblemKind.INVALID_REQUEST, "is not a cursor", field="after")
