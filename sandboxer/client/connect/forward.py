"""Forwarding of local ports to a sandbox, over one SSH connection to its host."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from sandboxer.client.connect.target import target_of
from sandboxer.errors import HostError, HostUnreachable, SandboxerError, SandboxError, UsageError
from sandboxer.model.suggestion import did_you_mean
from sandboxer.model.text import named
from sandboxer.wiring.edges import Relay, Transports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandboxer.client.connect.target import ConnectTarget
    from sandboxer.client.context import ClientContext
    from sandboxer.model.jsontypes import JsonObject
    from sandboxer.model.protocols import HostTransport, Tunnel

FRESH = 30.0  # seconds that an address counts as known: another sandbox may have it later
_SAME = 10.0  # seconds in which the same error is not repeated


@dataclass(frozen=True, slots=True)
class PortRequest:
    """One port to forward.

    Args:
        port: A port name of the profile's reachability, or a container port.
        local_port: The local port; 0 picks a free one.
        service: The service of the port; needed if several have it.
    """

    port: str
    local_port: int = 0
    service: str | None = None


@dataclass(frozen=True, slots=True)
class _Destination:
    """A port of a service; ``name`` is as in the profile, else the number."""

    name: str
    service: str
    port: int
    scheme: str


class Forward:
    """A local port that is forwarded to a sandbox until ``close``. Use as a context manager."""

    def __init__(self, destination: _Destination, relay: Relay, link: Link) -> None:
        self._destination, self._relay, self._link = destination, relay, link

    @property
    def local_port(self) -> int:
        """The port of this machine."""
        return self._relay.port

    @property
    def url(self) -> str:
        """The URL of the local port: ``http://127.0.0.1:43127``."""
        address = self._relay.address
        shown = f"[{address}]" if ":" in address else address
        return f"{self._destination.scheme}://{shown}:{self.local_port}"

    def to_json(self) -> JsonObject:
        """Return it as JSON, for programs."""
        return {
            "name": self._destination.name,
            "service": self._destination.service,
            "port": self._destination.port,
            "local_address": self._relay.address,
            "local_port": self.local_port,
            "url": self.url,
        }

    def close(self) -> None:
        """Close the port and every connection through it. Idempotent."""
        self._link.left_by(self)
        self._relay.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def forwards(
    context: ClientContext, name: str, request: Sequence[PortRequest], address: str, service: str | None
) -> list[Forward]:
    """Forward ports of a sandbox over one connection; without any, its whole reachability.

    ``service`` is the default for ports that name none. Raise UsageError, HostError, SandboxError.
    """
    target = target_of(context, name)
    target.capable("addresses")
    targets = [(_destination(target, one, one.service or service), one.local_port) for one in request]
    targets = targets or [(destination, 0) for destination in _all(target, service)]
    link = Link(target, context.warn)
    made: list[Forward] = []
    try:
        link.check()
        for destination, local_port in targets:
            made.append(link.forward(destination, address, local_port))
    except BaseException:
        link.close()
        for forward in made:
            forward.close()
        raise
    return made


def _declared(target: ConnectTarget) -> list[_Destination]:
    """Return the ports of the profile's reachability, whether something runs there now or not."""
    ports = target.record.spec.get("reachability", {}).get("ports", ())
    return [_Destination(port["name"], port["service"], port["port"], _scheme(port["name"])) for port in ports]


def _scheme(name: str) -> str:
    """Return the URL scheme of a port by its name, as in a handle."""
    return name if name in ("http", "https") else "http" if "http" in name else "tcp"


def _all(target: ConnectTarget, service: str | None) -> list[_Destination]:
    found = [destination for destination in _declared(target) if service in (None, destination.service)]
    if not found:
        hint = f"specify a container port, for example `sandboxer forward {target.name} 8080`"
        raise UsageError(f"the profile of {named('sandbox', target.name)} has no ports in spec.reachability", hint=hint)
    return found


def _destination(target: ConnectTarget, request: PortRequest, service: str | None) -> _Destination:
    """Return the destination of a requested port. Raise UsageError if there is none."""
    declared = [destination for destination in _declared(target) if service in (None, destination.service)]
    matching = [destination for destination in declared if request.port in (destination.name, str(destination.port))]
    exact = [destination for destination in matching if destination.name == request.port] or matching
    services = {destination.service for destination in exact}
    if len(services) > 1:
        raise UsageError(
            f"{named('port', request.port)} is ambiguous: services {', '.join(sorted(services))}",
            hint="select a service with --service",
        )
    if exact:
        return exact[0]
    if not request.port.isdecimal() or not 0 < int(request.port[:6]) < 65536:
        hint = did_you_mean(request.port, {one.name for one in declared}) or "specify a container port from 1 to 65535"
        raise UsageError(f"{named('sandbox', target.name)} has no {named('port', request.port)}", hint=hint)
    number = int(request.port)
    return _Destination(request.port, target.the_service(service), number, "tcp")


class Link:
    """The one connection to a sandbox's host that its forwards share, opened again if it is lost."""

    def __init__(self, target: ConnectTarget, warn: Callable[[str], None]) -> None:
        self._target, self._warn = target, warn
        self._seen_at = time.monotonic()
        self._observing, self._renewing, self._lock = threading.Lock(), threading.Lock(), threading.Lock()
        self._transports = Transports(target.folder)
        self._transport: HostTransport = self._transports.to(target.host)
        self._reported: dict[str, float] = {}
        self._users: set[Forward] = set()
        self._closed = False

    def check(self) -> None:
        """Connect. Raise HostUnreachable if that fails."""
        if self._transport.is_lost():
            self._transport.tunnel("127.0.0.1", 1)  # its error has the reason

    def forward(self, destination: _Destination, address: str, local_port: int) -> Forward:
        """Listen on a local port, and forward its connections. Raise UsageError if the port is not available."""
        relay = Relay(address, local_port, lambda: self._open(destination), self._failed)
        forward = Forward(destination, relay, self)
        self._users.add(forward)
        return forward

    def left_by(self, forward: Forward) -> None:
        """Remove a closed forward; the last one closes the connection."""
        with self._lock:
            self._users.discard(forward)
            last = not self._users
        if last:
            self.close()

    def close(self) -> None:
        """Close the connection, and everything that goes through it. Idempotent."""
        self._closed = True
        self._transports.close()

    def _open(self, destination: _Destination) -> Tunnel:
        """Return the tunnel to a port of a container. Raise HostError, SandboxError."""
        try:
            return self._try(destination)
        except HostUnreachable:
            transport = self._transport
            if self._closed or not transport.is_lost():
                raise
            self._renew(transport)
            return self._try(destination)

    def _try(self, destination: _Destination) -> Tunnel:
        """Return the tunnel; if the known address leads nowhere, observe it again, once."""
        transport, requested_at = self._transport, time.monotonic()
        target = self._observed(transport, requested_at - FRESH, or_known=True)
        way = _way(target, destination)
        try:
            if way is not None:
                return transport.tunnel(*way)
        except HostUnreachable:
            if transport.is_lost():
                raise
        target = self._observed(transport, requested_at)
        again = _way(target, destination)
        if again is None:
            target.container(destination.service)  # its error has the container's state
            raise SandboxError(
                target.name,
                f"{named('service', destination.service)} of {named('sandbox', target.name)} is not running",
                hint="check with `sandboxer get`",
            )
        if again == way:
            where = f"{named('service', destination.service)} of {named('sandbox', target.name)}"
            message = f"nothing answers on {named('port', str(destination.port))} of {where}"
            raise SandboxError(target.name, message, hint=f"check `sandboxer logs {target.name}`")
        return transport.tunnel(*again)

    def _observed(self, transport: HostTransport, newer_than: float, *, or_known: bool = False) -> ConnectTarget:
        """Return an observation that began after ``newer_than``; simultaneous callers share one."""
        with self._observing:
            if self._seen_at < newer_than:
                began = time.monotonic()
                try:
                    self._target = self._target.observe_again(transport)
                except HostError:
                    if not or_known:
                        raise
                else:
                    self._seen_at = began
            return self._target

    def _renew(self, lost: HostTransport) -> None:
        """Replace a lost connection by a new one, which its first user opens."""
        with self._renewing:
            if self._transport is not lost or self._closed:
                return
            host = self._target.observed.host
            self._warn_once(f"the connection to {named('host', host)} was lost; reconnecting")
            former, self._transports = self._transports, Transports(self._target.folder)
            self._transport = self._transports.to(self._target.host)
            former.close()

    def _failed(self, error: SandboxerError) -> None:
        if not self._closed:
            self._warn_once(f"a connection was refused: {error.message}")

    def _warn_once(self, words: str) -> None:
        """Warn; the same message of a hundred connections is given once."""
        now = time.monotonic()
        with self._lock:
            known = now - self._reported.get(words, -_SAME) < _SAME
            self._reported = {message: at for message, at in self._reported.items() if now - at < _SAME}
            self._reported.setdefault(words, now)
        if not known:
            self._warn(words)


def _way(target: ConnectTarget, destination: _Destination) -> tuple[str, int] | None:
    """Return the address on the host of a port; None if nothing of the service runs."""
    found: Sequence[tuple[str, int]] = target.capable("addresses").addresses(
        target, destination.service, destination.port
    )
    return next(iter(found), None)
