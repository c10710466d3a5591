"""Who gets in, under which name, and what every answer carries."""

from __future__ import annotations

import httpx
import pytest

from tests.support.problems import assert_problem
from tests.unit.hub.hubs import CLOUDEVENT, TOKEN, RunningHub

PAGE = ("/", "/app.js", "/style.css", "/icon.svg")
GUARDED = [
    ("GET", "/events"),
    ("POST", "/events"),
    ("GET", "/sandboxes"),
    ("PUT", "/sandboxes/1f2e3d4c"),
    ("DELETE", "/sandboxes/1f2e3d4c"),
    ("GET", "/stream"),
    ("GET", "/metrics"),
    ("GET", "/openapi.json"),
    ("GET", "/nowhere"),
    ("POST", "/healthz"),
]


def ask(hub: RunningHub, method: str, path: str, **headers: str) -> httpx.Response:
    """Send a request with no header but these."""
    return httpx.request(method, hub.url.rstrip("/") + path, headers=headers, timeout=30, trust_env=False)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_nothing_is_returned_without_the_token(refusing_hub: RunningHub, method: str, path: str) -> None:
    answer = ask(refusing_hub, method, path)
    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="State Hub"'


@pytest.mark.parametrize(
    "given", [f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer", "Bearer \xe4", f"Basic {TOKEN}"]
)
def test_another_token_is_none(refusing_hub: RunningHub, given: str) -> None:
    answer = httpx.get(
        f"{refusing_hub.url}events", headers={"Authorization": given.encode("latin-1")}, timeout=30, trust_env=False
    )
    assert_problem(answer, 401)
    assert "Bearer" in answer.headers["WWW-Authenticate"]
    assert TOKEN not in answer.text


def test_the_scheme_is_read_in_any_case(refusing_hub: RunningHub) -> None:
    assert ask(refusing_hub, "GET", "/events", Authorization=f"bearer {TOKEN}").status_code == 200


def test_two_authorizations_are_none(refusing_hub: RunningHub) -> None:
    headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]
    assert_problem(httpx.get(f"{refusing_hub.url}events", headers=headers, timeout=30, trust_env=False), 401)


@pytest.mark.parametrize("path", ["/healthz", *PAGE])
def test_what_holds_nothing_needs_no_token(refusing_hub: RunningHub, path: str) -> None:
    assert ask(refusing_hub, "GET", path).status_code == 200


@pytest.mark.parametrize(
    "name", ["localhost", "LOCALHOST:80", "hub.localhost", "127.0.0.1:1", "127.9.9.9", "[::1]:8600"]
)
def test_every_name_of_the_loopback_is_the_hubs(refusing_hub: RunningHub, name: str) -> None:
    assert ask(refusing_hub, "GET", "/healthz", Host=name).status_code == 200


@pytest.mark.parametrize(
    "name", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "8.8.8.8", "a@localhost", "", "[::2]"]
)
def test_another_name_is_refused_with_and_without_token(refusing_hub: RunningHub, name: str) -> None:
    for path in ("/", "/healthz", "/sandboxes"):
        answer = ask(refusing_hub, "GET", path, Host=name, Authorization=f"Bearer {TOKEN}")
        assert_problem(answer, 421, "Host")


@pytest.mark.parametrize("path", ["/", "/app.js", "/healthz", "/sandboxes", "/nowhere"])
def test_every_answer_has_the_headers_of_a_careful_server(refusing_hub: RunningHub, path: str) -> None:
    headers = refusing_hub.client.get(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Cache-Control"] == ("no-cache" if path in PAGE else "no-store")
    assert "uvicorn" not in headers.get("Server", "")


def test_another_page_may_not_send_here(refusing_hub: RunningHub) -> None:
    """A form of elsewhere can post, but no page of elsewhere has the token, and the browser sends none by itself."""
    assert_problem(
        ask(refusing_hub, "POST", "/events", **{"Content-Type": CLOUDEVENT, "Origin": "https://evil.example"}), 401
    )
    assert ask(refusing_hub, "OPTIONS", "/events", Origin="https://evil.example").status_code == 401
