"""A lab's network: a /24 of 198.18.0.0/15's first half, and a switch in a separate namespace.

The machine sees one interface per lab. The bridge and the hosts' cables are behind it, out of reach of the machine's
firewall and its own containers, and end with the process that holds their namespace.
"""

from __future__ import annotations

import json
import subprocess
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from tests.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.lab.processes import Process


def interface(network: int) -> str:
    """Return the name of the machine's one interface to a lab."""
    return f"sbxlab{network}"


def machine_address(network: int) -> str:
    """Return the machine's own address in a lab."""
    return f"198.18.{network}.1"


def host_address(network: int, number: int) -> str:
    """Return the address of a lab's host, counted from 1."""
    return f"198.18.{network}.{10 + number}"


def free_network(taken: Iterable[int]) -> int:
    """Return the first network that no other lab has and in which the machine knows no address."""
    known = [IPv4Network(route["dst"], strict=False) for route in _routes() if route["dst"][0].isdigit()]
    taken = set(taken)
    for number in range(1, 256):
        ours = IPv4Network(f"198.18.{number}.0/24")
        # A wide route, as of a VPN, gives way to our narrow one.
        if number not in taken and not any(ours.overlaps(other) for other in known if other.prefixlen >= 16):
            return number
    raise LabError("every network of 198.18.0.0/16 is in use on this machine; see `ip route`")


def create_switch(network: int, holder: Process) -> None:
    """Create the bridge in the namespace that ``holder`` holds, and the machine's interface to it."""
    name = interface(network)
    ip("link", "add", name, "type", "veth", "peer", "name", "machine", "netns", str(holder.pid))
    ip("address", "add", f"{machine_address(network)}/24", "dev", name)
    ip("link", "set", name, "up")
    for command in ("link add lab type bridge", "link set machine master lab up", "link set lab up"):
        ip(*command.split(), within=holder)


def plug_in(host: str, holder: Process, init: Process) -> None:
    """Connect the switch with the host whose first process is ``init``; there the interface is eth0."""
    ip("link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", str(init.pid), within=holder)
    ip("link", "set", host, "master", "lab", "up", within=holder)


def remove(network: int) -> None:
    """Remove the machine's interface, unless the end of the switch already did."""
    subprocess.run(["ip", "link", "delete", interface(network)], capture_output=True, check=False, timeout=10, env=_ENV)
    if any(link["ifname"] == interface(network) for link in json.loads(ip("-json", "link", "show"))):
        raise LabError(f"cannot delete the interface {interface(network)}")


def ip(*arguments: str, within: Process | None = None) -> str:
    """Run ``ip``, here or in the network namespace of a process. Raise LabError if it fails."""
    enter = ["nsenter", f"--target={within.pid}", "--net"] if within else []
    done = subprocess.run([*enter, "ip", *arguments], capture_output=True, text=True, check=False, timeout=10, env=_ENV)
    if done.returncode != 0:
        raise LabError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def _routes() -> list[dict[str, str]]:
    routes: list[dict[str, str]] = json.loads(ip("-json", "-4", "route", "show", "table", "all") or "[]")
    return routes


_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
