"""Who gets in, under which name, how often, and what every answer carries."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import httpx
import pytest

from sandboxer.api.rate_limit import parse_rate
from sandboxer.errors import UsageError
from sandboxer.web.problems import ProblemKind
from tests.support.e2e import until
from tests.support.problems import assert_problem
from tests.unit.api.apis import ALL, BOUND, READER, Library, RunningApi

if TYPE_CHECKING:
    from collections.abc import Iterator

GUARDED = [
    ("GET", "/v1/sandboxes"),
    ("POST", "/v1/sandboxes"),
    ("GET", "/v1/sandboxes/web"),
    ("DELETE", "/v1/sandboxes/web"),
    ("GET", "/v1/sandboxes/web/events"),
    ("GET", "/v1/plan"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/nowhere"),
    ("POST", "/healthz"),
]


def bare(api: RunningApi, method: str, path: str, **headers: str) -> httpx.Response:
    """Send a request with no header but these."""
    return httpx.request(method, api.url + path, headers=headers, timeout=30, trust_env=False)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_nothing_is_returned_or_done_without_a_token(refusing_api: RunningApi, method: str, path: str) -> None:
    answer = bare(refusing_api, method, path)
    assert_problem(answer, ProblemKind.UNAUTHORIZED)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Sandboxer"'


@pytest.mark.parametrize("given", [f"Bearer {ALL}x", f"Bearer {ALL[:-1]}", "Bearer", "Bearer \xe4", f"Basic {ALL}"])
def test_another_token_is_none(refusing_api: RunningApi, given: str) -> None:
    headers = {"Authorization": given.encode("latin-1")}
    answer = httpx.get(f"{refusing_api.url}/v1/sandboxes", headers=headers, timeout=30, trust_env=False)
    assert_problem(answer, 401)
    assert ALL not in answer.text


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_token(refusing_api: RunningApi, path: str) -> None:
    until(lambda: bare(refusing_api, "GET", path).status_code == 200, path)


@pytest.mark.parametrize("name", ["evil.example", "127.0.0.1.evil.example", "8.8.8.8", "", "[::2]"])
def test_another_name_is_refused_on_the_loopback(refusing_api: RunningApi, name: str) -> None:
    for path in ("/healthz", "/v1/sandboxes"):
        assert_problem(
            bare(refusing_api, "GET", path, Host=name, Authorization=f"Bearer {ALL}"),
            ProblemKind.UNRECOGNIZED_HOST,
            "Host",
        )


def test_behind_a_proxy_it_goes_by_any_name(library: Library) -> None:
    with RunningApi(library, any_name=True) as api:
        assert bare(api, "GET", "/healthz", Host="sandboxes.example").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/sandboxes"), ("DELETE", "/v1/sandboxes/web"), ("PUT", "/x")]
)
def test_a_token_that_reads_changes_nothing(refusing_api: RunningApi, method: str, path: str) -> None:
    answer = refusing_api.ask(method, path, READER)
    assert_problem(answer, ProblemKind.FORBIDDEN)
    assert 'scope="write"' in answer.headers["WWW-Authenticate"]
    assert refusing_api.ask("GET", "/v1/sandboxes", READER).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/v1/sandboxes", "/nowhere", "/metrics"])
def test_every_answer_has_the_headers_of_a_careful_server(refusing_api: RunningApi, path: str) -> None:
    headers = refusing_api.client.get(path).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in headers
    assert "uvicorn" not in headers.get("Server", "")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/sandboxes/web", "DELETE, GET"),
        ("HEAD", "/v1/sandboxes", "GET, POST"),
        ("PATCH", "/v1/plan", "GET"),
        ("GET", "/v1/sandboxes/web/recreate", "POST"),
    ],
)
def test_a_method_that_is_not_taken(refusing_api: RunningApi, method: str, path: str, allowed: str) -> None:
    answer = refusing_api.ask(method, path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == allowed
    if method != "HEAD":
        assert_problem(answer, ProblemKind.METHOD_NOT_ALLOWED)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/sandboxes/", "/v2/sandboxes", "/v1/sandboxes/web/nothing", "/docs"])
def test_an_address_that_is_none(refusing_api: RunningApi, path: str) -> None:
    assert_problem(refusing_api.client.get(path), ProblemKind.PATH_NOT_FOUND)


# --- limits


def test_a_token_with_too_many_requests_gets_retry_after(library: Library) -> None:
    with RunningApi(library, rate=parse_rate("3/minute")) as api:
        left = [api.client.get("/v1/sandboxes").headers["RateLimit"] for _ in range(3)]
        assert [re.fullmatch(r'"token";r=(\d);t=\d+', one)[1] for one in left] == ["2", "1", "0"]  # type: ignore[index]
        refused = api.client.get("/v1/sandboxes")
        assert_problem(refused, ProblemKind.RATE_LIMITED)
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert refused.headers["RateLimit-Policy"] == '"token";q=3;w=60'
        assert api.ask("GET", "/v1/sandboxes", BOUND).status_code == 200, "another token is not held up"
        assert bare(api, "GET", "/healthz").status_code == 200


@pytest.mark.parametrize("text", ["", "x", "0/minute", "10", "10/fortnight", "-1/second"])
def test_a_rate_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="--rate"):
        parse_rate(text)


@pytest.fixture
def narrow(library: Library) -> Iterator[RunningApi]:
    """One operation at once, one in line; both taken."""
    library.held["resume"] = threading.Event()
    with RunningApi(library, operations=1, queue=1) as api:
        api.create(name="a")
        api.create(name="b")
        yield api
        library.held["resume"].set()


def test_a_full_line_takes_nothing_and_puts_nothing_on_record(narrow: RunningApi, library: Library) -> None:
    answer = narrow.create(name="c")
    assert_problem(answer, ProblemKind.TOO_MANY_OPERATIONS)
    assert 1 <= int(answer.headers["Retry-After"]) <= 60
    assert library.called("create") == 2
    assert_problem(narrow.ask("POST", "/v1/sandboxes/a/recreate"), 429)
    library.held["resume"].set()
    until(lambda: narrow.create(name="c").status_code == 202, "there is room again")


def test_a_request_that_the_library_refuses_frees_its_position_in_the_queue(library: Library) -> None:
    library.raises["create"] = UsageError("no")
    with RunningApi(library, operations=1, queue=0) as api:
        for _ in range(5):
            assert_problem(api.create(), 422)


# --- health and numbers


def test_it_is_ready_after_the_first_observation_and_while_its_manifests_are_valid(library: Library) -> None:
    broken = False

    def check() -> None:
        if broken:
            raise UsageError("/srv/fleet is broken")

    library.held["abandoned"] = threading.Event()
    with RunningApi(library, check=check) as api:
        assert_problem(bare(api, "GET", "/readyz"), ProblemKind.NOT_READY)
        broken = True
        library.held["abandoned"].set()
        until(lambda: "validate" in bare(api, "GET", "/readyz").text, "it has looked")
        assert "/srv" not in bare(api, "GET", "/readyz").text
        broken = False
        assert bare(api, "GET", "/readyz").json() == {"status": "ready"}
        assert bare(api, "GET", "/healthz").json() == {"status": "ok"}


def test_the_numbers(api: RunningApi, library: Library) -> None:
    api.create("?wait=20", name="web")
    api.client.get("/v1/sandboxes/web")
    api.client.get("/v1/sandboxes/other")
    api.client.get("/one/of/many")
    text = api.client.get("/metrics").text
    for line in (
        'sandboxer_api_requests_total{method="POST",route="/v1/sandboxes",status="201"} 1.0',
        'sandboxer_api_requests_total{method="GET",route="/v1/sandboxes/{ref}",status="404"} 1.0',
        'sandboxer_api_requests_total{method="GET",route="none",status="404"} 1.0',
        'sandboxer_api_operations_total{kind="make",outcome="done"} 1.0',
        'sandboxer_api_operations_total{kind="destroy",outcome="failed"} 0.0',
        'sandboxer_api_operation_seconds_count{kind="make"} 1.0',
        "sandboxer_api_operations_running 0.0",
        "sandboxer_api_operations_queued 0.0",
    ):
        assert line in text.splitlines(), line
