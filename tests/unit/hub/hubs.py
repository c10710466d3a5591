"""A hub that really listens, in a thread, and the events that it is sent."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import TYPE_CHECKING, Any, Self

from sandboxer.hub.server import serve
from sandboxer.hub.settings import Settings
from sandboxer.model.hidden import Hidden
from sandboxer.web.limits import Limits
from tests.support.handles import READY, UID, registration_json
from tests.support.plain_http import plain_client

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

    from sandboxer.web.server import Server

TOKEN = "a-token-of-the-tests"
SANDBOX = READY["id"]
CLOUDEVENT = "application/cloudevents+json"


class RunningHub:
    """A hub on a port of its own; ends when the block is left."""

    def __init__(self, database: Path, *, heartbeat: float = 15.0, limits: Limits | None = None) -> None:
        self.settings = Settings(
            "127.0.0.1", 0, Hidden(TOKEN), shown=False, database=database, limits=limits or Limits()
        )
        self._heartbeat = heartbeat
        self._listening = threading.Event()
        self._servers: list[Server] = []
        self._thread = threading.Thread(target=self._serve)
        self.url = ""

    def _serve(self) -> None:
        def announce(address: str) -> None:
            self.url = address
            self._listening.set()

        serve(self.settings, announce, heartbeat=self._heartbeat, started=self._servers.append)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(30)
        self.client = plain_client(self.url, TOKEN)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.stop()

    def stop(self) -> None:
        """End it as a signal would."""
        self._servers[0].should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()

    def post(self, event: dict[str, Any]) -> httpx.Response:
        """Send one event."""
        return self.client.post("/events", content=json.dumps(event), headers={"Content-Type": CLOUDEVENT})

    def take(self, *events: dict[str, Any]) -> None:
        """Send events, each of which must be new."""
        for event in events:
            answer = self.post(event)
            assert answer.status_code == 201, answer.text

    def put(self, registration: dict[str, Any]) -> httpx.Response:
        """Register a sandbox."""
        return self.client.put(f"/sandboxes/{registration['id']}", json=registration)

    def events(self, **query: str | int) -> list[dict[str, Any]]:
        """Return the events that fit, of the first page."""
        return self.client.get("/events", params=query).raise_for_status().json()["events"]

    def sandboxes(self, **query: str | int) -> list[dict[str, Any]]:
        """Return the sandboxes that fit."""
        return self.client.get("/sandboxes", params=query).raise_for_status().json()["sandboxes"]


def event(number: int, kind: str = "sandbox.ready", *, minute: int | None = None, **data: Any) -> dict[str, Any]:
    """Return an event of a sandbox; ``kind`` is its type without the beginning, ``minute`` that of its time."""
    at = f"2026-11-24T12:{number if minute is None else minute:02}:00Z"
    phase = kind.removeprefix("sandbox.") if kind.startswith("sandbox.") else "ready"
    content: dict[str, Any] = {
        "number": number,
        "uid": UID,
        "fleet": "acme",
        "sandbox_id": SANDBOX,
        "name": "web",
        "profile_id": "profile.web",
        "extension_id": "ext.compose-ssh",
        "host": "lab-1",
        "consumer": "checkout",
        "actor_type": "agt",
        "commit": "c0ffee00" * 5,
        "phase": phase,
        "from_phase": None,
        "at": at,
        "reason": f"reason_{number}",
        **data,
    }
    return {
        "specversion": "1.0",
        "id": hashlib.sha256(f"{content['uid']}/{number}".encode()).hexdigest(),
        "source": f"/fleets/{content['fleet']}/hosts/{content['host']}",
        "subject": content["sandbox_id"],
        "type": f"dev.sandboxer.{kind}",
        "time": at,
        "datacontenttype": "application/json",
        "data": content,
    }


def run_event(kind: str = "finished", **data: Any) -> dict[str, Any]:
    """Return an event of a run."""
    content = {"run_id": "run-1", "fleet": "acme", "command": "apply", "commit": None, "at": "2026-11-24T12:00:00Z"}
    if kind == "finished":
        content |= {"seconds": 3.5, "exit_code": 0, "summary": {"create": 1}}
    content |= data
    return {
        "specversion": "1.0",
        "id": hashlib.sha256(f"{content['run_id']}/{kind}".encode()).hexdigest(),
        "source": f"/fleets/{content['fleet']}",
        "subject": content["run_id"],
        "type": f"dev.sandboxer.run.{kind}",
        "time": content["at"],
        "datacontenttype": "application/json",
        "data": content,
    }


def registration(**more: Any) -> dict[str, Any]:
    """Return the registration of the events' sandbox."""
    port = {"name": "http", "service": "web", "port": 80, "url": "http://172.20.0.2:80", "via": "tunnel"}
    consumer = {"actor": "agt", "project": "checkout"}
    given = {"consumer": consumer, "reachability": [port], "origin": "git", "requested_by": None, **more}
    return registration_json(**given)
