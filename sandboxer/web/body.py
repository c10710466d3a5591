"""Reading a request body: an accepted type, within the size limit, and in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from sandboxer.web.problems import HttpProblem, ProblemKind

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_BODY = 256 * 1024
BODY_SECONDS = 30.0


async def body_of(request: Request, types: tuple[str, ...]) -> bytes:
    """Return the body of a request that has one of these content types.

    Raise HttpProblem if the type is not accepted, or if the body is too large or too slow.
    """
    given = request.headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() not in types:
        raise HttpProblem(
            ProblemKind.UNSUPPORTED_MEDIA_TYPE, f"the body must be {' or '.join(types)}", field="Content-Type"
        )
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise HttpProblem(
                        ProblemKind.BODY_TOO_LARGE,
                        f"the body is larger than {MAX_BODY // 1024} KiB",
                        headers={"Connection": "close"},
                    )
    except ClientDisconnect:
        raise HttpProblem(ProblemKind.INVALID_REQUEST, "the body was incomplete") from None
    except TimeoutError:
        raise HttpProblem(
            ProblemKind.REQUEST_TIMEOUT,
            f"the body did not arrive within {BODY_SECONDS:.0f} s",
            headers={"Connection": "close"},
        ) from None
    return bytes(body)
