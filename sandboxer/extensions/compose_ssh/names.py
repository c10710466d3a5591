"""The names of containers: their own, those that they give each other, and where they look names up."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh import limits
from sandboxer.extensions.compose_ssh.grammar import NAME, flag, listed, shown, too_large, too_many, word

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandboxer.extensions.compose_ssh.scope import Scope

_HOST = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_HOST_NAME = re.compile(_HOST, re.ASCII)
_LABEL_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@/\[\]-]*", re.ASCII)
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.ASCII)
_MAC = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}", re.IGNORECASE | re.ASCII)
_OURS = ("dev.sandboxer.", "com.docker.compose.", "io.podman.", "podman_systemd_unit")
_CONDITIONS = ("service_started", "service_healthy", "service_completed_successfully")

hostname = word(_HOST, "a host name of letters, digits, `.`, `_` and `-`", 64)
dns_opt = listed(word(r"[a-z][a-z0-9-]{0,30}(?::\d{1,5})?", "an option of resolv.conf, such as ndots:2"))
dns_search = listed(word(rf"{_HOST}|\.", "a domain"))
_MAC_WHAT = "is not a hardware address such as 02:42:ac:11:00:02"


def valid_name(name: str, scope: Scope) -> bool:
    """Return whether a service, network, volume, secret or config may have this name; add a finding if not."""
    if NAME.fullmatch(name):
        return True
    if len(name) > limits.NAME.most:
        scope.refuse(f"has {len(name)} characters; the limit is {limits.NAME.most}")
    else:
        scope.refuse("is not a name of letters, digits, `.`, `_` and `-`")
    return False


def alias(value: Any, scope: Scope) -> str | None:
    """Return another name of a service in a network; podman-compose joins them with ``,``."""
    if len(str(value)) <= limits.NAME.most and _HOST_NAME.fullmatch(str(value)):
        return str(value)
    scope.refuse(f"{shown(value)} is not a host name")
    return None


def mac_address(value: Any, scope: Scope) -> Any:
    """Return a hardware address; refuse anything else."""
    if isinstance(value, str) and _MAC.fullmatch(value):
        return value
    scope.refuse(_MAC_WHAT)
    return None


def dns(value: Any, scope: Scope) -> list[str]:
    """Return name servers, which must be addresses; refuse them all under ``egress: deny``."""
    if scope.policy.egress == "deny":
        scope.refuse("asks outside the sandbox's networks, which `egress: deny` forbids; remove it")
        return []

    def check(item: Any, here: Scope) -> str | None:
        if _address(item):
            return str(item)
        here.refuse(f"{shown(item)} is not an IP address")
        return None

    return list(listed(check)(value, scope))


def _address(value: Any) -> bool:
    try:
        ipaddress.ip_address(value if isinstance(value, str) and "%" not in value else "")
    except ValueError:
        return False
    return True


def extra_hosts(value: Any, scope: Scope) -> list[str]:
    """Return additional entries of the container's hosts file; the host itself is refused under ``egress: deny``."""

    def check(item: Any, here: Scope) -> str | None:
        name, _, address = str(item).partition("=")
        if "host-gateway" in str(item) and scope.policy.egress == "deny":
            here.refuse("host-gateway is the host itself, which `egress: deny` keeps out of reach; remove it")
        elif len(name) > 253 or not _HOST_NAME.fullmatch(name):
            here.refuse(f"{shown(name)} is not a host name")
        elif not (address == "host-gateway" or _address(address.removeprefix("[").removesuffix("]"))):
            here.refuse(f"{shown(address)} is not an IP address")
        else:
            return f"{name}:{address}" if scope.policy.podman else str(item)
        return None

    return list(listed(check)(value, scope))


def links(value: Any, scope: Scope) -> list[str]:
    """Return links to services of the stack, each with another name if needed."""

    def check(item: Any, here: Scope) -> str | None:
        name, colon, other = str(item).partition(":")
        if name not in scope.services:
            here.refuse(f"no service {shown(name)} in the compose file")
        elif not colon or alias(other, here) is not None:
            return str(item)
        return None

    return list(listed(check)(value, scope))


def expose(value: Any, scope: Scope) -> list[str]:
    """Return ports and ranges of ports; their number is limited because the engine keeps a list of them."""
    total = 0
    if isinstance(value, list) and too_many(limits.EXPOSED, len(value), scope):
        return []
    result = []
    for here, item in scope.items(value):
        match = _PORTS.fullmatch(str(item)) if isinstance(item, str | int) and len(str(item)) < 20 else None
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 0 < low <= high < 65536:
            here.refuse(f"{shown(item)} is not a port such as 80, 8000-8010 or 53/udp")
            continue
        total += high - low + 1
        result.append(str(item))
    return [] if too_many(limits.EXPOSED, total, scope) else result


def depends_on(value: Any, scope: Scope) -> dict[str, Any]:
    """Return the services of the stack that start first."""
    given = scope.mapping(value)
    if too_many(limits.ITEMS, len(given), scope):
        return {}
    result = {}
    for name, entry in given.items():
        here = scope.at(shown(name) if not NAME.fullmatch(name) else name)
        known = here.only(here.mapping(entry), ("condition", "required", "restart"))
        flag(known.get("required", True), here.at("required"))
        flag(known.get("restart", False), here.at("restart"))
        if known.get("condition", _CONDITIONS[0]) not in _CONDITIONS:
            here.at("condition").refuse(f"must be one of {', '.join(_CONDITIONS)}")
        if name in scope.services:  # else it is in a compose profile that is not active
            result[name] = known
    return result


def group_add(value: Any, scope: Scope) -> list[str]:
    """Return additional groups of the container's process, by a name or number that the container defines."""

    def check(item: Any, here: Scope) -> str | None:
        if NAME.fullmatch(str(item)) and str(item) != "keep-groups":
            return str(item)
        here.refuse(f"{shown(item)} is not the name or number of a group in the container")
        return None

    return list(listed(check)(value, scope))


def labels(value: Any, scope: Scope) -> dict[str, str]:
    """Return a file's own labels, few enough to be read back.

    It may not set those that identify a container's owner. A value is free text: podman-compose's ``--label KEY=VALUE``
    is one word, and the first ``=`` ends the key.
    """
    given = scope.mapping(value)
    if too_many(limits.LABELS, len(given), scope):
        return {}
    result = {}
    for key, text in given.items():
        here = scope.at(key if _LABEL_KEY.fullmatch(key) and len(key) <= limits.LABEL_KEY.most else shown(key))
        if key.lower().startswith(_OURS):
            here.refuse("is set by Sandboxer or the engine; remove it")
        elif len(key) > limits.LABEL_KEY.most or not _LABEL_KEY.fullmatch(key):
            here.refuse("is not the key of a label: letters, digits, `_`, `.`, `/`, `@`, `[`, `]` and `-`")
        elif text is not None and not _is_label(text):
            here.refuse("must be text without control characters")
        else:
            result[key] = "" if text is None else text
    return {} if too_large(limits.LABEL_BYTES, _bytes(result.items()), scope) else result


def _is_label(text: Any) -> bool:
    return isinstance(text, str) and re.search(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", text) is None


def _bytes(pairs: Iterable[tuple[str, str]]) -> int:
    return sum(len(key) + len(text.encode()) for key, text in pairs)
