"""What the library gives: a sandbox as it was seen, and what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from datetime import timedelta

    from sandboxer.client.client import Client
    from sandboxer.client.connect.forward import Forward
    from sandboxer.client.connect.logs import Logs
    from sandboxer.model.event import Event
    from sandboxer.model.jsontypes import JsonObject


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox as it was when it was asked for: its ``handle``, as ``sandboxer get -o json`` writes it.

    Its methods are those of its client, which see for what they raise; each gives what is there by then. As a context
    manager it is destroyed at the end.
    """

    client: Client
    handle: JsonObject

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.handle["id"])

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.handle["name"])

    @property
    def phase(self) -> str:
        """Where it is in its life: ``ready``, ``failed``."""
        return str(self.handle["phase"])

    @property
    def host(self) -> str:
        """The host that it lives on."""
        return str(self.handle["host"])

    @property
    def reachability(self) -> Sequence[JsonObject]:
        """The ways in, each with ``name``, ``service``, ``port``, ``address``, ``host_port``, ``url`` and ``via``."""
        ways: Any = self.handle["reachability"]
        return list(ways)

    def refresh(self) -> Sandbox:
        """The same as it is now."""
        return self.client.get(self.id)

    def recreate(self) -> Sandbox:
        """Make it anew, from the same inputs at a fresh commit."""
        return self.client.recreate(self.id)

    def extend_ttl(self, by: timedelta) -> Sandbox:
        """Let it live longer."""
        return self.client.extend_ttl(self.id, by)

    def activity(self) -> Sandbox:
        """Mark it as in use."""
        return self.client.activity(self.id)

    def events(self, *, follow: bool = False) -> Generator[Event | None]:
        """Yield its life, as Client.events tells it."""
        return self.client.events(self.id, follow=follow)

    def logs(self, *services: str, tail: int | None = None, follow: bool = False) -> Logs:
        """Return what its containers print, as Client.logs tells it."""
        return self.client.logs(self.id, services=services, tail=tail, follow=follow)

    def forward(self, port: str | int, *, local_port: int = 0, service: str | None = None) -> Forward:
        """Return a port of this machine that leads into it, until that is closed."""
        return self.client.forward(self.id, port, local_port=local_port, service=service)

    def destroy(self) -> None:
        """Remove it; what is gone already is success."""
        self.client.destroy(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.destroy()
