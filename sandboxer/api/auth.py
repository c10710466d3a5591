"""Authorization: the check that the gate makes for every request except those for health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.web.gate import bearer, digest, wrong_token
from sandboxer.web.problems import HttpProblem, ProblemKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.datastructures import Headers
    from starlette.types import Scope

    from sandboxer.api.rate_limit import RateLimit
    from sandboxer.api.tokens import Tokens

REALM = "Sandboxer"
READING = frozenset({"GET", "HEAD"})


class TokenAuth:
    """Check of a token: its grant, its request rate, and whether it may change anything."""

    def __init__(self, tokens: Tokens, rate_limit: RateLimit) -> None:
        self._tokens = tokens
        self._rate_limit = rate_limit

    def __call__(self, scope: Scope, headers: Headers) -> Mapping[str, str]:
        """Store the Grant as ``grant`` in the scope; return headers for the response.

        Raise HttpProblem: 401, 403 or 429.
        """
        grant = self._tokens.grant_of(digest(bearer(headers, REALM)))
        if grant is None:
            raise wrong_token("invalid token", REALM)
        scope["grant"] = grant
        more = self._rate_limit.take(grant.name)
        if scope["method"] not in READING and not grant.write:
            challenge = f'Bearer realm="{REALM}", error="insufficient_scope", scope="write"'
            raise HttpProblem(
                ProblemKind.FORBIDDEN, "the token has no scope `write`", headers={"WWW-Authenticate": challenge, **more}
            )
        return more
