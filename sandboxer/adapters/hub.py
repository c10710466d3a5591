"""The HTTP client of State Hub; it reports in one sentence why the hub did not acknowledge something.

An answer counts only if it is as RFC 9110 and the CloudEvents HTTP binding define it: 200 comes with a body, and 201,
202 and 204 may come without. Redirects are not followed, because the token would be sent to another server.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sandboxer.errors import HubError
from sandboxer.model.hidden import Hidden
from sandboxer.model.hub import progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx

    from sandboxer.model.hub import CloudEvent, Registration
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
    """A client of one State Hub, safe to use from several threads.

    ``settings`` are the fleet's; ``root`` is the fleet's directory. Raise HubError if the settings name a variable or a
    file that does not exist.
    """

    def __init__(self, settings: Settings, root: Path) -> None:
        self._format = settings.format
        self._workstream = settings.workstream_id
        self.url = _url(settings.url)
        self._token = _token(settings.token, root) if settings.token else None
        self._mine = threading.local()
        self._ways: list[_Way] = []
        self._closed = False
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        """The hub's address for messages, without the parts that may be secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def send(self, event: CloudEvent) -> None:
        """Send an event; once it returns, the hub has acknowledged it. Raise HubError otherwise."""
        if self._format == "progress":
            self._request("POST", "/progress", progress(event, self._workstream).to_json())
        else:
            self._request("POST", "/events", event.to_json(), kind="application/cloudevents+json", names=event.id)

    def register(self, registration: Registration) -> None:
        """Register the identity of a ready sandbox. Raise HubError if the hub does not acknowledge it."""
        self._request("PUT", f"/sandboxes/{registration.id}", registration.to_json())

    def forget(self, identifier: str, host: str, uid: str) -> None:
        """Remove the registration of one life of a sandbox; absent is success. Raise HubError otherwise."""
        self._request("DELETE", f"/sandboxes/{identifier}", None, query={"host": host, "uid": uid}, absent=True)

    def close(self) -> None:
        """Close its connections; a request in progress fails, and so does a later one."""
        with self._lock:
            self._closed = True
        for way in self._ways:
            way.close()

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
        deadline = time.monotonic() + REQUEST_SECONDS
        try:
            with self._way().ending_at(deadline) as way:
                url, more = self.url.rstrip("/") + path, way.extensions
                with way.client.stream(
                    method, url, params=query, content=data, headers=headers, extensions=more
                ) as response:
                    body = _body(response)
        except httpx.HTTPError as error:
            why = _too_late() if time.monotonic() >= deadline else _why(error)
            raise HubError(why, hint=_hint(error), retry_after=0.0) from None
        except (httpx.InvalidURL, ValueError, OSError) as error:
            raise HubError(str(error), hint="check spec.stateHub in sandboxer.yaml") from None
        if absent and response.status_code == 404:
            return
        _check(response, body, names)

    def _way(self) -> _Way:
        """Return this thread's connection. Raise HubError after ``close``."""
        way: _Way | None = getattr(self._mine, "way", None)
        if way is None:
            with self._lock:
                if self._closed:
                    raise HubError("the connection is closed")
                way = self._mine.way = _Way()
                self._ways.append(way)
        return way


class _Way:
    """One thread's connection to the hub, which another thread can close.

    Each read has its own time limit; a hub that sends a byte now and then would never exceed one.
    """

    def __init__(self) -> None:
        import httpx

        limit = httpx.Timeout(REQUEST_SECONDS, connect=min(CONNECT_SECONDS, REQUEST_SECONDS))
        # Compressed, a few bytes could expand to very many.
        headers = {"User-Agent": "sandboxer", "Accept": "application/json", "Accept-Encoding": "identity"}
        self.client = httpx.Client(timeout=limit, headers=headers, follow_redirects=False)
        self.extensions = {"trace": self._connected}
        self._socket: socket.socket | None = None

    def _connected(self, what: str, info: Mapping[str, Any]) -> None:
        if what.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")

    @contextmanager
    def ending_at(self, moment: float) -> Iterator[_Way]:
        """Yield the connection for one request, and close it at that moment."""
        timer = threading.Timer(moment - time.monotonic(), self._end)
        timer.daemon = True
        timer.start()
        try:
            yield self
        finally:
            timer.cancel()

    def close(self) -> None:
        """Close the connection; a request in progress fails at once."""
        self._end()
        with suppress(Exception):
            self.client.close()

    def _end(self) -> None:
        if self._socket is not None:
            with suppress(OSError):
                # Not the shutdown of a TLS socket: that one would remove what another thread reads with.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _url(text: str) -> str:
    """Return the URL that a fleet names, with its variable resolved. Raise HubError if it cannot be."""
    name = text[2:-1] if text.startswith("$") else ""
    value = os.environ.get(name, "") if name else text
    if not value:
        raise HubError(
            f"{name} is not set, but spec.stateHub.url refers to it", hint=f"set {name} to the URL of State Hub"
        )
    if not _names_a_hub(value):
        where = name or "stateHub.url"
        raise HubError(f"{where} is not an http or https URL", hint=f"set {where} to the URL of State Hub")
    return value


def _names_a_hub(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(re.fullmatch(r"https?://[^\s@]+", url) and parts.hostname and parts.port != 0)
    except ValueError:
        return False


def _token(source: str, root: Path) -> Hidden:
    """Return the token's value. Raise HubError if this machine does not have it."""
    kind, _, where = source.partition(":")
    try:
        value = os.environ.get(where, "") if kind == "env" else (root / Path(where).expanduser()).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HubError(f"the token cannot be read from {source}: {error}", hint="check spec.stateHub.token") from None
    if not value:
        raise HubError(f"the token is missing: {source} is empty", hint=f"set the token in `{source}`")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise HubError(
            f"the token in {source} must be one word of printable ASCII characters", hint="check spec.stateHub.token"
        )
    return Hidden(value)


def _body(response: httpx.Response) -> bytes:
    """Return the raw body of the response, limited to what is of use."""
    body = b""
    for part in response.iter_raw():
        body += part
        if len(body) > MOST_BYTES:
            break
    return body


def _check(response: httpx.Response, body: bytes, names: str) -> None:
    """Raise HubError unless the response acknowledges the request; ``names`` is the ID of what was sent."""
    status = response.status_code
    message = f"answered {status} {response.reason_phrase}".rstrip()
    if status not in _TAKEN:
        hint = "check spec.stateHub.token" if status in (401, 403) else ""
        pause = _pause(response.headers.get("Retry-After")) if status in _AGAIN else None
        raise HubError(message + _detail(body), hint=hint, retry_after=pause, of_this_alone=status in _REFUSED)
    if status == 200 and "html" in response.headers.get("Content-Type", "").lower():
        raise HubError(f"{message} with an HTML page", hint="check that a State Hub listens at this address")
    if status == 200 and not body.strip():
        raise HubError(
            f"{message} without a body, which acknowledges nothing",
            hint="check that a State Hub listens at this address",
        )
    with suppress(ValueError):
        answer = json.loads(body) if names and body else None
        if isinstance(answer, dict) and answer.get("id", names) != names:
            raise HubError(f"{message} for a different event")


def _detail(body: bytes) -> str:
    """Return the detail of a problem document (RFC 9457), as the end of a sentence."""
    from sandboxer.model.text import printable

    with suppress(ValueError):
        answer = json.loads(body)
        if isinstance(answer, dict) and isinstance(detail := answer.get("detail") or answer.get("title"), str):
            return f": {printable(detail, 200)}"
    return ""


def _pause(header: str | None) -> float:
    """Return the seconds of a ``Retry-After``; a date, or no header, counts as a moment."""
    return float(header) if header and header.isascii() and header.isdecimal() and len(header) < 7 else 0.0


def _why(error: httpx.HTTPError) -> str:
    import httpx

    words = " ".join(str(error).split())
    if isinstance(error, httpx.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:g} s"
    if isinstance(error, httpx.TimeoutException):
        return _too_late()
    if "CERTIFICATE_VERIFY_FAILED" in words:
        return f"the certificate is not trusted: {words.partition('certificate verify failed: ')[2] or words}"
    return words or type(error).__name__


def _too_late() -> str:
    return f"no answer within {REQUEST_SECONDS:g} s"


def _hint(error: httpx.HTTPError) -> str:
    return "set SSL_CERT_FILE to a file with the issuing authority" if "CERTIFICATE_VERIFY_FAILED" in str(error) else ""
