"""``sandboxer serve`` as a process over a fleet of the lab, and requests to it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any, Self

import httpx

from tests.support.e2e import PROGRAM, until

if TYPE_CHECKING:
    from tests.support.e2e import FleetRepo

LISTEN_SECONDS = 30
END_SECONDS = 60


class ServedApi:
    """A server over a fleet, on one port during the block; it can be stopped, killed and restarted.

    ``words`` are options of ``serve``, ``env`` its environment beside the fleet's. ``output`` is its log.
    """

    def __init__(self, fleet: FleetRepo, *words: str, env: dict[str, str] | None = None) -> None:
        self._fleet, self._words = fleet, words
        self.env = env or {}
        self._process: subprocess.Popen[str] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._log = fleet.repo.path.parent / f"serve-{port}.log"
        self.token = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.end()

    def start(self) -> None:
        """Start the server, and return once it listens."""
        home = self._fleet.repo.path.parent / "home"
        home.mkdir(exist_ok=True)
        words = ["--listen", self.url.removeprefix("http://"), "--rate", "100000/minute", *self._words]
        with self._log.open("a") as log:
            process = self._process = subprocess.Popen(
                [PROGRAM, "-C", str(self._fleet.repo.path), "serve", *words],
                env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"} | self._fleet.env | self.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], LISTEN_SECONDS)[0], self.output
        lines = [process.stdout.readline(), process.stdout.readline()]
        assert lines[0] == f"Sandboxer API on {self.url}\n", (lines, self.output)
        self.token = lines[1].removeprefix("Token of this run: ").strip()

    @property
    def output(self) -> str:
        """Its log, across restarts."""
        return self._log.read_text()

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it; after a signal that can be handled it must exit with 0."""
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(number)
        process.communicate(timeout=END_SECONDS)
        assert process.returncode == (-9 if number is signal.SIGKILL else 0), self.output
        assert "Traceback" not in self.output

    def ask(self, method: str, path: str, *, timeout: float = 120, **more: Any) -> httpx.Response:
        """Return its response to a request."""
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        return httpx.request(method, self.url + path, headers=headers, timeout=timeout, trust_env=False, **more)

    def ask_until(self, method: str, path: str, *, seconds: float = 120, **more: Any) -> httpx.Response:
        """Return its response, repeating the request while a host does not answer, as `Retry-After` says."""
        deadline = time.monotonic() + seconds
        while (answer := self.ask(method, path, **more)).status_code == 503 and time.monotonic() < deadline:
            time.sleep(min(2.0, float(answer.headers["Retry-After"])))
        return answer

    def create(self, query: str = "", *, key: str | None = None, **body: Any) -> httpx.Response:
        """Request a sandbox of the fleet's profile `profile.web`."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.ask("POST", f"/v1/sandboxes{query}", json={"profile": "profile.web", **body}, headers=headers)

    def get(self, path: str) -> Any:
        """Return the JSON of its response."""
        return self.ask("GET", path).raise_for_status().json()

    def there(self) -> dict[str, dict[str, Any]]:
        """Return all sandboxes, by ID."""
        found: dict[str, dict[str, Any]] = {}
        after = ""
        while True:
            page = self.get(f"/v1/sandboxes?limit=1000{after}")
            assert page["complete"], self.output
            found |= {one["id"]: one for one in page["items"]}
            if page["next"] is None:
                return found
            after = f"&after={page['next']}"

    def until_over(self, *ids: str, seconds: float = 240) -> dict[str, dict[str, Any]]:
        """Wait until each of these is ready or failed; return all sandboxes."""
        found: dict[str, dict[str, Any]] = {}

        def over() -> bool:
            found.clear()
            found.update(self.there())
            return all(one in found and found[one]["phase"] in ("ready", "active", "failed") for one in ids)

        until(over, f"all are ready or failed: {self.output}", seconds)
        return found

    def phases_reported(self, identifier: str) -> list[str]:
        """Return the phases of a sandbox, as its events report them."""
        return [one["data"]["phase"] for one in self.get(f"/v1/sandboxes/{identifier}/events?limit=1000")["items"]]
