"""The library's result: an observed sandbox, and the operations on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from datetime import timedelta

    from sandboxer.client.connect.forward import Forward
    from sandboxer.client.connect.logs import Logs
    from sandboxer.model.event import Event
    from sandboxer.model.handle import Endpoint, Handle
    from sandboxer.model.lifecycle import Phase


class SandboxClient(Protocol):
    """What a sandbox needs of its client; ``Client`` documents each."""

    def get(self, name: str) -> Sandbox: ...
    def recreate(self, name: str) -> Sandbox: ...
    def extend_ttl(self, name: str, by: timedelta) -> Sandbox: ...
    def activity(self, name: str) -> Sandbox: ...
    def destroy(self, name: str) -> bool: ...
    def events(self, name: str, *, follow: bool = False) -> Generator[Event | None]: ...
    def logs(
        self, name: str, *, services: Sequence[str] = (), tail: int | None = None, follow: bool = False
    ) -> Logs: ...
    def forward(self, name: str, port: str | int, *, local_port: int = 0, service: str | None = None) -> Forward: ...


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox at the time of a query, and the operations on it.

    Each method is the client's method for this sandbox, and raises the same errors. Used as a context manager, the
    sandbox is destroyed at the end of the block, also after an error.

    Args:
        client: The client that carries out the operations.
        handle: Its description at that time.

    Example::

        from sandboxer import Client

        with Client("fleet").create("profile.web", ttl="30m") as sandbox:
            with sandbox.forward("http") as forward:
                print(sandbox.name, forward.url)
    """

    client: SandboxClient
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
        """Its reachable ports, each with its address."""
        return self.handle.reachability

    def refresh(self) -> Sandbox:
        """Return it in its current state."""
        return self.client.get(self.id)

    def recreate(self) -> Sandbox:
        """Recreate it, from the latest commit of its inputs."""
        return self.client.recreate(self.id)

    def extend_ttl(self, by: timedelta) -> Sandbox:
        """Extend its life, and return its new state.

        Args:
            by: The duration to add to the expiry.
        """
        return self.client.extend_ttl(self.id, by)

    def activity(self) -> Sandbox:
        """Mark it as in use, and return its new state."""
        return self.client.activity(self.id)

    def events(self, *, follow: bool = False) -> Generator[Event | None]:
        """Yield its events.

        Args:
            follow: Continue until its life ends; None then means that nothing is new.
        """
        return self.client.events(self.id, follow=follow)

    def logs(self, *services: str, tail: int | None = None, follow: bool = False) -> Logs:
        """Return its containers' output.

        Args:
            services: The services to include; by default all.
            tail: The number of last lines of each container; None for all.
            follow: Continue until no container runs any more.
        """
        return self.client.logs(self.id, services=services, tail=tail, follow=follow)

    def forward(self, port: str | int, *, local_port: int = 0, service: str | None = None) -> Forward:
        """Return a local port that is forwarded to it until it is closed.

        Args:
            port: A port name of the profile's reachability, or a container port.
            local_port: The local port; 0 picks a free one.
            service: The service of the port; needed if several have it.
        """
        return self.client.forward(self.id, port, local_port=local_port, service=service)

    def destroy(self) -> None:
        """Remove it; if it is gone already, that is success."""
        self.client.destroy(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.destroy()
