"""What every request passes first: for whom it is, whether it may, and the headers of every answer."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from sandboxer.hub.problems import MEDIA_TYPE, Refused
from sandboxer.hub.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sandboxer.model.hidden import Hidden

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@\s]+)(:\d{1,5})?")


class Gate:
    """An application in front of another. ``free`` are the paths that need no token, because nothing is in them.

    ``answered`` is called with method, path and status of every answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: Hidden,
        listen_host: str,
        free: Collection[str],
        answered: Callable[[str, str, int], None],
    ) -> None:
        """Keeps of the token only its digest."""
        self._app = app
        self._digest = _digest(token.reveal().encode())
        self._listen_host = listen_host.lower()
        self._free = frozenset(free)
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets a request through, or answers it with a problem."""
        if scope["type"] != "http":
            return
        method, path = scope["method"], scope["path"]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                self._answered(method, path, message["status"])
            await send(message)

        headers = Headers(scope=scope)
        try:
            self._check_host(headers, scope)
            if path not in self._free or method not in ("GET", "HEAD"):
                self._check_token(headers)
        except Refused as refused:
            await problem(refused)(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    def _check_host(self, headers: Headers, scope: Scope) -> None:
        """A page of elsewhere can have its own name point at this machine. Then that name stands in ``Host``."""
        given = headers.getlist("host")
        match = _AUTHORITY.fullmatch(given[0]) if len(given) == 1 else None
        host = match[1].strip("[]").lower() if match else ""
        if not host or not (is_loopback(host) or host == self._listen_host or _is_address(host, scope)):
            raise Refused(421, "this hub does not go by that name", field="Host")

    def _check_token(self, headers: Headers) -> None:
        given = headers.getlist("authorization")
        scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        if scheme.lower() != "bearer":
            challenge = 'Bearer realm="State Hub"'
            raise Refused(
                401, "a token is needed: Authorization: Bearer TOKEN", headers={"WWW-Authenticate": challenge}
            )
        if not hmac.compare_digest(_digest(token.strip().encode("latin-1")), self._digest):
            challenge = 'Bearer realm="State Hub", error="invalid_token"'
            raise Refused(401, "the token is not that of this hub", headers={"WWW-Authenticate": challenge})


def problem(refused: Refused) -> Response:
    """The answer to a request that is refused."""
    return Response(refused.body(), refused.status, refused.headers, MEDIA_TYPE)


def _digest(token: bytes) -> bytes:
    """Of equal length whatever was sent, so that a comparison tells nothing."""
    return hashlib.sha256(token).digest()


def _is_address(host: str, scope: Scope) -> bool:
    """Whether it is the very address that the connection came in at. No name can be, so none can pretend to be."""
    try:
        return ipaddress.ip_address(host) == ipaddress.ip_address((scope.get("server") or ("",))[0])
    except ValueError:
        return False
