"""The doctor's check of the firewall: what the engines leave open, and the rules that close it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sandboxer.model.host_report import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.hosts.facts import HostFacts

_CHAINS = (("chain input", "-a input"), ("chain forward", "-a forward", "-a docker-user"))
# Answers to the host's own connections pass: that is how a sandbox is reached. Podman's containers ask it for names, at
# the address of their own network alone. Connections from other machines pass if a port is published to them.
CLOSE = (
    "nft 'table inet sandboxer; delete table inet sandboxer; table inet sandboxer { "
    'chain loopback { type filter hook prerouting priority raw - 10; iifname != "lo" ip daddr 127.0.0.0/8 drop; }; '
    "chain input { type filter hook input priority filter - 10; "
    'iifname "podman*" udp dport 53 fib daddr . iif type local accept; iifname "podman*" ct state new drop; '
    'iifname "br-*" ct state new drop; }; '
    "chain forward { type filter hook forward priority filter - 10; "
    'iifname "podman*" accept; iifname "br-*" accept; iifname "docker0" accept; ct status dnat accept; '
    'oifname "podman*" ct state new drop; oifname "br-*" ct state new drop; }; }\''
)


def check_firewall(facts: HostFacts) -> Iterator[Check]:
    """Yield whether the host closes its own addresses to its containers, and these to other machines.

    No engine does this by itself.
    """
    rules, system = facts.text("firewall").lower(), facts.system
    within, without = (any(re.search(rf"{chain}[^}}]*? drop", rules) for chain in chains) for chains in _CHAINS)
    if within and without:
        found = "containers cannot reach the host's addresses, nor other machines the containers"
        yield Check("firewall", "ok", found)
        return
    found = "under `egress: deny`, containers can reach services on the host's addresses"
    if within:
        found = "machines with a route to the host can reach unpublished ports of containers"
    if not system.is_root:
        found += f", unless a rule hidden from {system.user} blocks this"
    close = system.as_root(CLOSE)
    lacks = facts.has("nft") and not facts.text("nft").strip()
    yield Check("firewall", "note", found, f"{system.install('nftables')}\n{close}" if lacks else close)
