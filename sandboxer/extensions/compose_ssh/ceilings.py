"""How much a container may use: the lowest of the compose file's limit, the profile's ceiling and the host's size."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.grammar import size

if TYPE_CHECKING:
    from sandboxer.extensions.compose_ssh.scope import Scope

KEYS = ("cpus", "cpu_period", "cpu_quota", "mem_limit", "mem_reservation", "memswap_limit", "pids_limit")

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_PERIOD = 100_000
_LARGEST = 2**62


def resources(service: dict[str, Any], scope: Scope) -> tuple[dict[str, Any], int | None]:
    """Return the ``deploy.resources`` of a service, and its ``memswap_limit`` in bytes where the file limits swap.

    They replace all the older keys in ``KEYS``, which Compose does not accept beside them.
    """
    policy = scope.policy
    here = scope.at("deploy").at("resources")
    given = here.only(_inner(service, "deploy", "resources", here), ("limits", "reservations"))
    limits = here.at("limits").only(here.at("limits").mapping(given.get("limits")), ("cpus", "memory", "pids"))
    reserved = here.at("reservations").only(
        here.at("reservations").mapping(given.get("reservations")), ("cpus", "memory")
    )
    cpu_limits = (_cpus(limits.get("cpus"), here), _cpus(service.get("cpus"), scope), _quota(service, scope))
    cpus = _lowest(*cpu_limits, policy.cpus, policy.host_cpus)
    requested = _lowest(_bytes(limits.get("memory"), here), _bytes(service.get("mem_limit"), scope))
    memory = int(_lowest(requested, policy.memory, policy.host_memory) or policy.host_memory)
    pids = _lowest(_count(limits.get("pids"), here), _count(service.get("pids_limit"), scope), policy.pids)
    result: dict[str, Any] = {"limits": {"cpus": _text(cpus or policy.host_cpus), "memory": str(memory)}}
    if pids:
        result["limits"]["pids"] = int(pids)
    soft = _lowest(_bytes(reserved.get("memory"), here), _bytes(service.get("mem_reservation"), scope))
    soft_cpus = _lowest(_cpus(reserved.get("cpus"), here))
    reservations = {
        "cpus": _text(min(soft_cpus, cpus or soft_cpus)) if soft_cpus else None,
        "memory": str(int(min(soft, memory))) if soft else None,
    }
    if any(reservations.values()):
        result["reservations"] = {key: value for key, value in reservations.items() if value}
    return result, _swap(_bytes(service.get("memswap_limit"), scope), requested, memory)


def in_memory(service: dict[str, Any], memory: int) -> None:
    """Keep what a container stores in memory (tmpfs mounts, ``/dev/shm``) within its memory; give each a size."""
    if "shm_size" in service:
        service["shm_size"] = _at_most(service["shm_size"], memory)
    if "tmpfs" in service:
        service["tmpfs"] = [_sized(entry, memory) for entry in service["tmpfs"]]
    for volume in service.get("volumes", ()):
        if volume.get("type") == "tmpfs":
            options = volume.get("tmpfs", {})
            volume["tmpfs"] = options | {"size": _at_most(options.get("size"), memory)}


def _at_most(value: Any, most: int) -> Any:
    given = size(value)
    return value if given and given <= most else str(most)


def _sized(entry: str, memory: int) -> str:
    """Return a tmpfs as ``path:options`` with a size: the kernel's default, and a share, are of the host's memory."""
    path, _, options = entry.partition(":")
    words = [word for word in options.split(",") if word]
    sizes = [size(word.removeprefix("size=")) for word in words if word.startswith("size=")]
    least = min([one for one in sizes if one] + [memory])
    return f"{path}:{','.join([word for word in words if not word.startswith('size=')] + [f'size={least}'])}"


def _swap(total: float | None, requested: float | None, memory: int) -> int | None:
    """Return the limit of memory and swap together: swap as the file allows it, but no more than the memory."""
    if total is None or requested is None:
        return None
    return memory + int(min(max(total - requested, 0), memory))


def _inner(service: dict[str, Any], outer: str, inner: str, scope: Scope) -> dict[str, Any]:
    parent = service.get(outer)
    return scope.mapping(parent.get(inner) if isinstance(parent, dict) else None)


def _quota(service: dict[str, Any], scope: Scope) -> float | None:
    quota = _number(service.get("cpu_quota"), scope, "cpu_quota")
    period = _number(service.get("cpu_period"), scope, "cpu_period") or _PERIOD
    return quota / period if quota else None


def _cpus(value: Any, scope: Scope) -> float | None:
    return _number(value, scope, "cpus")


def _count(value: Any, scope: Scope) -> float | None:
    return _number(value, scope, "pids")


def _number(value: Any, scope: Scope, what: str) -> float | None:
    """Return a positive number; None for no limit, which Compose also writes as 0 or -1."""
    if value is None:
        return None
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or number > _LARGEST:
        scope.refuse(f"{what} must be a number, not {value!r}")
        return None
    return number if number > 0 else None


def _bytes(value: Any, scope: Scope) -> float | None:
    """Return the bytes of a size such as 512m or 1GiB, in units of 1024 as Docker counts; None for no limit."""
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return _number(value, scope, "a memory size")
    scale = " kmgtp".index(match[2].lower() or " ")
    return _number(float(match[1][:30]) * 1024**scale, scope, "a memory size")


def _lowest(*values: float | None) -> float | None:
    return min((value for value in values if value), default=None)


def _text(number: float) -> str:
    """Return a number of CPUs, rounded down so that it stays within the host; engines accept no less than 0.01."""
    return f"{max(math.floor(number * 1000), 10) / 1000:.3f}".rstrip("0").rstrip(".")
