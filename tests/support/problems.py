"""Problems in the answers of both servers, held to RFC 9457 and to the documented types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandboxer.web.problems import TYPES, ProblemKind

if TYPE_CHECKING:
    import httpx


def assert_problem(answer: httpx.Response, expected: ProblemKind | int, field: str | None = None) -> dict[str, Any]:
    """Return the problem in an answer, which must be of this kind or status.

    Its type is always one of the documented ones, and nothing in it is the wording of a validator.
    """
    assert answer.status_code == (expected.status if isinstance(expected, ProblemKind) else expected), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    kind = ProblemKind(problem["type"].removeprefix(TYPES))
    assert (problem["type"], problem["title"], problem["status"]) == (kind.uri, kind.summary, answer.status_code)
    if isinstance(expected, ProblemKind):
        assert kind is expected
    assert problem["detail"]
    for text in (problem["detail"], *(one["detail"] for one in problem.get("errors", ()))):
        assert not any(raw in text for raw in ("should ", "String", "'^", "pattern", "$'")), text
    if field is not None:
        assert problem["field"] == field
        assert problem["detail"].startswith(field)
    return problem
