"""The API as an ASGI application: the routes behind the gate, and every error as a problem."""
# Without `from __future__ import annotations`: FastAPI reads the annotations of the functions that it calls.

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from sandboxer.api.auth import TokenAuth
from sandboxer.api.errors import code_location
from sandboxer.api.openapi import document
from sandboxer.api.routes import queries, sandboxes
from sandboxer.api.service import Service
from sandboxer.errors import SandboxerError
from sandboxer.model.faults import fault_of
from sandboxer.model.text import printable
from sandboxer.web.gate import Gate, problem
from sandboxer.web.problems import HttpProblem, ProblemKind, kind_of_status

FREE = frozenset({"/healthz", "/readyz"})

_DETAILS = {404: "no such path", 405: "method not allowed"}
_ABOUT = """Short-lived, isolated environments on machines you own, in one call each and without a commit.

A sandbox created here lives until it is destroyed or expires; applies from git do not change it. Responses show the
current state of the hosts: the server keeps none.
"""


def create_app() -> FastAPI:
    """Return the routes alone, as ``schemas/openapi.json`` describes them; ``served`` puts a server behind them."""
    app = FastAPI(
        title="Sandboxer",
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name.strip("_"),
        openapi_tags=[
            {"name": "sandboxes", "description": "Create, list, show and destroy sandboxes."},
            {"name": "fleet", "description": "The desired state in git."},
            {"name": "server", "description": "Health and metrics of the server."},
        ],
    )
    app.include_router(sandboxes.router)
    app.include_router(queries.router)
    described: list[dict[str, Any]] = []

    def openapi() -> dict[str, Any]:
        if not described:
            described.append(document(app))
        return described[0]

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI has it documented
    return app


def served(service: Service, auth: TokenAuth, *, listen_host: str | None) -> ASGIApp:
    """Return the application of one server.

    ``listen_host`` is the host name that it accepts beside those of the loopback.
    """
    app = create_app()
    app.state.service = service

    def answer_error(request: Request, error: Exception) -> Response:
        return problem(_refused(app, service, request, error))

    for kind in (HttpProblem, RequestValidationError, HTTPException, SandboxerError, Exception):
        app.add_exception_handler(kind, answer_error)

    async def calm(scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; an unforeseen error, already answered at this point, becomes one line of the log."""
        try:
            await app(scope, receive, send)
        except Exception as error:  # noqa: BLE001 - the server survives any error
            service.log("error", f"{scope['method']} {printable(scope['path'])}: {code_location(error)}")

    return Gate(calm, check=auth, listen_host=listen_host, free=FREE, answered=service.metrics.answered)


def _refused(app: FastAPI, service: Service, request: Request, error: Exception) -> HttpProblem:
    """Return any error as a problem.

    A fault of the server itself is reported to its owner, not to the client.
    """
    if isinstance(error, HttpProblem):
        return error
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return HttpProblem(
            ProblemKind.INVALID_REQUEST,
            fault_of(first),
            field=printable(".".join(str(part) for part in first["loc"][1:])),
        )
    if isinstance(error, SandboxerError):
        return service.refused(error)
    if isinstance(error, HTTPException):
        detail = _DETAILS.get(error.status_code, str(error.detail))
        headers = {"Allow": _allowed(app, request.scope["path"])} if error.status_code == 405 else error.headers
        return HttpProblem(kind_of_status(error.status_code), detail, headers=headers)
    return HttpProblem(ProblemKind.INTERNAL_ERROR, "internal server error; see the server's output")


def _allowed(app: FastAPI, path: str) -> str:
    """Return every method that a path accepts; Starlette's own answer lists only those of its first route."""
    methods: set[str] = set()
    for route in (*app.routes, *sandboxes.router.routes, *queries.router.routes):
        if isinstance(route, Route) and route.path_regex.match(path):
            methods |= route.methods or set()
    return ", ".join(sorted(methods))
