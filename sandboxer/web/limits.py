"""How long a connection may take over each of its steps, and how many there may be at once."""

from __future__ import annotations

import resource
from dataclasses import dataclass, replace

# For everything else of the process: hosts, git, the database, and sockets that were accepted and not counted yet.
_OTHER_DESCRIPTORS = 128
_FEWEST = 16
_MOST_DESCRIPTORS = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds, counted per connection: none of them can be put off by a byte now and then.

    ``handshake`` is for TLS, ``headers`` from the connection or the last answer to complete headers, ``body`` from
    there to a complete body. ``idle`` is for a connection that was answered and says nothing, ``write`` for a reader
    that takes nothing. ``connections`` may be open in all, ``of_address`` of one address; None is any number.
    """

    handshake: float = 10.0
    headers: float = 10.0
    body: float = 35.0  # the answer that it took too long, after 30 s, comes first
    idle: float = 5.0
    write: float = 30.0
    connections: int = 512
    of_address: int | None = 128

    @property
    def look_every(self) -> float:
        """How often connections are compared with these times."""
        return min(1.0, min(self.handshake, self.headers, self.body, self.write) / 4)

    def within(self, descriptors: int) -> Limits:
        """Return the same with no more connections than a process with so many descriptors can have."""
        most = max(_FEWEST, min(self.connections, descriptors - _OTHER_DESCRIPTORS))
        return replace(self, connections=most, of_address=min(self.of_address, most) if self.of_address else None)


def raise_descriptors() -> int:
    """Raise the soft limit of open files as far as the hard one allows; return what it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return _MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return soft
    return wanted
