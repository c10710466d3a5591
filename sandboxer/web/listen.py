"""Listening addresses: from a command-line option to a socket."""

from __future__ import annotations

import ipaddress
import re
import socket

from sandboxer.errors import SandboxerError, UsageError
from sandboxer.model.text import printable

_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\[\]:/@\s]+)):(?P<port>\d{1,5})")


def parse_listen(text: str, example: str) -> tuple[str, int]:
    """Return host and port of ``--listen``. Raise UsageError, with ``example`` in its hint, if the text is invalid."""
    match = _LISTEN.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        port = example.rpartition(":")[2]
        raise UsageError(
            f"--listen {printable(text)}: not an address",
            hint=f"write HOST:PORT, for example {example} or [::1]:{port}",
        )
    return match["six"] or match["host"], int(match["port"])


def is_loopback(host: str) -> bool:
    """Return whether a name or address stands for this machine alone, without resolving it."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def bound(host: str, port: int) -> socket.socket:
    """Return a socket that listens on this address; port 0 is any free port.

    Raise SandboxerError if the address is unavailable.
    """
    # A name below `localhost` stands for the same, and few resolvers know it.
    known = "localhost" if host.lower().endswith(".localhost") else host
    try:
        found = socket.getaddrinfo(known, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        # IPv4 first: most clients try `localhost` there first.
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        return socket.create_server(address[:2], family=family, backlog=128)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SandboxerError(
            f"cannot listen on {printable(f'{host}:{port}')}: {reason}",
            hint="choose another address with --listen HOST:PORT; port 0 picks a free port",
        ) from None


def url_of(host: str, port: int, scheme: str = "http") -> str:
    """Return the URL of a server on this address, without a trailing slash."""
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
