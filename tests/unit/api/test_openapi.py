"""The committed description is the server's own, and whole."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.api import schema
from sandboxer.api.app import create_app
from tests.support.fleet import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.api.apis import RunningApi

DOCUMENT: dict[str, Any] = create_app().openapi()
OPERATIONS = [
    (path, method, operation) for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
]


def test_what_is_committed_is_what_the_server_returns(refusing_api: RunningApi) -> None:
    assert (ROOT / "schemas" / schema.NAME).read_text(encoding="utf-8") == schema.text()
    assert refusing_api.client.get("/openapi.json").json() == json.loads(schema.text())


def test_a_file_that_drifted_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert schema.main(["--check", str(tmp_path)]) == 1
    assert "make schemas" in capsys.readouterr().err
    assert schema.main([str(tmp_path)]) == 0
    assert schema.main(["--check", str(tmp_path)]) == 0


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for inner in part.values():
            yield from _references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from _references(inner)


def test_every_reference_leads_somewhere() -> None:
    for reference in _references(DOCUMENT):
        part = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_address_documents_what_it_does_and_its_failures(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    assert operation["summary"]
    assert operation["description"]
    responses = operation["responses"]
    health = path in ("/healthz", "/readyz")
    assert {"421"} if health else {"400", "401", "403", "421", "429", "500", "503"} <= responses.keys()
    assert operation.get("security") == ([] if health else None)
    for status, response in responses.items():
        if int(status) >= 400:
            assert list(response["content"]) == ["application/problem+json"], (path, method, status)
    if operation.get("requestBody"):
        assert {"413", "415", "422"} <= responses.keys()
