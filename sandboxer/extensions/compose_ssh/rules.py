"""The keys of a service that may stay, and their forms, as one table: a key in no row is refused until considered.

A check gets a value and its scope, refuses what is not allowed, and returns what is kept; None removes the key. Each
value has a grammar because podman-compose puts it on a command line. As podman-compose 1.6 does it, a value is

- a word by itself where Podman expects a name: the image, the command behind it, and names that begin with the project;
- the word behind an option that takes one (``--user VALUE``, ``--label KEY=VALUE``), which is never an option itself;
- a part of a word that Podman splits at ``,``, ``:`` or ``=``, and some of them also at quotes and line ends:
  names and aliases of networks, mounts, ports, hosts, limits, logging, groups, capabilities.

So the first and the last have a narrow grammar, and free text is only in the second and behind the image.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh import kernel, names, process
from sandboxer.extensions.compose_ssh.grammar import NAME, capped_size, flag, free_words, listed, number, shown
from sandboxer.extensions.compose_ssh.limits import CPU_SHARES
from sandboxer.extensions.compose_ssh.logs import logging
from sandboxer.extensions.compose_ssh.names import extra_hosts, labels, mac_address
from sandboxer.extensions.compose_ssh.references import problem_with_reference, tagged

if TYPE_CHECKING:
    from sandboxer.extensions.compose_ssh.grammar import Check
    from sandboxer.extensions.compose_ssh.scope import Scope

__all__ = ["NAME", "extra_hosts", "image", "labels", "mac_address", "off", "plain_keys"]

# Two copies of one stack would clash on these, or they set what the profile decides.
DROPPED = frozenset({"container_name", "cpu_count", "cpu_percent", "develop", "ports", "profiles", "pull_policy"})

_NO_RIGHTS = "gives rights over the host; remove it"
_NO_DEVICES = "exposes the host's devices; remove it"
_NO_WINDOWS = "is for Windows containers; remove it"

REFUSED = {
    "annotations": "configures the host's runtime; use labels",
    "blkio_config": _NO_DEVICES,
    "cgroup_parent": "leaves the sandbox's control group, and its ceilings; remove it",
    "cpu_rt_period": "reserves real-time CPU of the host; remove it",
    "cpu_rt_runtime": "reserves real-time CPU of the host; remove it",
    "credential_spec": _NO_WINDOWS,
    "device_cgroup_rules": _NO_DEVICES,
    "devices": _NO_DEVICES,
    "extends": "is not supported by this host's Compose; write the service in full",
    "external_links": "reaches containers outside the sandbox; put them into the compose file",
    "gpus": _NO_DEVICES,
    "isolation": _NO_WINDOWS,
    "label_file": "is not read by this host's Compose; use `labels`",
    "models": "runs outside any container; remove it",
    "oom_kill_disable": "lets the container outlive its memory ceiling; remove it",
    "privileged": _NO_RIGHTS,
    "provider": "runs outside any container; remove it",
    "runtime": "chooses another runtime of the host; remove it",
    "use_api_socket": "exposes the engine's socket, equivalent to root on the host; remove it",
    "userns_mode": "leaves the container's user namespace; remove it",
    "uts": "leaves the container's UTS namespace; use `hostname`",
}


def off(value: Any) -> bool:
    """Return whether a value is empty or negative, so that its key is not needed."""
    return not value or (isinstance(value, str) and value.lower() == "false")


def image(value: Any, scope: Scope) -> Any:
    """Return the name of an image in a registry; refuse what an engine would take for a path, an option or an id."""
    problem = problem_with_reference(value, scope.policy.project)
    if problem is not None:
        scope.refuse(problem)
        return None
    return tagged(value)


def _storage_opt(value: Any, scope: Scope) -> dict[str, Any]:
    given = scope.only(scope.mapping(value), ("size",))
    return {key: capped_size(2**60)(text, scope.at(key)) for key, text in given.items()}


def _tmpfs(value: Any, scope: Scope) -> str | None:
    """Return a path with options; harden adds a size, to keep it within the container's memory."""
    path, _, options = str(value).partition(":")
    if not isinstance(value, str) or len(value) > 1024 or not _TMPFS_PATH.fullmatch(path) or ".." in path.split("/"):
        scope.refuse(f"{shown(value)} is not an absolute path in the container, with options behind a `:`")
        return None
    for option in options.split(",") if options else ():
        if not _TMPFS_OPTION.fullmatch(option):
            scope.refuse(
                f"{shown(option)} is not an option of a tmpfs that may be set: size, mode, uid, gid, ro, noexec …"
            )
            return None
    return value


def _pid(value: Any, scope: Scope) -> Any:
    if scope.policy.podman and isinstance(value, str) and value.startswith("service:"):
        scope.refuse("is not understood by podman-compose; remove it")
        return None
    return _PID(value, scope)


_PID = kernel.one_of(service=True)
_TMPFS_PATH = re.compile(r"/[^\x00-\x1f\x7f:,\"\\$]*")
_TMPFS_OPTION = re.compile(
    r"ro|rw|(?:no)?(?:exec|suid|dev|atime|diratime)|a?sync|size=\d{1,18}[kmgKMG%]?|mode=[0-7]{1,4}"
    r"|[ug]id=\d{1,10}|nr_inodes=\d{1,12}[kmgKMG]?",
    re.ASCII,
)

# Kept if they have their form.
FORMS: dict[str, Check] = {
    "attach": flag,
    "cap_drop": kernel.cap_drop,
    "command": free_words,
    "cpu_shares": number(0, CPU_SHARES.most, lowered=True),
    "cpuset": kernel.cpuset,
    "depends_on": names.depends_on,
    "dns_opt": names.dns_opt,
    "dns_search": names.dns_search,
    "domainname": names.hostname,
    "entrypoint": free_words,
    "environment": process.environment,
    "expose": names.expose,
    "healthcheck": process.healthcheck,
    "hostname": names.hostname,
    "init": flag,
    "links": names.links,
    "mem_swappiness": number(0, 100),
    "platform": kernel.platform,
    "read_only": flag,
    "restart": process.restart,
    "shm_size": capped_size(2**60),
    "stdin_open": flag,
    "stop_grace_period": process.stop_grace_period,
    "stop_signal": process.stop_signal,
    "storage_opt": _storage_opt,
    "tmpfs": listed(_tmpfs),
    "tty": flag,
    "user": process.user,
    "working_dir": process.working_dir,
}

# Kept if their value stays within the sandbox.
CHECKED: dict[str, Check] = {
    "cap_add": kernel.cap_add,
    "cgroup": kernel.one_of("private"),
    "dns": names.dns,
    "extra_hosts": extra_hosts,
    "group_add": names.group_add,
    "ipc": kernel.one_of("private", "shareable", "none", service=True),
    "logging": logging,
    "mac_address": mac_address,
    "network_mode": kernel.one_of("none", service=True),
    "oom_score_adj": kernel.oom_score_adj,
    "pid": _pid,
    "post_start": process.hooks,
    "pre_stop": process.hooks,
    "security_opt": kernel.security_opt,
    "sysctls": kernel.sysctls,
    "ulimits": kernel.ulimits,
}


def plain_keys(service: dict[str, Any], scope: Scope, handled: frozenset[str]) -> dict[str, Any]:
    """Return what the table alone keeps of a service's keys.

    ``handled`` are the keys whose check needs more than their value.
    """
    result = {}
    for key, value in sorted(service.items()):
        here = scope.at(key)
        if value is None or key in DROPPED or key in handled or key.startswith("x-"):
            continue
        if value == "" and key not in ("command", "entrypoint"):  # such as `user: ${NOBODY}`
            continue
        if (check := FORMS.get(key) or CHECKED.get(key)) is not None:
            checked = check(value, here)
            if checked is not None:
                result[key] = checked
        elif key not in REFUSED:
            here.refuse_key(key, FORMS.keys() | CHECKED.keys() | DROPPED | handled)
        elif not off(value):
            here.refuse(REFUSED[key])
    return result
