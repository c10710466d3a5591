"""The library's result: an observed sandbox, and the operations on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from datetime import timedelta
    from pathlib import Path

    from sandboxer.client.connect.forward import Forward, PortRequest
    from sandboxer.client.connect.logs import Logs
    from sandboxer.client.connect.shell import Shell
    from sandboxer.model.event import Event
    from sandboxer.model.handle import Endpoint, Handle
    from sandboxer.model.lifecycle import Phase
    from sandboxer.model.protocols import Terminal


class SandboxClient(Protocol):
    """What a sandbox needs of its client; ``Client`` documents each."""

    def get(self, name: str) -> Sandbox: ...
    def resume(self, name: str) -> Sandbox: ...
    def recreate(self, name: str) -> Sandbox: ...
    def wait(
        self, name: str, phase: Literal["ready", "destroyed"] = "ready", timeout: float = 300.0
    ) -> Sandbox | None: ...
    def extend_ttl(self, name: str, by: timedelta) -> Sandbox: ...
    def activity(self, name: str) -> Sandbox: ...
    def destroy(self, name: str) -> bool: ...
    def events(self, name: str, *, follow: bool = False) -> Generator[Event | None]: ...
    def logs(
        self,
        name: str,
        *,
        services: Sequence[str] = (),
        tail: int | None = None,
        follow: bool = False,
        timestamps: bool = False,
    ) -> Logs: ...
    def forward(
        self, name: str, port: str | int, *, local_port: int = 0, service: str | None = None, address: str = "127.0.0.1"
    ) -> Forward: ...
    def forward_all(
        self, name: str, ports: Sequence[PortRequest] = (), *, service: str | None = None, address: str = "127.0.0.1"
    ) -> Sequence[Forward]: ...
    def shell(
        self,
        name: str,
        service: str | None = None,
        command: Sequence[str] = (),
        *,
        terminal: Terminal | None = None,
        on_stderr: Callable[[bytes], None],
    ) -> Shell: ...
    def copy_from(
        self,
        name: str,
        path: str,
        target: Path | str,
        *,
        service: str | None = None,
        progress: Callable[[int], None] = lambda _bytes: None,
    ) -> Path: ...
    def copy_to(
        self,
        name: str,
        source: Path | str,
        path: str,
        *,
        service: str | None = None,
        progress: Callable[[int], None] = lambda _bytes: None,
    ) -> str: ...


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A sandbox at the time of a query, and the operations on it.

    Each method is the client's method for this sandbox, and raises the same errors. Used as a context manager, the
    sandbox is destroyed at the end of the block, also after an error.

    Args:
        client: The client that carries out the operations.
        handle: Its description at that time.
        error_text: The whole text of its last failure, as `Client.get` read it from its host; empty after a success.

    Example::

        from sandboxer import Client

        with Client("fleet").create("profile.web", ttl="30m") as sandbox:
            with sandbox.forward("http") as forward:
                print(sandbox.name, forward.url)
    """

    client: SandboxClient
    handle: Handle
    error_text: str = ""

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

    def wait(self, phase: Literal["ready", "destroyed"] = "ready", timeout: float = 300.0) -> Sandbox | None:
        """Wait until it is ready or destroyed; return its new state, or None if it is destroyed.

        Args:
            phase: The phase to wait for.
            timeout: The longest wait, in seconds.
        """
        return self.client.wait(self.id, phase, timeout)

    def resume(self) -> Sandbox:
        """Finish creating it if it is requested or interrupted, and return its new state."""
        return self.client.resume(self.id)

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

    def logs(self, *services: str, tail: int | None = None, follow: bool = False, timestamps: bool = False) -> Logs:
        """Return its containers' output.

        Args:
            services: The services to include; by default all.
            tail: The number of last lines of each container; None for all.
            follow: Continue until no container runs any more.
            timestamps: Prefix each line with its time.
        """
        return self.client.logs(self.id, services=services, tail=tail, follow=follow, timestamps=timestamps)

    def forward(
        self, port: str | int, *, local_port: int = 0, service: str | None = None, address: str = "127.0.0.1"
    ) -> Forward:
        """Return a local port that is forwarded to it until it is closed.

        Args:
            port: A port name of the profile's reachability, or a container port.
            local_port: The local port; 0 picks a free one.
            service: The service of the port; needed if several have it.
            address: The local address to listen on.
        """
        return self.client.forward(self.id, port, local_port=local_port, service=service, address=address)

    def forward_all(
        self, ports: Sequence[PortRequest] = (), *, service: str | None = None, address: str = "127.0.0.1"
    ) -> Sequence[Forward]:
        """Forward several ports over one connection, as ``forward`` does.

        Args:
            ports: The ports; by default, all of the profile's reachability.
            service: The service of ports that do not specify one.
            address: The local address to listen on.
        """
        return self.client.forward_all(self.id, ports, service=service, address=address)

    def shell(
        self,
        service: str | None = None,
        command: Sequence[str] = (),
        *,
        terminal: Terminal | None = None,
        on_stderr: Callable[[bytes], None],
    ) -> Shell:
        """Start a command in it, on a connection of its own.

        Args:
            service: Run it in a container of this service; without one, in the workspace on the host.
            command: The command; without one, a shell.
            terminal: A terminal for the command, which then carries all three streams.
            on_stderr: Receives standard error, in another thread.
        """
        return self.client.shell(self.id, service, command, terminal=terminal, on_stderr=on_stderr)

    def copy_from(
        self,
        path: str,
        target: Path | str,
        *,
        service: str | None = None,
        progress: Callable[[int], None] = lambda _bytes: None,
    ) -> Path:
        """Copy a file or directory out of a container; return its new path. If the copy fails, nothing changes.

        Args:
            path: The path to copy, in the container.
            target: The destination; a directory receives the copy under its own name.
            service: The service of the container; needed if there are several.
            progress: Receives the number of bytes so far.
        """
        return self.client.copy_from(self.id, path, target, service=service, progress=progress)

    def copy_to(
        self,
        source: Path | str,
        path: str,
        *,
        service: str | None = None,
        progress: Callable[[int], None] = lambda _bytes: None,
    ) -> str:
        """Copy a file or directory into a container, owned by root; return its path there.

        Args:
            source: The path to copy; ``DIRECTORY/.`` means the content of the directory.
            path: The destination; a directory receives the copy under its own name.
            service: The service of the container; needed if there are several.
            progress: Receives the number of bytes so far.
        """
        return self.client.copy_to(self.id, source, path, service=service, progress=progress)

    def destroy(self) -> None:
        """Remove it; if it is gone already, that is success."""
        self.client.destroy(self.id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.destroy()
