"""Which keys of a service may stay: one table. What is in no row is refused, until somebody has thought about it.

A check gets a value and its place, refuses what may not be, and gives what stays; None takes the key away.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.references import problem_with_reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.extensions.compose_ssh.scope import Scope

PASSED = frozenset({
    "attach", "cap_drop", "command", "cpu_shares", "cpuset", "depends_on", "dns_opt", "dns_search", "domainname",
    "entrypoint", "environment", "expose", "healthcheck", "hostname", "init", "links", "mem_swappiness", "platform",
    "read_only", "restart", "shm_size", "stdin_open", "stop_grace_period", "stop_signal", "storage_opt", "tmpfs",
    "tty", "ulimits", "user", "working_dir",
})  # fmt: skip

# Two copies of one stack would clash on these, or they say what the profile decides.
DROPPED = frozenset({"container_name", "cpu_count", "cpu_percent", "develop", "ports", "profiles", "pull_policy"})

_NO_RIGHTS = "gives rights over the host; remove it"
_NO_DEVICES = "hands out the host's devices; remove it"
_NO_WINDOWS = "is for Windows containers; remove it"

REFUSED = {
    "annotations": "steers the host's runtime; use labels",
    "blkio_config": _NO_DEVICES,
    "cgroup_parent": "leaves the sandbox's control group, and its ceilings; remove it",
    "cpu_rt_period": "takes real-time from the host; remove it",
    "cpu_rt_runtime": "takes real-time from the host; remove it",
    "credential_spec": _NO_WINDOWS,
    "device_cgroup_rules": _NO_DEVICES,
    "devices": _NO_DEVICES,
    "extends": "is not resolved by this host's Compose; write the service out",
    "external_links": "reaches containers outside the sandbox; put them into the compose file",
    "gpus": _NO_DEVICES,
    "isolation": _NO_WINDOWS,
    "label_file": "is not read by this host's Compose; use `labels`",
    "models": "runs outside any container; remove it",
    "oom_kill_disable": "lets the container outlive its memory ceiling; remove it",
    "privileged": _NO_RIGHTS,
    "provider": "runs outside any container; remove it",
    "runtime": "chooses another runtime of the host; remove it",
    "use_api_socket": "hands out the engine's socket, which is root on the host; remove it",
    "userns_mode": "leaves the container's user namespace; remove it",
    "uts": "leaves the container's UTS namespace; use `hostname`",
}

CAPABILITIES = frozenset({
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
})  # fmt: skip
LOG_DRIVERS = frozenset({"json-file", "local", "none", "journald"})
LOG_OPTIONS = frozenset({
    "compress", "env", "env-regex", "labels", "labels-regex", "max-buffer-size", "max-file", "max-size", "mode", "tag",
})  # fmt: skip

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_MAC = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}", re.IGNORECASE)
_OURS = ("dev.sandboxer.", "com.docker.compose.", "io.podman.")


def off(value: Any) -> bool:
    """Whether a value says nothing or no, so that its key need not be there."""
    return not value or (isinstance(value, str) and value.lower() == "false")


def image(value: Any, scope: Scope) -> Any:
    """The name of an image in a registry, and nothing that an engine would take for a path, an option or an id."""
    problem = problem_with_reference(value, scope.policy.project)
    if problem is not None:
        scope.refuse(problem)
        return None
    return value


def labels(value: Any, scope: Scope) -> dict[str, Any]:
    """A file's own labels; those that tell whose a container is are not for it to set."""
    given = scope.mapping(value)
    for key in given:
        if key.startswith(_OURS):
            scope.at(key).refuse("is set by Sandboxer or the engine; remove it")
    return {key: "" if text is None else text for key, text in given.items()}


def _capabilities(value: Any, scope: Scope) -> list[str]:
    for here, item in scope.items(value):
        if str(item).upper().removeprefix("CAP_") not in CAPABILITIES:
            here.refuse(f"{item} {_NO_RIGHTS} (may be added: {', '.join(sorted(CAPABILITIES))})")
    return [str(item) for item in value] if isinstance(value, list) else []


def _security_opt(value: Any, scope: Scope) -> list[str]:
    for here, item in scope.items(value):
        if str(item).replace("=", ":") not in ("no-new-privileges", "no-new-privileges:true"):
            here.refuse(f"{item} loosens what confines the container; only no-new-privileges may be set")
    return [str(item) for item in value] if isinstance(value, list) else []


def _sysctls(value: Any, scope: Scope) -> dict[str, Any]:
    given = scope.mapping(value)
    for key in given:
        if not key.startswith("net."):
            scope.at(key).refuse("reaches beyond the container; only net.* may be set")
    return given


def _one_of(*allowed: str, service: bool = False) -> Callable[[Any, Scope], Any]:
    """A check of a namespace: some words, and that of another service of the stack."""

    def check(value: Any, scope: Scope) -> Any:
        peer = value.removeprefix("service:") if isinstance(value, str) else ""
        if value in allowed or (service and peer != value and NAME.fullmatch(peer)):
            return value
        may = [*allowed, *(["service:NAME"] if service else [])]
        scope.refuse(f"{value!r} leaves the sandbox; it may be {' or '.join(may)}")
        return None

    return check


def _logging(value: Any, scope: Scope) -> dict[str, Any]:
    given = scope.only(scope.mapping(value), ("driver", "options"))
    if str(given.get("driver", "json-file")) not in LOG_DRIVERS:
        scope.at("driver").refuse(f"sends logs elsewhere; it may be {', '.join(sorted(LOG_DRIVERS))}")
    here = scope.at("options")
    here.only(here.mapping(given.get("options")), LOG_OPTIONS)
    return given


def _hooks(value: Any, scope: Scope) -> list[dict[str, Any]]:
    hooks = []
    for here, item in scope.items(value):
        hook = here.only(here.mapping(item), ("command", "environment", "privileged", "user", "working_dir"))
        if not off(hook.pop("privileged", None)):
            here.at("privileged").refuse(_NO_RIGHTS)
        hooks.append(hook)
    return hooks


def _dns(value: Any, scope: Scope) -> Any:
    if scope.policy.egress == "deny":
        scope.refuse("asks outside the sandbox's networks, which `egress: deny` forbids; remove it")
    return value


def _oom_score_adj(value: Any, scope: Scope) -> Any:
    if isinstance(value, int) and value >= 0:
        return value
    scope.refuse("may only be 0 or more: below it, the host's own processes would be killed first")
    return None


def extra_hosts(value: Any, scope: Scope) -> list[str]:
    """More names in the container's hosts file; the host itself is none under ``egress: deny``."""
    hosts = []
    for here, item in scope.items(value):
        if "host-gateway" in str(item) and scope.policy.egress == "deny":
            here.refuse("host-gateway is the host itself, which `egress: deny` keeps out of reach; remove it")
        hosts.append(str(item).replace("=", ":", 1) if scope.policy.podman else str(item))
    return hosts


def _group_add(value: Any, scope: Scope) -> list[str]:
    for here, item in scope.items(value):
        if not NAME.fullmatch(str(item)) or item == "keep-groups":
            here.refuse(f"{item!r} is not the name or number of a group in the container")
    return [str(item) for item in value] if isinstance(value, list) else []


def mac_address(value: Any, scope: Scope) -> Any:
    """A hardware address."""
    if isinstance(value, str) and _MAC.fullmatch(value):
        return value
    scope.refuse("is not a hardware address such as 02:42:ac:11:00:02")
    return None


CHECKED: dict[str, Callable[[Any, Scope], Any]] = {
    "cap_add": _capabilities,
    "cgroup": _one_of("private"),
    "dns": _dns,
    "extra_hosts": extra_hosts,
    "group_add": _group_add,
    "ipc": _one_of("private", "shareable", "none", service=True),
    "logging": _logging,
    "mac_address": mac_address,
    "network_mode": _one_of("none", service=True),
    "oom_score_adj": _oom_score_adj,
    "pid": _one_of(service=True),
    "post_start": _hooks,
    "pre_stop": _hooks,
    "security_opt": _security_opt,
    "sysctls": _sysctls,
}


def plain_keys(service: dict[str, Any], scope: Scope, handled: frozenset[str]) -> dict[str, Any]:
    """What stays of a service's keys by the table alone; ``handled`` are the keys that need more than their value."""
    result = {}
    for key, value in sorted(service.items()):
        here = scope.at(key)
        if value is None or key in DROPPED or key in handled or key.startswith("x-"):
            continue
        if key in PASSED:
            result[key] = value
        elif key in CHECKED:
            checked = CHECKED[key](value, here)
            if checked is not None:
                result[key] = checked
        elif key not in REFUSED:
            here.refuse("is not supported in a sandbox; remove it")
        elif not off(value):
            here.refuse(REFUSED[key])
    return result
