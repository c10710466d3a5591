"""State Hub over HTTP: what it took, and in one sentence why it took something not.

A hub is believed only where it answers as RFC 9110 and the CloudEvents HTTP binding have it: 200 comes with a body, and
201, 202 and 204 may come without. Redirects are not followed, for the token would go along.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sandboxer.errors import HubError
from sandboxer.model.hidden import Hidden
from sandboxer.model.hub import progress

if TYPE_CHECKING:
    import httpx

    from sandboxer.model.hub import CloudEvent
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.manifest import StateHub as Settings

CONNECT_SECONDS = 5.0
REQUEST_SECONDS = 10.0
MOST_BYTES = 64 * 1024
LONGEST_PAUSE = 5.0
_TAKEN = (200, 201, 202, 204)
_REFUSED = (400, 404, 405, 409, 413, 415, 422, 501)
_AGAIN = (408, 425, 429, 500, 502, 503, 504)


class StateHub:
    """One State Hub, safe to use from several threads. ``settings`` are the fleet's; ``root`` is the fleet's folder.

    Raises HubError where the settings name a variable or a file that is not there.
    """

    def __init__(self, settings: Settings, root: Path) -> None:
        self._format = settings.format
        self._workstream = settings.workstream_id
        self.url = _url(settings.url)
        self._token = _token(settings.token, root) if settings.token else None
        self._client: httpx.Client | None = None
        self._making = threading.Lock()

    @property
    def place(self) -> str:
        """Where it is, for messages: its address without what may be secret in it."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def send(self, event: CloudEvent) -> None:
        """Sends an event; once it returns, the hub has it. Raises HubError."""
        if self._format == "progress":
            self._request("POST", "/progress", progress(event, self._workstream).to_json())
        else:
            self._request("POST", "/events", event.to_json(), kind="application/cloudevents+json", names=event.id)

    def register(self, registration: JsonObject) -> None:
        """Registers the identity of a ready sandbox. Raises HubError."""
        self._request("PUT", f"/sandboxes/{registration['id']}", registration)

    def forget(self, identifier: str, host: str, uid: str) -> None:
        """Removes the registration of one life of a sandbox; absent is success. Raises HubError."""
        self._request("DELETE", f"/sandboxes/{identifier}", None, query={"host": host, "uid": uid}, absent=True)

    def close(self) -> None:
        """Ends its connections; a request that is under way fails."""
        if self._client is not None:
            with suppress(Exception):
                self._client.close()

    def _request(
        self,
        method: str,
        path: str,
        content: JsonObject | None,
        *,
        kind: str = "application/json",
        query: dict[str, str] | None = None,
        names: str = "",
        absent: bool = False,
    ) -> None:
        import httpx

        data = None if content is None else json.dumps(content, ensure_ascii=False).encode()
        headers = {"Content-Type": kind} if data is not None else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token.reveal()}"
        until = time.monotonic() + REQUEST_SECONDS
        try:
            client = self._connected()
            url = self.url.rstrip("/") + path
            with client.stream(method, url, params=query, content=data, headers=headers) as response:
                body = _body(response, until)
        except httpx.HTTPError as error:
            raise HubError(_why(error), hint=_hint(error), retry_after=0.0) from None
        except (httpx.InvalidURL, ValueError, OSError) as error:
            raise HubError(str(error), hint="see stateHub in sandboxer.yaml") from None
        if absent and response.status_code == 404:
            return
        _check(response, body, names)

    def _connected(self) -> httpx.Client:
        import httpx

        with self._making:
            if self._client is None:
                limit = httpx.Timeout(REQUEST_SECONDS, connect=CONNECT_SECONDS)
                agent = {"User-Agent": "sandboxer", "Accept": "application/json"}
                self._client = httpx.Client(timeout=limit, headers=agent, follow_redirects=False)
            return self._client


def _url(text: str) -> str:
    """The URL that a fleet names, its variable put in. Raises HubError."""
    if not text.startswith("$"):
        return text
    name = text[2:-1]
    value = os.environ.get(name, "")
    if not value:
        raise HubError(f"{name} is not set, and stateHub.url names it", hint=f"set {name} to the URL of State Hub")
    if not re.fullmatch(r"https?://[^\s@]+", value):
        raise HubError(f"{name} is no URL of http or https", hint=f"set {name} to the URL of State Hub")
    return value


def _token(source: str, root: Path) -> Hidden:
    """The token's value. Raises HubError where this machine does not have it."""
    kind, _, where = source.partition(":")
    try:
        value = os.environ.get(where, "") if kind == "env" else (root / Path(where).expanduser()).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HubError(f"its token cannot be read from {source}: {error}", hint="see stateHub.token") from None
    if not value:
        raise HubError(f"its token is not here: {source} is empty", hint=f"set it where `{source}` says")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise HubError(f"its token in {source} is not one word of plain characters", hint="see stateHub.token")
    return Hidden(value)


def _body(response: httpx.Response, until: float) -> bytes:
    """The answer's body, of which no more is taken than is of use. Raises httpx.ReadTimeout past ``until``."""
    import httpx

    body = b""
    for part in response.iter_bytes(4096):
        body += part
        if len(body) > MOST_BYTES:
            break
        if time.monotonic() > until:
            raise httpx.ReadTimeout("the answer does not end", request=response.request)
    return body


def _check(response: httpx.Response, body: bytes, names: str) -> None:
    """Raises HubError where the answer is none that acknowledges. ``names`` is the id of what was sent."""
    status = response.status_code
    said = f"it answered {status} {response.reason_phrase}".rstrip()
    if status not in _TAKEN:
        hint = "see stateHub.token" if status in (401, 403) else ""
        pause = _pause(response.headers.get("Retry-After")) if status in _AGAIN else None
        raise HubError(said + _detail(body), hint=hint, retry_after=pause, of_this_alone=status in _REFUSED)
    if status == 200 and not body.strip():
        raise HubError(f"{said} without a word, which acknowledges nothing", hint="is a State Hub at that address?")
    with suppress(ValueError):
        answer = json.loads(body) if names and body else None
        if isinstance(answer, dict) and answer.get("id", names) != names:
            raise HubError(f"{said} for another event than it was sent")


def _detail(body: bytes) -> str:
    """What a problem document says (RFC 9457), as the end of a sentence."""
    from sandboxer.model.text import printable

    with suppress(ValueError):
        answer = json.loads(body)
        if isinstance(answer, dict) and isinstance(detail := answer.get("detail") or answer.get("title"), str):
            return f": {printable(detail, 200)}"
    return ""


def _pause(header: str | None) -> float:
    """The seconds of a ``Retry-After``; a date, or none, is no more than a moment."""
    return float(header) if header and header.isascii() and header.isdecimal() and len(header) < 7 else 0.0


def _why(error: httpx.HTTPError) -> str:
    import httpx

    words = " ".join(str(error).split())
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {REQUEST_SECONDS:g} s"
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return f"its certificate is not trusted: {words.partition('certificate verify failed: ')[2] or words}"
    return words or type(error).__name__


def _hint(error: httpx.HTTPError) -> str:
    return "SSL_CERT_FILE names a file of other authorities" if "CERTIFICATE_VERIFY_FAILED" in str(error) else ""
