"""A server that really listens, in a thread, over a library that gives and raises what a test wants.

What the library itself does is for the lab's tests; here are codes, limits, and who sees what.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sandboxer.api.rate_limit import parse_rate
from sandboxer.api.server import serve
from sandboxer.api.settings import Settings
from sandboxer.api.tokens import Grant, Tokens
from sandboxer.model.event import Event
from sandboxer.model.handle import Handle
from sandboxer.web.gate import digest
from tests.support.handles import handle_json
from tests.support.plain_http import plain_client

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    import httpx

    from sandboxer.client import Abandoned
    from sandboxer.web.server import Server

ALL, READER, BOUND, OTHER = "token-of-all", "token-that-reads", "token-of-one", "token-of-another"
GRANTS = {
    ALL: Grant("all", write=True),
    READER: Grant("reader", write=False),
    BOUND: Grant("one", write=True, consumer=("atm", "one")),
    OTHER: Grant("another", write=True, consumer=("agt", "another")),
}


def sandbox_json(name: str = "web", **more: Any) -> dict[str, Any]:
    """Return the JSON of the handle of a ready sandbox; its ID is made of its name."""
    identifier = hashlib.sha256(name.encode()).hexdigest()[:8]
    return handle_json(**{"id": identifier, "name": name, "requested_by": "all", **more})


def event(number: int, **more: Any) -> Event:
    """Return an event of the sandbox `web`."""
    given: dict[str, Any] = {
        "number": number,
        "type": "dev.sandboxer.sandbox.ready",
        "uid": "a" * 32,
        "at": f"2026-11-24T12:{number:02}:00Z",
        "phase": "ready",
        "reason": "create_because_absent",
        "fleet": "acme",
        "sandbox_id": sandbox_json()["id"],
        "name": "web",
        "profile_id": "profile.web",
        "extension_id": "ext.compose-ssh",
        "host": "lab-1",
        **more,
    }
    return Event.model_validate(given)


@dataclass
class Given:
    """What the library gives of a sandbox."""

    content: dict[str, Any]

    @property
    def handle(self) -> Handle:
        return Handle.model_validate(self.content)


@dataclass
class Library:
    """What ``sandboxer.Client`` would be: sandboxes in a dictionary; a method whose name is in ``raises`` raises that.

    ``held`` are methods that wait until the test sets their event, 30 s at most. ``calls`` is what was called.
    """

    there: dict[str, dict[str, Any]] = field(default_factory=dict)
    raises: dict[str, Exception] = field(default_factory=dict)
    held: dict[str, threading.Event] = field(default_factory=dict)
    journal: list[Event | None] = field(default_factory=list)
    lines: list[Any] = field(default_factory=list)
    left: list[Abandoned] = field(default_factory=list)
    warns: list[str] = field(default_factory=list)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    warn: Callable[[str], None] = print

    def connect(self, warn: Callable[[str], None]) -> Any:
        """Return a client, as a server makes it for each call."""
        self.warn = warn
        return self

    def add(self, name: str = "web", **more: Any) -> dict[str, Any]:
        """Put a sandbox there."""
        made = sandbox_json(name, **more)
        self.there[made["id"]] = made
        return made

    def called(self, method: str) -> int:
        """Return how often a method was called."""
        return sum(call[0] == method for call in self.calls)

    def _call(self, method: str, *given: Any) -> None:
        self.calls.append((method, *given))
        if method in self.held:
            assert self.held[method].wait(30)
        if method in self.raises:
            raise self.raises[method]

    def find(self, name: str, sees: Callable[[Handle], bool] = lambda _handle: True) -> Given | None:
        self._call("find", name)
        found = (one for one in self.there.values() if name in (one["id"], one["name"]))
        return next((one for one in map(Given, found) if sees(one.handle)), None)

    def list(self) -> list[Given]:
        self._call("list")
        for words in self.warns:
            self.warn(words)
        return [Given(one) for one in self.there.values()]

    def create(self, profile: str, **given: Any) -> Given:
        self._call("create", profile, given)
        actor, _, project = (given["consumer"] or "").partition("/")
        consumer = {"actor": actor, "project": project} if actor else None
        name = given["name"] or f"made-{len(self.there)}"
        same = next((one for one in self.there.values() if one["name"] == name), None)
        return Given(same or self.add(name, phase="requested", consumer=consumer, requested_by=given["by"]))

    def resume(self, name: str) -> Given:
        self._call("resume", name)
        self.there[name] = {**self.there[name], "phase": "ready"}
        return Given(self.there[name])

    def recreate(self, name: str) -> Given:
        self._call("recreate", name)
        return Given(self.there[name])

    def destroy(self, name: str) -> bool:
        self._call("destroy", name)
        return self.there.pop(name, None) is not None

    def give_up(self, name: str, why: str) -> None:
        self._call("give_up", name, why)
        self.there[name] = {**self.there[name], "phase": "failed"}

    def extend_ttl(self, name: str, by: Any) -> Given:
        self._call("extend_ttl", name, by)
        return Given(self.there[name])

    def activity(self, name: str) -> Given:
        self._call("activity", name)
        return Given({**self.there[name], "phase": "active"})

    def abandoned(self, busy: Collection[str]) -> list[Abandoned]:
        self._call("abandoned")
        return [one for one in self.left if one.id not in busy]

    def reap(self) -> list[Any]:
        self._call("reap")
        return []

    def plan(self, *, diff: bool = False) -> dict[str, Any]:
        self._call("plan", *(["diff"] if diff else []))
        return {"format_version": "1.0", "fleet": "acme", "complete": True, "hosts": [], "changes": [], "summary": {}}

    def events(self, name: str, *, follow: bool = False) -> Iterator[Event | None]:
        self._call("events", name)
        yield from self.journal
        while follow and "events-end" in self.held and not self.held["events-end"].wait(0.05):
            yield None

    def logs(self, name: str, **given: Any) -> Iterator[Any]:
        self._call("logs", name, given)
        yield from self.lines


class RunningApi:
    """A server on a port of its own, over a Library; ends when the block is left. ``messages`` is its log."""

    def __init__(
        self,
        library: Library,
        *,
        check: Callable[[], None] = lambda: None,
        root: Path = Path("/work/of/nobody"),
        **settings: Any,
    ) -> None:
        self.library, self._root = library, root
        self.messages: list[tuple[str, str]] = []
        self._check = check
        given: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": 0,
            "tokens": Tokens([(digest(token.encode()), grant) for token, grant in GRANTS.items()]),
            "token": None,
            "tls": None,
            "any_name": False,
            "operations": 2,
            "queue": 4,
            "rate": parse_rate("100000/minute"),
            "reap_every": 0.0,
            "grace": 10.0,
        }
        self._settings = Settings(**{**given, **settings})
        self._listening = threading.Event()
        self._servers: list[Server] = []
        self._thread = threading.Thread(target=self._serve)
        self.url = ""

    def _serve(self) -> None:
        def announce(address: str) -> None:
            self.url = address
            self._listening.set()

        serve(
            self._settings,
            self._root,
            announce,
            lambda level, words: self.messages.append((level, words)),
            connect=self.library.connect,
            check=self._check,
            heartbeat=0.2,
            started=self._servers.append,
        )

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(30)
        self.client = self.of(ALL)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.end()
        self._thread.join(30)
        assert not self._thread.is_alive()

    def end(self) -> None:
        """End it as a signal would, and do not wait."""
        self._servers[0].should_exit = True

    def of(self, token: str) -> httpx.Client:
        """Return a client with a token."""
        return plain_client(self.url, token)

    def ask(self, method: str, path: str, token: str = ALL, **more: Any) -> httpx.Response:
        """Send a request with a token."""
        with self.of(token) as client:
            return client.request(method, path, **more)

    def create(self, query: str = "", token: str = ALL, **body: Any) -> httpx.Response:
        """Ask for a sandbox."""
        return self.ask("POST", f"/v1/sandboxes{query}", token, json={"profile": "profile.web", **body})
