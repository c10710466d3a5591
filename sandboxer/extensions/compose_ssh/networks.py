"""The networks and volumes of a stack: only its own, and closed if egress is denied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh import limits
from sandboxer.extensions.compose_ssh.delivery import escape
from sandboxer.extensions.compose_ssh.grammar import flag, listed, number, too_many, word
from sandboxer.extensions.compose_ssh.names import alias, labels, mac_address, valid_name
from sandboxer.extensions.compose_ssh.rules import off

if TYPE_CHECKING:
    from sandboxer.extensions.compose_ssh.scope import Scope

_NETWORK = ("attachable", "driver", "driver_opts", "enable_ipv4", "enable_ipv6", "external", "internal", "ipam",
            "labels", "name")  # fmt: skip
_VOLUME = ("driver", "driver_opts", "external", "labels", "name")
_MEMBER = ("aliases", "gw_priority", "interface_name", "ipv4_address", "ipv6_address", "mac_address", "priority")
_MTU = "com.docker.network.driver.mtu"
_mtu = number(576, 9216)
_priority = number(-65536, 65536)
_interface = word(r"[a-z][a-z0-9._-]{0,14}", "the name of an interface, such as eth0", 15)
_aliases = listed(alias)
_CHECKS = {
    "aliases": _aliases,
    "gw_priority": _priority,
    "interface_name": _interface,
    "mac_address": mac_address,
    "priority": _priority,
}

# Docker queries it from inside the container, whose networks lead nowhere else: no machine has an address of RFC 5737.
# Not the container's own loopback, where a name server of the stack would be sent the queries that it sent itself.
_NOWHERE = "192.0.2.1"
# Nobody answers for names of the outside: so a query waits one second, once, and tries no other suffix.
_IMPATIENT = ("timeout:1", "attempts:1")


def membership(service: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Return the ``networks`` of a service; empty if it shares another service's network or has none."""
    if service.get("network_mode"):
        return {}
    here = scope.at("networks")
    result = {}
    given = here.mapping(service.get("networks"))
    for name, value in sorted(given.items()) if not too_many(limits.NETWORKS, len(given), here) else ():
        at = here.at(name)
        member = at.only(at.mapping(value), _MEMBER)
        for key in ("ipv4_address", "ipv6_address"):
            if member.pop(key, None):
                at.at(key).refuse("is fixed, so two copies of the stack would clash; use the service's name")
        for key, check in _CHECKS.items():
            if key in member:
                member[key] = check(member[key], at.at(key))
        result[name] = member or None
    return result


def names(service: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """Return the keys with which a service under ``egress: deny`` resolves the names of its own stack, and no others.

    An engine's resolver forwards unknown names to the host's name servers, and some do so for an internal network too,
    from the host itself. Docker's forwards to the configured server instead. Podman's is configured by ``resolver.sh``.
    """
    if scope.policy.egress != "deny" or service.get("network_mode"):
        return {}
    options = [text for text in _words(service.get("dns_opt")) if text.partition(":")[0] not in ("timeout", "attempts")]
    if not scope.policy.podman and not any(text.startswith("ndots:") for text in options):
        # With this option Docker answers at once for an unknown name without a dot.
        options.append("ndots:1")
    keys = {"dns_opt": [*options, *_IMPATIENT], "dns_search": _words(service.get("dns_search")) or ["."]}
    return keys if scope.policy.podman else {"dns": [_NOWHERE]} | keys


def _words(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value)] if value else []


def creation(name: str, network: dict[str, Any], project: str) -> tuple[str, list[str]]:
    """Return the name of a hardened network on Podman, and the arguments of ``podman network create``.

    They are those that podman-compose passes. Each becomes a line, so a line break in a label becomes a space.
    """
    options = network.get("driver_opts") or {}
    words = [
        *_marks(network, project),
        *(["--internal"] if network.get("internal") else []),
        *(word for key, text in options.items() for word in ("--opt", f"{key}={text}")),
        *([] if off(network.get("enable_ipv6")) else ["--ipv6"]),
    ]
    return f"{project}_{name}", [word.replace("$$", "$") for word in words]


def made_volume(name: str, volume: dict[str, Any], project: str) -> tuple[str, list[str]]:
    """Return the name of a hardened volume on Podman, and the arguments of ``podman volume create``."""
    return f"{project}_{name}", [word.replace("$$", "$") for word in _marks(volume, project)]


def _marks(resource: dict[str, Any], project: str) -> list[str]:
    marks = {"io.podman.compose.project": project, "com.docker.compose.project": project} | resource["labels"]
    return [word for key, text in marks.items() for word in ("--label", " ".join(f"{key}={text}".split("\n")))]


def network(name: str, value: Any, scope: Scope) -> dict[str, Any]:
    """Return a top-level network: a bridge that only the sandbox has, ``internal`` under ``egress: deny``."""
    given = _own(name, value, scope, _NETWORK)
    if given.pop("driver", "bridge") not in ("bridge", "default"):
        scope.at("driver").refuse("joins the host's own networks; use bridge")
    here = scope.at("driver_opts")
    options = here.only(here.mapping(given.pop("driver_opts", None)), (_MTU,))
    if options:
        options = {_MTU: str(_mtu(options[_MTU], here.at(_MTU)))}
    for key in ("attachable", "enable_ipv4", "enable_ipv6"):
        if key in given:
            given[key] = flag(given[key], scope.at(key))
    ipam = scope.at("ipam").only(scope.at("ipam").mapping(given.pop("ipam", None)), ("driver", "config", "options"))
    if not off(ipam.get("config")) or ipam.get("driver", "default") != "default":
        scope.at("ipam").refuse("fixes addresses, so two copies of the stack would clash; the engine chooses them")
    if scope.policy.podman and scope.policy.egress == "allow":
        # Podman forwards packets between networks, which Docker does not.
        options = {**options, "isolate": "true"}
    internal = scope.policy.egress == "deny" or not off(given.pop("internal", None))
    given.pop("internal", None)
    return given | ({"driver_opts": options} if options else {}) | ({"internal": True} if internal else {})


def volume(name: str, value: Any, scope: Scope) -> dict[str, Any]:
    """Return a top-level volume: a local one that only the sandbox has.

    It has no options, because ``o: bind`` can mount any path.
    """
    given = _own(name, value, scope, _VOLUME)
    if given.pop("driver", "local") not in ("local", "default"):
        scope.at("driver").refuse("keeps data outside the sandbox; use local")
    if not off(given.pop("driver_opts", None)):
        scope.at("driver_opts").refuse("can mount any path of the host; remove it")
    for key, text in given["labels"].items() if scope.policy.podman else ():
        if key not in scope.policy.labels and ("," in text or '"' in text):
            # `podman volume create --label` takes a list: text after a comma is another label.
            scope.at("labels").at(key).refuse("has a `,` or quotes, which Podman takes apart; leave them out")
    return given


def _own(name: str, value: Any, scope: Scope, known: tuple[str, ...]) -> dict[str, Any]:
    """Return what networks and volumes have in common: not external, no custom name, our labels."""
    given = scope.only(scope.mapping(value), known)
    if not off(given.pop("external", None)):
        scope.at("external").refuse("belongs to others and would be deleted with the sandbox; let the sandbox make it")
    if given.pop("name", None) not in (None, f"{scope.policy.project}_{name}"):
        scope.at("name").refuse("is shared by every copy of the stack; remove it")
    valid_name(name, scope)
    given["labels"] = labels(given.get("labels"), scope.at("labels")) | {
        key: escape(text) for key, text in scope.policy.labels.items()
    }
    return given
