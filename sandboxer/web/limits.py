"""Limits of a server: the time for each step of a connection, and the number of connections."""

from __future__ import annotations

import resource
from dataclasses import dataclass, replace

# For the rest of the process: hosts, git, the database, and sockets that are accepted but not counted yet.
_OTHER_DESCRIPTORS = 128
_FEWEST = 16
_MOST_DESCRIPTORS = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits in seconds per connection; sending a byte now and then extends none of them.

    ``handshake`` is for TLS, ``headers`` from the connection or the last response to complete headers, ``body`` from
    there to a complete body. ``idle`` is for a connection after a response while the client sends nothing, ``write``
    for a reader that accepts nothing. ``connections`` is the maximum in total, ``of_address`` per address; None means
    no limit.
    """

    handshake: float = 10.0
    headers: float = 10.0
    body: float = 35.0  # the response for a slow body, after 30 s, comes first
    idle: float = 5.0
    write: float = 30.0
    connections: int = 512
    of_address: int | None = 128

    @property
    def check_every(self) -> float:
        """Seconds between two comparisons of the connections with these limits."""
        return min(1.0, min(self.handshake, self.headers, self.body, self.write) / 4)

    def within(self, descriptors: int) -> Limits:
        """Return these limits with no more connections than this number of file descriptors allows."""
        most = max(_FEWEST, min(self.connections, descriptors - _OTHER_DESCRIPTORS))
        return replace(self, connections=most, of_address=min(self.of_address, most) if self.of_address else None)


def raise_descriptors() -> int:
    """Raise the soft limit of open files to the hard limit if possible; return the resulting soft limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    desired = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= desired:
        return _MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (desired, hard))
    except (OSError, ValueError):
        return soft
    return desired
