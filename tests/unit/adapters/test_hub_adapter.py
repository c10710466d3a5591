"""What counts as acknowledged: the adapter against a hub with every kind of answer, over real connections."""

from __future__ import annotations

import gzip
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.adapters import hub as adapter
from sandboxer.adapters.hub import StateHub
from sandboxer.errors import HubError
from sandboxer.model.event import events_of
from sandboxer.model.fleet_manifests import StateHub as Settings
from sandboxer.model.hub import cloud_event
from sandboxer.model.lifecycle import Phase
from tests.support.hubs import (
    CUTS,
    CUTS_UNREAD,
    HANGS,
    HANGS_UNREAD,
    TOKEN,
    Answer,
    LyingHub,
    drips,
    endless,
    says,
    self_signed,
)
from tests.support.planning import NOW, fleet_of, record_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandboxer.model.hub import CloudEvent

RECORD = record_of(fleet_of({"sandboxes": {"web": {}}}).sandboxes["web"], "lab-1")
LIFE = (Phase.REQUESTED, Phase.PROVISIONING, Phase.READY)
EVENTS = events_of(RECORD, LIFE, former=None, after=0, at=NOW, reason="create_because_absent")
READY = cloud_event(EVENTS[2])
ACCEPTED = {"id": READY.id, "status": "accepted"}
WITHIN = 1.0  # seconds that a request may take in these tests


@pytest.fixture
def state_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., StateHub]]:
    """Makes the adapter for a hub."""
    monkeypatch.setenv("HUB_TOKEN", TOKEN)
    made: list[StateHub] = []

    def make(url: str, **given: Any) -> StateHub:
        made.append(StateHub(Settings.model_validate({"url": url, "token": "env:HUB_TOKEN", **given}), tmp_path))
        return made[-1]

    yield make
    for hub in made:
        hub.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No request takes long."""
    monkeypatch.setattr(adapter, "REQUEST_SECONDS", WITHIN)


def refused(hub: StateHub, event: CloudEvent = READY) -> HubError:
    """Send an event, which must not be accepted; the token must not be in the error."""
    with pytest.raises(HubError) as caught:
        hub.send(event)
    error = caught.value
    text = f"{error!r} {error.message} {error.hint} {error.__cause__!r}"
    assert TOKEN not in text
    assert "\n" not in error.message
    return error


TAKEN: dict[str, Answer] = {
    "201, and the event's id": says(201, ACCEPTED),
    "200 for a repetition": says(200, {"id": READY.id, "status": "duplicate"}),
    "200 with any body": says(200, b"thank you"),
    "200 with JSON that names no id": says(200, {"ok": True}),
    "200 with JSON that is no object": says(200, b"[1]"),
    "200 with half of JSON": says(200, b'{"id": "'),
    "200 with bytes that are no text": says(200, b"\xff\xfe\x00"),
    "201 without a body": says(201),
    "202 without a body": says(202),
    "204": says(204),
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_acknowledges(case: str, state_hub: Callable[..., StateHub]) -> None:
    with LyingHub(TAKEN[case]) as lying:
        state_hub(lying.url).send(READY)
    (request,) = lying.requests
    assert (request.method, request.path) == ("POST", "/events")
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.json == READY.to_json()


OTHER = {"id": "0" * 64}
# The answer; the message about it; when to try again (None: not in this run); whether it is of this event alone.
REFUSED: dict[str, tuple[Answer, str, float | None, bool]] = {
    "200 with a page": (
        says(200, b"<html>sign in</html>", Content_Type="text/html; charset=utf-8"),
        "answered 200 OK with an HTML page",
        None,
        False,
    ),
    "200 without a body": (says(200), "answered 200 OK without a body, which acknowledges nothing", None, False),
    "200 of blanks": (says(200, b" \r\n"), "answered 200 OK without a body", None, False),
    "200 with another id": (says(200, OTHER), "answered 200 OK for a different event", None, False),
    "201 with another id": (says(201, OTHER), "answered 201 Created for a different event", None, False),
    "201 with an id that is no text": (says(201, {"id": 7}), "answered 201 Created for a different", None, False),
    "206": (says(206, ACCEPTED), "answered 206", None, False),
    "301": (says(301, Location="http://127.0.0.1:9/"), "answered 301 Moved Permanently", None, False),
    "307": (says(307, Location="/elsewhere"), "answered 307", None, False),
    "400": (says(400, {"detail": "data.phase: no phase"}), "answered 400 Bad Request: data.phase: no", None, True),
    "400 with a title": (says(400, {"title": "Bad\n\x1b[31mevent"}), "answered 400 Bad Request: Bad", None, True),
    "400 with another body": (says(400, b"<html>"), "answered 400 Bad Request", None, True),
    "401": (says(401), "answered 401 Unauthorized", None, False),
    "403": (says(403), "answered 403 Forbidden", None, False),
    "404": (says(404), "answered 404 Not Found", None, True),
    "405": (says(405), "answered 405", None, True),
    "409": (says(409), "answered 409 Conflict", None, True),
    "410": (says(410), "answered 410 Gone", None, False),
    "413": (says(413), "answered 413", None, True),
    "415": (says(415), "answered 415", None, True),
    "422": (says(422), "answered 422", None, True),
    "501": (says(501), "answered 501", None, True),
    "408": (says(408), "answered 408", 0.0, False),
    "429 and when": (says(429, Retry_After="7"), "answered 429 Too Many Requests", 7.0, False),
    "429 and a date": (says(429, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"), "answered 429", 0.0, False),
    "429 and nonsense": (says(429, Retry_After="-1e9"), "answered 429", 0.0, False),
    "500": (says(500, b"Traceback"), "answered 500 Internal Server Error", 0.0, False),
    "503 and when": (says(503, Retry_After="120"), "answered 503 Service Unavailable", 120.0, False),
    "a status that nobody knows": (says(799), "answered 799", None, False),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not(case: str, state_hub: Callable[..., StateHub]) -> None:
    answer, message, again, alone = REFUSED[case]
    with LyingHub(answer) as lying:
        error = refused(state_hub(lying.url))
        assert len(lying.requests) == 1  # neither followed nor sent again
    assert error.message.startswith(message)
    assert "\x1b" not in error.message
    assert (error.retry_after, error.of_this_alone) == (again, alone)
    assert ("stateHub.token" in error.hint) == (case in ("401", "403"))


def test_the_token_goes_nowhere_else(state_hub: Callable[..., StateHub]) -> None:
    with LyingHub() as elsewhere, LyingHub(says(308, Location=elsewhere.url + "/events")) as lying:
        refused(state_hub(lying.url))
        assert elsewhere.requests == []


HEAD = b"HTTP/1.1 200 OK\r\n"
BROKEN: dict[str, Answer] = {
    "cut before the request is read": CUTS_UNREAD,
    "cut behind the request": CUTS,
    "cut in the status line": Answer(lambda talk: (talk.send(b"HTTP/1.1 20"), talk.cut())[0]),
    "cut in the headers": Answer(lambda talk: (talk.send(b"HTTP/1.1 201 Created\r\nContent-Le"), talk.cut())[0]),
    "cut in the body": Answer(lambda talk: (talk.send(HEAD + b"Content-Length: 9\r\n\r\n{"), talk.cut())[0]),
    "no HTTP at all": Answer(lambda talk: (talk.send(b"SSH-2.0-OpenSSH_9.6\r\n"), talk.cut())[0]),
    "a lie about its length": Answer(lambda talk: talk.send(b"HTTP/1.1 201 Created\r\nContent-Length: no\r\n\r\n")),
    "headers without end": Answer(lambda talk: (talk.send(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000), talk.cut())[0]),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_connection_acknowledges_nothing(case: str, state_hub: Callable[..., StateHub]) -> None:
    with LyingHub(BROKEN[case]) as lying:
        hub = state_hub(lying.url)
        error = refused(hub)
        assert error.message
        assert (error.retry_after, error.of_this_alone) == (0.0, False)
        hub.send(READY)  # and what was broken is nothing for the next
    assert lying.requests[-1].json == READY.to_json()


SLOW: dict[str, Answer] = {
    "it hangs": HANGS,
    "it does not read": HANGS_UNREAD,
    "its body drips": drips(HEAD + b"Content-Length: 100000\r\n\r\n"),
    "its body drips in chunks": drips(HEAD + b"Transfer-Encoding: chunked\r\n\r\n186A0\r\n"),
    "its headers drip": drips(HEAD + b"X-Slow: "),
    "its status drips": drips(b"HTTP/1.1 20"),
}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("case", SLOW)
def test_no_answer_takes_longer_than_it_may(case: str, state_hub: Callable[..., StateHub]) -> None:
    with LyingHub(SLOW[case]) as lying:
        hub = state_hub(lying.url)
        began = time.monotonic()
        error = refused(hub)
        assert time.monotonic() - began < WITHIN + 4
        assert error.message == f"no answer within {WITHIN:g} s"
        assert (error.retry_after, error.of_this_alone) == (0.0, False)
        hub.send(READY)


BOMB = gzip.compress(b" " * 50_000_000)
LARGE: dict[str, tuple[Answer, bool]] = {
    "a body without end": (endless(200), True),
    "a body that unpacks to a thousand times its size": (says(200, BOMB, Content_Encoding="gzip"), True),
    "a page without end that says no": (endless(500), False),
}


@pytest.mark.parametrize("case", LARGE)
def test_no_answer_takes_more_memory_than_it_may(case: str, state_hub: Callable[..., StateHub]) -> None:
    answer, taken = LARGE[case]
    with LyingHub(TAKEN["204"], answer) as lying:
        hub = state_hub(lying.url)
        hub.send(READY)  # what is loaded once is not counted
        tracemalloc.start()
        try:
            hub.send(READY) if taken else refused(hub)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 4 * 1024 * 1024


def test_nobody_listens(state_hub: Callable[..., StateHub]) -> None:
    with LyingHub() as lying:
        url = lying.url
    error = refused(state_hub(url))
    assert "refused" in error.message
    assert error.retry_after == 0.0


def test_a_certificate_that_nobody_vouches_for(
    state_hub: Callable[..., StateHub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = self_signed(tmp_path)
    with LyingHub(certificate=file) as lying:
        error = refused(state_hub(lying.url))
        assert error.message.startswith("the certificate is not trusted: self")
        assert error.hint == "set SSL_CERT_FILE to a file with the issuing authority"
        assert lying.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        monkeypatch.delenv("SSL_CERT_DIR", raising=False)
        state_hub(lying.url).send(READY)
        assert len(lying.requests) == 1
        error = refused(state_hub(lying.url.replace("127.0.0.1", "localhost")))  # trusted, and of another name
        assert error.message.startswith("the certificate is not trusted: Hostname mismatch")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
        assert refused(state_hub(lying.url)).message


@pytest.mark.usefixtures("hasty")
def test_a_hub_of_tls_that_drips(
    state_hub: Callable[..., StateHub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = self_signed(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with LyingHub(SLOW["its headers drip"], certificate=file) as lying:
        hub = state_hub(lying.url)
        assert refused(hub).message == f"no answer within {WITHIN:g} s"
        hub.send(READY)


# --- what the settings say


WORDS = {
    "no such variable": ("env:NOT_SET", "the token is missing: env:NOT_SET is empty"),
    "no such file": ("file:gone", "the token cannot be read from file:gone: "),
    "an empty file": ("file:empty", "the token is missing: file:empty is empty"),
    "a folder": ("file:folder", "the token cannot be read from file:folder: "),
    "a file of bytes": ("file:bytes", "the token cannot be read from file:bytes: "),
    "a file of two lines": ("file:lines", "the token in file:lines must be one word of printable ASCII characters"),
    "another alphabet": ("env:UMLAUT", "the token in env:UMLAUT must be one word of printable ASCII characters"),
}


@pytest.mark.parametrize("case", WORDS)
def test_a_token_that_is_not_there(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, message = WORDS[case]
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"secret\xff")
    (tmp_path / "lines").write_text("secret\nsecret: 2\n")
    monkeypatch.setenv("UMLAUT", "sécret")
    with pytest.raises(HubError) as caught:
        StateHub(Settings.model_validate({"url": "http://127.0.0.1:1", "token": source}), tmp_path)
    assert caught.value.message.startswith(message)
    assert caught.value.hint
    assert "cret" not in f"{caught.value.message}{caught.value.hint}{caught.value.__cause__}"


def test_a_token_in_a_file_beside_the_fleet(state_hub: Callable[..., StateHub], tmp_path: Path) -> None:
    (tmp_path / "hub-token").write_text(f"{TOKEN}\n")
    with LyingHub() as lying:
        state_hub(lying.url, token="file:hub-token").send(READY)
        state_hub(lying.url, token=None).send(READY)
    first, second = lying.requests
    assert first.headers["authorization"] == f"Bearer {TOKEN}"
    assert "authorization" not in second.headers


BAD = ["http://[::1", "http://h:99999", "http://h:0", "http://h:x", "http://:80"]


@pytest.mark.parametrize(
    "value", ["", "ftp://hub", "hub.example", "http://user:pass@hub", "http://a b", "http://", *BAD]
)
def test_a_variable_that_names_no_hub(
    value: str, state_hub: Callable[..., StateHub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_HUB_URL", value)
    with pytest.raises(HubError) as caught:
        state_hub("${STATE_HUB_URL}")
    assert caught.value.hint == "set STATE_HUB_URL to the URL of State Hub"
    assert "pass" not in caught.value.message


@pytest.mark.parametrize("value", BAD)
def test_a_manifest_that_names_no_hub(value: str, state_hub: Callable[..., StateHub]) -> None:
    with pytest.raises(HubError) as caught:
        state_hub(value)
    assert caught.value.message == "stateHub.url is not an http or https URL"


@pytest.mark.parametrize("value", ["http://a..b", f"http://{'a' * 64}.invalid", "http://127.0.0.1:1"])
def test_a_variable_that_names_no_address(
    value: str, state_hub: Callable[..., StateHub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_HUB_URL", value)
    hub = state_hub("${STATE_HUB_URL}")
    assert hub.address == value
    assert refused(hub).message


def test_a_variable_that_names_a_hub(state_hub: Callable[..., StateHub], monkeypatch: pytest.MonkeyPatch) -> None:
    with LyingHub() as lying:
        monkeypatch.setenv("STATE_HUB_URL", lying.url + "/hub/")
        hub = state_hub("${STATE_HUB_URL}")
        hub.send(READY)
        assert hub.address == lying.url + "/hub/"
    assert [request.path for request in lying.requests] == ["/hub/events"]


def test_what_no_older_hub_acknowledges_is_not_sent(state_hub: Callable[..., StateHub]) -> None:
    with LyingHub(says(200), says(200, OTHER)) as lying:
        hub = state_hub(lying.url, format="progress")
        assert refused(hub).message.endswith("acknowledges nothing")
        hub.send(READY)  # an id of its own is not one of ours


def test_many_threads_at_once(state_hub: Callable[..., StateHub]) -> None:
    with LyingHub(*[CUTS, TAKEN["204"]] * 8) as lying:
        hub = state_hub(lying.url)
        failed: list[HubError] = []

        def send() -> None:
            for _ in range(8):
                try:
                    hub.send(READY)
                except HubError as error:
                    failed.append(error)

        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(failed) == 8
    assert len(lying.requests) == 64
