"""What a container requests of the kernel: capabilities, namespaces, limits, parameters, its share of the CPUs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.grammar import NAME, listed, number, shown, whole, word

if TYPE_CHECKING:
    from sandboxer.extensions.compose_ssh.grammar import Check
    from sandboxer.extensions.compose_ssh.scope import Scope

CAPABILITIES = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
})  # fmt: skip

# The most of each, in the kernel's own unit; -1 is unlimited, where the memory ceiling limits it all the same.
# Those that take the CPU from others are left out: `nice`, `rtprio`, `rttime`.
ULIMITS = {
    "as": -1, "core": -1, "cpu": -1, "data": -1, "fsize": -1, "locks": -1, "memlock": -1, "msgqueue": 8 << 20,
    "nofile": 1 << 20, "nproc": 1 << 20, "rss": -1, "sigpending": 1 << 17, "stack": -1,
}  # fmt: skip

_FLAG = ((0, 1),)
_BUFFER = ((4096, 16 << 20),) * 3
# Parameters that each network namespace has to itself, with the range of their numbers. Others of `net.` belong to the
# whole host and do not even exist in a container (`net.core.rmem_max`, `net.ipv4.tcp_mem`), load modules into its
# kernel (`tcp_congestion_control`), or are shared in some kernels (`net.netfilter`, `net.bridge`).
SYSCTLS: dict[str, tuple[tuple[int, int], ...]] = {
    "net.core.somaxconn": ((1, 65535),),
    "net.ipv4.ip_forward": _FLAG,
    "net.ipv4.ip_local_port_range": ((1, 65535), (1, 65535)),
    "net.ipv4.ip_nonlocal_bind": _FLAG,
    "net.ipv4.ip_unprivileged_port_start": ((0, 65535),),
    "net.ipv4.ping_group_range": ((0, 2**31 - 1), (0, 2**31 - 1)),
    "net.ipv4.tcp_abort_on_overflow": _FLAG,
    "net.ipv4.tcp_ecn": ((0, 2),),
    "net.ipv4.tcp_fastopen": ((0, 1023),),
    "net.ipv4.tcp_fin_timeout": ((1, 600),),
    "net.ipv4.tcp_keepalive_intvl": ((1, 32767),),
    "net.ipv4.tcp_keepalive_probes": ((1, 127),),
    "net.ipv4.tcp_keepalive_time": ((1, 32767),),
    "net.ipv4.tcp_max_syn_backlog": ((1, 65535),),
    "net.ipv4.tcp_max_tw_buckets": ((1, 262144),),
    "net.ipv4.tcp_mtu_probing": ((0, 2),),
    "net.ipv4.tcp_notsent_lowat": ((1, 2**31 - 1),),
    "net.ipv4.tcp_orphan_retries": ((0, 15),),
    "net.ipv4.tcp_retries1": ((1, 15),),
    "net.ipv4.tcp_retries2": ((1, 15),),
    "net.ipv4.tcp_rmem": _BUFFER,
    "net.ipv4.tcp_sack": _FLAG,
    "net.ipv4.tcp_slow_start_after_idle": _FLAG,
    "net.ipv4.tcp_syn_retries": ((1, 15),),
    "net.ipv4.tcp_synack_retries": ((1, 15),),
    "net.ipv4.tcp_syncookies": ((0, 2),),
    "net.ipv4.tcp_timestamps": ((0, 2),),
    "net.ipv4.tcp_tw_reuse": ((0, 2),),
    "net.ipv4.tcp_window_scaling": _FLAG,
    "net.ipv4.tcp_wmem": _BUFFER,
    "net.ipv6.bindv6only": _FLAG,
    "net.ipv6.conf.all.disable_ipv6": _FLAG,
    "net.ipv6.conf.default.disable_ipv6": _FLAG,
    "net.ipv6.conf.lo.disable_ipv6": _FLAG,
    "net.unix.max_dgram_qlen": ((1, 4096),),
}

cpuset = word(r"\d{1,4}(?:-\d{1,4})?(?:,\d{1,4}(?:-\d{1,4})?){0,63}", "a list of CPUs, such as 0-1,3", 255)
platform = word(r"[a-z0-9]+(?:/[a-z0-9_]+){0,2}", "a platform, such as linux/arm64", 60)
cap_drop = listed(word(r"[A-Za-z_]{1,40}", "a capability, such as NET_RAW, or ALL", 40))
_oom_score_adj = number(0, 1000)


def cap_add(value: Any, scope: Scope) -> list[str]:
    """Return the capabilities beyond an engine's default ones; only those without power over the host are allowed."""

    def check(item: Any, here: Scope) -> str | None:
        name = str(item)
        if name.upper().removeprefix("CAP_") in CAPABILITIES:
            return name
        known = ", ".join(sorted(CAPABILITIES))
        here.refuse(f"{shown_word(item)} gives rights over the host; remove it (allowed: {known})")
        return None

    return list(listed(check)(value, scope))


def security_opt(value: Any, scope: Scope) -> list[str]:
    """Return the security options; only one that confines the container more is allowed."""

    def check(item: Any, here: Scope) -> str | None:
        if str(item).replace("=", ":") in ("no-new-privileges", "no-new-privileges:true"):
            return str(item)
        here.refuse(f"{shown_word(item)} weakens the container's isolation; only no-new-privileges is allowed")
        return None

    return list(listed(check)(value, scope))


def shown_word(item: Any) -> str:
    """Return a word of a list for a message, without quotes if it needs none."""
    return (
        str(item) if NAME.fullmatch(str(item)) or re.fullmatch(r"[\w:=-]{1,80}", str(item), re.ASCII) else shown(item)
    )


def oom_score_adj(value: Any, scope: Scope) -> int | None:
    """Return the score by which the kernel decides how early to end the container's processes."""
    if (given := whole(value)) is not None and given < 0:
        scope.refuse("may only be 0 or more: below it, the host's own processes would be killed first")
        return None
    checked: int | None = _oom_score_adj(value, scope)
    return checked


def ulimits(value: Any, scope: Scope) -> dict[str, Any]:
    """Return limits of processes by name: one number, or ``soft`` and ``hard``.

    Numbers above the ceiling are lowered to it.
    """
    result: dict[str, Any] = {}
    for name, given in scope.mapping(value).items():
        here = scope.at(name)
        if name not in ULIMITS:
            here.refuse(f"is not allowed; use one of: {', '.join(ULIMITS)}")
            continue
        check = _ulimit(ULIMITS[name])
        if isinstance(given, dict):
            both = here.only(given, ("soft", "hard"))
            # Compose leaves a 0 out of its canonical form, so `core: 0` is an empty mapping there.
            pair = [check(both.get(key, both.get(other, 0)), here.at(key)) for key, other in _PAIR]
            if None not in pair:
                result[name] = {"soft": _least(*pair), "hard": pair[1]}
        elif (checked := check(given, here)) is not None:
            result[name] = checked
    return result


_PAIR = (("soft", "hard"), ("hard", "soft"))


def _least(soft: int, hard: int) -> int:
    """Return the soft limit, at most the hard one; -1 is more than any number."""
    if hard == -1:
        return soft
    return hard if soft == -1 else min(soft, hard)


def _ulimit(most: int) -> Check:
    def check(value: Any, scope: Scope) -> int | None:
        given = whole(value)
        if given is None or given < -1:
            scope.refuse(f"{shown(value)} is not a whole number, or -1 for no limit")
            return None
        return given if most == -1 or 0 <= given <= most else most

    return check


def sysctls(value: Any, scope: Scope) -> dict[str, str]:
    """Return kernel parameters of the container's own network, each checked by name and range."""
    result = {}
    for name, given in scope.mapping(value).items():
        here = scope.at(name)
        ranges = SYSCTLS.get(name)
        if ranges is None:
            here.refuse("may not be set: it reaches beyond the container, or is not known to stay in it")
            continue
        text = str(given) if isinstance(given, str | int) and not isinstance(given, bool) else ""
        numbers = [whole(part) for part in text.split(" ")] if len(text) < 100 else []
        if len(numbers) == len(ranges) and all(
            one is not None and low <= one <= high for one, (low, high) in zip(numbers, ranges, strict=True)
        ):
            result[name] = text
        else:
            allowed = " and ".join(f"{low} to {high}" for low, high in ranges)
            here.refuse(f"{shown(given)} is not allowed; expected whole numbers: {allowed}")
    return result


def one_of(*allowed: str, service: bool = False) -> Check:
    """Return a check of a namespace: one of some words, or with ``service`` that of another service of the stack."""

    def check(value: Any, scope: Scope) -> Any:
        peer = value.removeprefix("service:") if isinstance(value, str) else ""
        if value in allowed:
            return value
        if service and peer != value and NAME.fullmatch(peer):
            if peer in scope.services:
                return value
            scope.refuse(f"no service {shown(peer)} in the compose file")
            return None
        may = [*allowed, *(["service:NAME"] if service else [])]
        scope.refuse(f"{shown(value)} leaves the sandbox; allowed: {', '.join(may)}")
        return None

    return check
