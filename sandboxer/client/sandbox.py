"""The library's result: an observed sandbox, and the operations on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from datetime import timedelta

    from sandboxer.client.client import Client
    from sandboxer.client.connect.forward import Forward
    from sandboxer.client.connect.logs import Logs
    from sandboxer.model.event import Event
    from sandboxer.model.handle import Endpoint, Handle
    from sandboxer.model.lifecycle import Phase


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox at the time of a query: its ``handle``, as ``sandboxer get -o json`` writes it.

    Its methods are those of its client, which documents their errors; each returns the state at that time. As a context
    manager it is destroyed at the end.
    """

    client: Client
    handle: Handle

    @property
    def id(self) -> str:
        """Its id."""
        return self.handle.id

    @property
    def name(self) -> str:
        """Its name."""
        return self.handle.name

    @property
    def phase(self) -> Phase | None:
        """Its phase in the lifecycle, such as ``ready``; None without a record."""
        return self.handle.phase

    @property
    def host(self) -> str:
        """The host that it lives on."""
        return self.handle.host

    @property
    def reachability(self) -> Sequence[Endpoint]:
        """Its ports that are for others, each with its address."""
        return self.handle.reachability

    def refresh(self) -> Sandbox:
        """Return it in its present state."""
        return self.client.get(self.id)

    def recreate(self) -> Sandbox:
        """Recreate it, from the same inputs at a fresh commit."""
        return self.client.recreate(self.id)

    def extend_ttl(self, by: timedelta) -> Sandbox:
        """Extend its life."""
        return self.client.extend_ttl(self.id, by)

    def activity(self) -> Sandbox:
        """Mark it as in use."""
        return self.client.activity(self.id)

    def events(self, *, follow: bool = False) -> Generator[Event | None]:
        """Yield its events, as Client.events does."""
        return self.client.events(self.id, follow=follow)

    def logs(self, *services: str, tail: int | None = None, follow: bool = False) -> Logs:
        """Return its containers' output, as Client.logs does."""
        return self.client.logs(self.id, services=services, tail=tail, follow=follow)

    def forward(self, port: str | int, *, local_port: int = 0, service: str | None = None) -> Forward:
        """Return a local port that is forwarded to it until it is closed."""
        return self.client.forward(self.id, port, local_port=local_port, service=service)

    def destroy(self) -> None:
        """Remove it; if it is gone already, that is success."""
        self.client.destroy(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.destroy()
