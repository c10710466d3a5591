"""What is refused: each error of the library has its answer, and each request that makes no sense its finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.errors import (
    ComposeRefused,
    HostNotObserved,
    HostUnreachable,
    InputUnavailable,
    KeyReused,
    ManifestError,
    NameTaken,
    ProvisionFailed,
    SandboxLocked,
    SourceError,
    UsageError,
)
from sandboxer.errors.diagnostic import Diagnostic, Location
from sandboxer.model.request import FILE
from sandboxer.web.problems import ProblemKind
from tests.support.problems import assert_problem

if TYPE_CHECKING:
    from tests.unit.api.apis import Library, RunningApi


@pytest.mark.parametrize(
    ("error", "kind", "field"),
    [
        (KeyReused("another body"), ProblemKind.KEY_REUSED, "Idempotency-Key"),
        (NameTaken("there is one"), ProblemKind.NAME_TAKEN, "name"),
        (UsageError("makes no sense"), ProblemKind.VALIDATION_FAILED, None),
        (ProvisionFailed("web", "no host has room"), ProblemKind.OPERATION_FAILED, None),
        (ComposeRefused("web", "privileged"), ProblemKind.COMPOSE_REFUSED, None),
        (InputUnavailable("no such ref"), ProblemKind.INPUT_UNAVAILABLE, None),
        (SourceError("/srv/fleet is no repository"), ProblemKind.FLEET_INVALID, None),
        (HostUnreachable("lab-1", "no route"), ProblemKind.HOST_UNAVAILABLE, None),
        (HostNotObserved("web", "may be on lab-1"), ProblemKind.HOST_UNAVAILABLE, None),
        (SandboxLocked("web", "held by another"), ProblemKind.LOCKED, None),
    ],
)
def test_each_error_has_its_answer(
    api: RunningApi, library: Library, error: Exception, kind: ProblemKind, field: str | None
) -> None:
    library.raises["create"] = error
    answer = api.create(name="web")
    problem = assert_problem(answer, kind, field)
    assert "/srv/fleet" not in problem["detail"]
    assert ("Retry-After" in answer.headers) == (kind.status == 503 or isinstance(error, SandboxLocked))
    assert library.called("resume") == 0


def test_all_errors_of_a_request_are_reported_at_once_in_its_terms(api: RunningApi, library: Library) -> None:
    def finding(code: str, message: str, file: str = FILE) -> Diagnostic:
        return Diagnostic("error", code, message, Location(file))

    found = [
        finding("bad-value", "`spec.ttl` is not a duration: `x`"),
        finding("unknown-reference", "`spec.placement.hosts[0]` refers to the Host `no`, which does not exist"),
        finding("secret-not-allowed", "`spec.secretRefs[0].from` refers to a secret that the Fleet does not allow"),
        finding("bad-name", "`metadata.name` is not a valid name"),
        finding("bad-value", "`spec.x` of the fleet's own", "manifests/web.yaml"),
    ]
    library.raises["create"] = ManifestError(found)
    errors = assert_problem(api.create(), 422)["errors"]
    assert [one["field"] for one in errors] == ["ttl", "hosts[0]", "secret_refs[0].from", "name"]
    assert errors[0] == {"detail": "`ttl` is not a duration: `x`", "field": "ttl", "code": "bad-value"}
    library.raises["create"] = ManifestError(found[-1:])
    assert "validate" in assert_problem(api.create(), 503)["detail"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["profile"]),
        ({"profile": 1}, ["profile"]),
        ({"profile": "Not a name"}, ["profile"]),
        ({"profile": "p", "no": 1}, ["no"]),
        ({"profile": "p", "ttl": "soon", "hosts": "lab-1"}, ["ttl", "hosts"]),
        ({"profile": "p", "consumer": "atm/one"}, ["consumer"]),
        ({"profile": "p", "consumer": {"actor": "me", "project": "x"}}, ["consumer.actor"]),
        ({"profile": "p", "env": {"A": 1}}, ["env.A"]),
        ([], [""]),
    ],
)
def test_a_body_that_does_not_fit_is_refused(refusing_api: RunningApi, body: Any, fields: list[str]) -> None:
    problem = assert_problem(refusing_api.ask("POST", "/v1/sandboxes", json=body), 422)
    assert [one["field"] for one in problem["errors"]] == fields


@pytest.mark.parametrize(
    ("content", "media_type", "kind"),
    [
        (b"{", "application/json", ProblemKind.INVALID_REQUEST),
        (b"", "application/json", ProblemKind.INVALID_REQUEST),
        (b'{"profile": "\xff"}', "application/json", ProblemKind.INVALID_REQUEST),
        (b'{"profile": "p"}', "text/plain", ProblemKind.UNSUPPORTED_MEDIA_TYPE),
        (b'{"profile": "p"}', "", ProblemKind.UNSUPPORTED_MEDIA_TYPE),
        (b'{"profile": "p", "ttl": "' + b"1" * 300_000 + b'"}', "application/json", ProblemKind.BODY_TOO_LARGE),
        (b"[" * 100_000, "application/json", ProblemKind.INVALID_REQUEST),
    ],
)
def test_a_body_that_is_none_is_refused(
    refusing_api: RunningApi, content: bytes, media_type: str, kind: ProblemKind
) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    assert_problem(refusing_api.ask("POST", "/v1/sandboxes", content=content, headers=headers), kind)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/sandboxes?limit=0", "limit"),
        ("/v1/sandboxes?limit=x", "limit"),
        ("/v1/sandboxes?phase=gone", "phase"),
        ("/v1/sandboxes?label=team", "label.0"),
        ("/v1/sandboxes?nothing=1", "nothing"),
        ("/v1/sandboxes?after=!", "after"),
        ("/v1/sandboxes?after=e30", "after"),
        ("/v1/sandboxes/A%20b", "ref"),
        ("/v1/sandboxes/web?wait=1", "wait"),
        ("/v1/plan?x=1", "x"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(refusing_api: RunningApi, path: str, field: str) -> None:
    assert_problem(refusing_api.client.get(path), 400, field)


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", b"caf\xe9"])
def test_a_key_that_is_none_is_refused(refusing_api: RunningApi, key: str | bytes) -> None:
    answer = refusing_api.ask("POST", "/v1/sandboxes", json={"profile": "p"}, headers={"Idempotency-Key": key})
    assert_problem(answer, 400)


@pytest.mark.parametrize("wait", ["-1", "301", "nan", "inf", "x"])
def test_a_wait_has_its_limits(refusing_api: RunningApi, wait: str) -> None:
    assert_problem(refusing_api.create(f"?wait={wait}"), 400, "wait")
