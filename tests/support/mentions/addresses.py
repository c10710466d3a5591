"""Addresses of the API and of State Hub that a text mentions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from fastapi import FastAPI

from sandboxer.api.app import create_app as create_api
from sandboxer.hub.app import router
from sandboxer.hub.pages import page_files
from tests.support.mentions.texts import VALUE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.mentions.texts import Text

_METHODS = "GET|HEAD|POST|PUT|PATCH|DELETE"
_ADDRESS = re.compile(
    rf"(?:\b({_METHODS}) )?(?<![\w.~>-])(/v1(?![\w.])[\w/{{}}.$<>-]*|/(?:metrics|healthz|readyz|openapi\.json)\b)"
)
_WITH_METHOD = re.compile(rf"({_METHODS}) (/[^\s?`]*)")
_PATH = re.compile(r"/[a-z][\w/{}.-]*")
_FOLDERS = {"bin", "dev", "etc", "home", "opt", "proc", "root", "run", "srv", "sys", "tmp", "usr", "var"}
_IN_URL = re.compile(r"\$SANDBOXER_URL(/[^\s?\"'`]*)")
# Of other servers.
OTHERS = {"/v1/traces": "where OTLP over HTTP is sent", "/fleets/FLEET": "the source of an event, a URI reference"}


@dataclass(frozen=True)
class Route:
    """A route of one of the two servers: its methods, and the parts of its path."""

    methods: frozenset[str]
    parts: tuple[str, ...]


def faults(text: Text) -> Iterator[str]:
    """Yield each address that neither the API nor State Hub serves, or not by the method in front of it."""
    found = [(method, path) for method, path in _ADDRESS.findall(text.words)]
    for span in (*text.spans, *text.shell):
        found += _WITH_METHOD.findall(span)
        found += [("", path) for path in _IN_URL.findall(span)]
    found += [("", span) for span in text.spans if _PATH.fullmatch(span) and span.split("/")[1] not in _FOLDERS]
    for method, path in dict.fromkeys(found):
        plain = path.rstrip("/.,")
        if plain not in OTHERS and not any(serves(route, method, plain) for route in routes()):
            yield f"no such address: {method} {path}".replace("  ", " ")


def serves(route: Route, method: str, path: str) -> bool:
    """Return whether a route answers a path, or one below it where the path is a beginning that is not a method's."""
    if method and method not in route.methods:
        return False
    parts = path.strip("/").split("/")
    if not method and len(parts) == 1 and parts[0] == route.parts[0]:
        return True  # `/v1` as the name of the whole
    same = len(parts) == len(route.parts)
    return same and all(_fits(part, own) for part, own in zip(parts, route.parts, strict=True))


def _fits(part: str, own: str) -> bool:
    return own.startswith("{") or part in (own, VALUE, "…")


@cache
def routes() -> tuple[Route, ...]:
    """Return the routes of both servers, those of the files that they serve included."""
    documents = (create_api().openapi(), _hub().openapi())
    found = [(path, methods) for document in documents for path, methods in document["paths"].items()]
    found += [(path, {"get": None}) for path in ("/openapi.json", *(file.path for file in page_files()))]
    return tuple(
        Route(frozenset(map(str.upper, methods)), tuple(path.strip("/").split("/"))) for path, methods in found
    )


def _hub() -> FastAPI:
    app = FastAPI()
    app.include_router(router)
    return app
