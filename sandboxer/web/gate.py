"""What every request passes first: for whom it is, whether it may, and the headers of every answer."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

from sandboxer.web.listen import is_loopback
from sandboxer.web.problems import MEDIA_TYPE, HttpProblem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from sandboxer.model.hidden import Hidden

    #: Lets a request in, and gives what headers its answer has beside the others; or raises Refused.
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
    """An application in front of another. ``free`` are the paths that ``check`` is not asked for: nothing is in them.

    ``listen_host`` is the name that it goes by beside those of the loopback; with None it goes by any. ``answered`` is
    called with the scope and the status of every answer.
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
        """``called`` is what the refusal of another name calls it."""
        self._app = app
        self._check = check
        self._listen_host = listen_host.lower() if listen_host is not None else None
        self._free = frozenset(free)
        self._answered = answered
        self._called = called

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answers it with a problem."""
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
        """A page of elsewhere can have its own name point at this machine. Then that name stands in ``Host``."""
        if self._listen_host is None:
            return
        given = headers.getlist("host")
        match = _AUTHORITY.fullmatch(given[0]) if len(given) == 1 else None
        host = match[1].strip("[]").lower() if match else ""
        if not host or not (is_loopback(host) or host == self._listen_host or _is_address(host, scope)):
            raise HttpProblem(421, f"this {self._called} does not go by that name", field="Host")


class OneToken:
    """A check for servers with one token, of which it keeps only the digest; ``realm`` is whose."""

    def __init__(self, token: Hidden, realm: str, called: str) -> None:
        self._digest = digest(token.reveal().encode())
        self._realm = realm
        self._called = called

    def __call__(self, _scope: Scope, headers: Headers) -> Mapping[str, str]:
        """Raise Refused where the token is not there or is another one."""
        if not hmac.compare_digest(digest(bearer(headers, self._realm)), self._digest):
            raise wrong_token(f"the token is not that of this {self._called}", self._realm)
        return {}


def bearer(headers: Headers, realm: str) -> bytes:
    """Return the token that came with a request. Raises Refused where there is none, or where there are two."""
    given = headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if scheme.lower() != "bearer":
        challenge = {"WWW-Authenticate": f'Bearer realm="{realm}"'}
        raise HttpProblem(401, "a token is needed: Authorization: Bearer TOKEN", headers=challenge)
    return token.strip().encode("latin-1")


def wrong_token(detail: str, realm: str) -> HttpProblem:
    """Return the refusal of a token that is none of this server's."""
    return HttpProblem(401, detail, headers={"WWW-Authenticate": f'Bearer realm="{realm}", error="invalid_token"'})


def digest(token: bytes) -> bytes:
    """Of equal length whatever was sent, so that a comparison tells nothing."""
    return hashlib.sha256(token).digest()


def problem(refused: HttpProblem) -> Response:
    """Return the answer to a request that is refused."""
    return Response(refused.body(), refused.status, refused.headers, MEDIA_TYPE)


def _is_address(host: str, scope: Scope) -> bool:
    """Return whether it is the very address that the connection came in at.

    No name can be, so none can pretend to be.
    """
    try:
        return ipaddress.ip_address(host) == ipaddress.ip_address((scope.get("server") or ("",))[0])
    except ValueError:
        return False
