"""Problems: every kind is documented, occurs, and has its own words; nothing has the wording of a validator."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from sandboxer.api.app import create_app
from sandboxer.hub.openapi import KINDS
from sandboxer.model.faults import PATTERNS, fault_of
from sandboxer.web.problems import TYPES, HttpProblem, ProblemKind, kind_of_status
from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.hub.hubs import RunningHub


def documented(page: str) -> dict[str, int]:
    """Return the kinds in a page's table, with the status of each."""
    rows = re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \| .+ \|$", (ROOT / "docs" / page).read_text(), re.MULTILINE)
    return {kind: int(status) for kind, status in rows}


def test_each_page_lists_the_kinds_of_its_server() -> None:
    assert documented("api.md") == {kind.value: kind.status for kind in ProblemKind}
    assert documented("hub.md") == {kind.value: kind.status for kind in KINDS}
    assert f"`{TYPES}" in (ROOT / "docs/api.md").read_text()


@pytest.mark.parametrize("kind", ProblemKind)
def test_each_kind_is_raised_by_a_server_and_provoked_by_a_test(kind: ProblemKind) -> None:
    word = re.compile(rf"ProblemKind\.{kind.name}\b")
    product = [path for path in (ROOT / "sandboxer").rglob("*.py") if path.name not in ("problems.py", "openapi.py")]
    tests = [path for path in (ROOT / "tests/unit").rglob("*.py") if path.name != "test_problems.py"]
    named_otherwise = kind in {kind_of_status(404), kind_of_status(405)}
    assert named_otherwise or any(word.search(path.read_text()) for path in product)
    assert any(word.search(path.read_text()) for path in tests)


def test_no_problem_is_made_without_a_kind() -> None:
    assert json.loads(HttpProblem(ProblemKind.BUSY, "wait", field="x").body()) == {
        "type": "https://sandboxer.dev/problems/busy",
        "title": "The server is busy",
        "status": 503,
        "detail": "x: wait",
        "field": "x",
    }
    assert len({kind.summary for kind in ProblemKind}) == len(ProblemKind)
    assert {kind_of_status(status) for status in (400, 404, 405, 406, 500, 503)} == {
        ProblemKind.INVALID_REQUEST,
        ProblemKind.PATH_NOT_FOUND,
        ProblemKind.METHOD_NOT_ALLOWED,
        ProblemKind.INTERNAL_ERROR,
    }


def _descriptions(document: dict[str, Any]) -> Iterator[str]:
    for operations in document["paths"].values():
        for operation in operations.values():
            for response in operation["responses"].values():
                yield response["description"]


def test_the_descriptions_of_both_apis_list_them(refusing_hub: RunningHub) -> None:
    hub = refusing_hub.client.get("/openapi.json").json()
    for document, kinds in ((create_app().openapi(), set(ProblemKind)), (hub, set(KINDS))):
        text = "\n".join(_descriptions(document))
        listed = set(re.findall(rf"`{TYPES}([a-z-]+)`", text))
        # A path that supports no other method has no description of one.
        assert listed | {"method-not-allowed"} == {kind.value for kind in kinds}
        assert set(document["components"]["schemas"]["Problem"]["properties"]["type"]["examples"]) == {
            kind.uri for kind in ProblemKind
        }


# --- the words for what is wrong


def _patterns(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("pattern"), str):
            yield value["pattern"]
        for inner in value.values():
            yield from _patterns(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _patterns(inner)


def test_each_pattern_of_a_request_has_words(refusing_hub: RunningHub) -> None:
    hub = refusing_hub.client.get("/openapi.json").json()
    assert {*_patterns(create_app().openapi()["paths"]), *_patterns(hub["paths"])} <= PATTERNS.keys()
    bodies = create_app().openapi()["components"]["schemas"]
    found = {pattern for name in ("CreateSandbox", "ExtendTtl", "Inputs") for pattern in _patterns(bodies[name])}
    assert found
    assert found <= PATTERNS.keys()


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    text: str = ""
    count: int = Field(1, ge=1, le=9)
    items: list[int] = []
    word: str = Field("ab", min_length=2, max_length=3)
    name: str = Field("a", pattern="^a$")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"text": 1}, "must be a string"),
        ({"count": "1"}, "must be an integer"),
        ({"count": 0}, "must be at least 1"),
        ({"count": 10}, "must be at most 9"),
        ({"items": "1"}, "must be a list"),
        ({"word": "a"}, "must be at least 2 characters long"),
        ({"word": "abcd"}, "must be at most 3 characters long"),
        ({"name": "b"}, "has the wrong form"),
        ({"other": 1}, "is not a known key"),
        ([], "must be a mapping"),
    ],
)
def test_a_fault_has_plain_words(given: object, words: str) -> None:
    with pytest.raises(ValidationError) as error:
        Model.model_validate(given)
    assert [fault_of(one) for one in error.value.errors()] == [words]


def test_what_has_no_words_of_its_own_begins_as_the_others_do() -> None:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(bytes).validate_python(1)
    assert [fault_of(one) for one in error.value.errors()] == ["must be a valid bytes"]
