"""The gate in front of every request: its Host header, its authorization, and the headers of every response."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from sandboxer.web.listen import is_loopback
from sandboxer.web.problems import MEDIA_TYPE, HttpProblem, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sandboxer.model.hidden import Hidden

    #: Admits a request and returns additional headers for its response, or raises HttpProblem.
    Check = Callable[[Scope, Headers], Mapping[str, str]]

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
    """ASGI application in front of another. ``check`` is not called for the ``free`` paths, which hold no secrets.

    ``listen_host`` is the accepted host name beside those of the loopback; None accepts any. ``answered`` is called
    with the scope and the status of every response.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        check: Check,
        listen_host: str | None,
        free: Collection[str],
        answered: Callable[[Scope, int], None],
        called: str = "server",
    ) -> None:
        """Create the gate. ``called`` names the server in the problem for an unrecognized host name."""
        self._app = app
        self._check = check
        self._listen_host = listen_host.lower() if listen_host is not None else None
        self._free = frozenset(free)
        self._answered = answered
        self._called = called

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request, or answer it with a problem."""
        if scope["type"] != "http":
            return

        more: Mapping[str, str] = {}

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in (*HEADERS.items(), ("Cache-Control", "no-store"), *more.items()):
                    headers.setdefault(name, value)
                self._answered(scope, message["status"])
            await send(message)

        headers = Headers(scope=scope)
        try:
            self._check_host(headers, scope)
            if scope["path"] not in self._free or scope["method"] not in ("GET", "HEAD"):
                more = self._check(scope, headers)
        except HttpProblem as refused:
            await problem(refused)(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    def _check_host(self, headers: Headers, scope: Scope) -> None:
        """Raise HttpProblem for an unrecognized Host header.

        A foreign page can point its own name at this machine. That name then stands in ``Host``.
        """
        if self._listen_host is None:
            return
        given = headers.getlist("host")
        match = _AUTHORITY.fullmatch(given[0]) if len(given) == 1 else None
        host = match[1].strip("[]").lower() if match else ""
        if not host or not (is_loopback(host) or host == self._listen_host or _is_address(host, scope)):
            raise HttpProblem(
                ProblemKind.UNRECOGNIZED_HOST, f"unrecognized Host header for this {self._called}", field="Host"
            )


class OneToken:
    """Check for servers with one token, of which only the digest is kept; ``realm`` names the server."""

    def __init__(self, token: Hidden, realm: str, called: str) -> None:
        self._digest = digest(token.reveal().encode())
        self._realm = realm
        self._called = called

    def __call__(self, _scope: Scope, headers: Headers) -> Mapping[str, str]:
        """Raise HttpProblem if the token is missing or wrong."""
        if not hmac.compare_digest(digest(bearer(headers, self._realm)), self._digest):
            raise wrong_token(f"invalid token for this {self._called}", self._realm)
        return {}


def bearer(headers: Headers, realm: str) -> bytes:
    """Return the bearer token of a request. Raise HttpProblem if there is none, or more than one."""
    given = headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() != "bearer":
        challenge = {"WWW-Authenticate": f'Bearer realm="{realm}"'}
        raise HttpProblem(
            ProblemKind.UNAUTHORIZED, "missing token: send Authorization: Bearer TOKEN", headers=challenge
        )
    return token.strip().encode("latin-1")


def wrong_token(detail: str, realm: str) -> HttpProblem:
    """Return the problem for an invalid token."""
    return HttpProblem(
        ProblemKind.UNAUTHORIZED, detail, headers={"WWW-Authenticate": f'Bearer realm="{realm}", error="invalid_token"'}
    )


def digest(token: bytes) -> bytes:
    """Return a token's digest. Its length is always the same, so a comparison reveals nothing."""
    return hashlib.sha256(token).digest()


def problem(refused: HttpProblem) -> Response:
    """Return the response for a problem."""
    return Response(refused.body(), refused.status, refused.headers, MEDIA_TYPE)


def _is_address(host: str, scope: Scope) -> bool:
    """Return whether the host is the very address on which the connection arrived.

    No name can be an address, so no name can pretend to be one.
    """
    try:
        return ipaddress.ip_address(host) == ipaddress.ip_address((scope.get("server") or ("",))[0])
    except ValueError:
        return False
