"""The doctor's checks of a host's engine and Compose."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.capabilities import HostChecks
from sandboxer.extensions.compose_ssh.compose_tool import kind_by_name, kind_by_version
from sandboxer.extensions.compose_ssh.engines import is_denied
from sandboxer.extensions.compose_ssh.firewall import check_firewall
from sandboxer.extensions.compose_ssh.installation import (
    install_compose,
    install_docker,
    install_engine,
    install_podman_compose,
)
from sandboxer.model.host_report import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.hosts.facts import HostFacts

_OLDEST = {"Docker": (20, 10), "Podman": (4, 0), "Docker Compose": (2, 20), "podman-compose": (1, 1)}
_LIMITS = {"MemoryLimit": "memory", "CpuCfsQuota": "cpu", "PidsLimit": "pids"}
_TIMED_OUT = "124"
_ANSWER_SECONDS = 20
_DELEGATE = "/etc/systemd/system/user@.service.d/delegate.conf"

# What keeps an ordinary login from a new namespace: the kernel's key, the value that does, one that does not.
_NAMESPACES = (
    ("unprivileged_userns_clone", "0", "1"),
    ("apparmor_restrict_unprivileged_userns", "1", "0"),
    ("max_user_namespaces", "0", "10000"),
)
_SYSCTL = {
    "unprivileged_userns_clone": "kernel.unprivileged_userns_clone",
    "apparmor_restrict_unprivileged_userns": "kernel.apparmor_restrict_unprivileged_userns",
    "max_user_namespaces": "user.max_user_namespaces",
}


def check_engine(facts: HostFacts) -> Iterator[Check]:
    """Yield whether the engine for new sandboxes is there, is the real one, answers, and is open to this login."""
    clients, chosen = facts.all("client"), facts.one("info")[0]
    runtime, system = facts.text("requested-engine"), facts.system
    shim = facts.text("shim") or facts.one("shim")[0]
    has_docker, has_podman = (any(key.startswith(engine) for key in clients) for engine in ("docker", "podman"))
    if runtime == "docker" and not has_docker:
        found = "spec.runtime is docker, but no docker command is installed"
        if shim:
            found = f"spec.runtime is docker, but {shim} is Podman's replacement"
        other = "\nor set `runtime: podman` on the Host" if has_podman else ""
        yield Check("engine", "error", found, install_docker(system) + other)
    elif runtime == "podman" and not has_podman:
        other = "\nor set `runtime: docker` on the Host" if has_docker else ""
        found = "spec.runtime is podman, but no podman command is installed"
        yield Check("engine", "error", found, system.install("podman") + other)
    elif not chosen:
        yield Check("engine", "error", "neither Docker nor Podman is installed", install_engine(system))
    elif not _answers(facts):
        yield _unresponsive(facts, chosen)
    else:
        yield _answering(facts, chosen, shim)
        if chosen == "docker" and has_podman:
            found = "Podman is installed too; new sandboxes use Docker"
            yield Check("engine", "note", found, "set `runtime: podman` on the Host to use Podman")


def _answers(facts: HostFacts) -> bool:
    # A docker client before 23 exits with 0 if its daemon does not answer, and says so only in its output.
    return facts.one("info-code")[0] == "0" and not _info(facts).get("ServerErrors")


def _unresponsive(facts: HostFacts, chosen: str) -> Check:
    """Return why an installed engine does not answer, and what to do."""
    code, output = facts.one("info-code")
    errors = _info(facts).get("ServerErrors") or []
    words = " ".join([*(str(error) for error in errors), output]).strip()
    system = facts.system
    if code == _TIMED_OUT:
        found = f"{_named(chosen)} does not answer within {_ANSWER_SECONDS} s"
        return Check("engine", "error", found, system.restart_service(chosen) if chosen == "docker" else f"{chosen} ps")
    if is_denied(words) and chosen == "docker":
        socket, group = facts.one("socket")
        found = f"{system.user} cannot use Docker's socket {socket} of group {group}"
        remedy = system.as_root(f"usermod -aG {group or 'docker'} {system.user}")
        note = "note: access to Docker is equivalent to root on the host; rootless Docker or Podman is not"
        return Check("engine", "error", found, f"{remedy}\n{note}")
    if is_denied(words):
        found = f"{system.user} cannot use Podman: {words.splitlines()[-1]}"
        remedy = (
            f"log in as {system.user} itself, not by su, so that its runtime folder is its own\npodman system migrate"
        )
        return Check("engine", "error", found, remedy)
    last = words.splitlines()[-1] if words else f"exit code {code}"
    remedy = system.start_service(chosen) if chosen == "docker" else "podman info"
    return Check("engine", "error", f"{_named(chosen)} does not answer: {last}", remedy)


def _answering(facts: HostFacts, chosen: str, shim: str) -> Check:
    info = _info(facts)
    client = next((key.partition(" ")[2] for key in facts.all("client") if key.startswith(chosen)), "")
    if chosen == "docker":
        version = str(info.get("ServerVersion", ""))
        details = [f"client {client}", f"cgroup v{info.get('CgroupVersion', '1')}"]
        if any("rootless" in option for option in info.get("SecurityOptions") or ()):
            details.insert(0, "rootless")
    else:
        host = info.get("host") or {}
        version = str((info.get("version") or {}).get("Version", ""))
        details = [f"cgroup {host.get('cgroupVersion', 'v?')}"]
        if (host.get("security") or {}).get("rootless"):
            details.insert(0, "rootless")
        if shim:
            details.append(f"{shim} is its replacement for docker")
    found = f"{_named(chosen)} {version or 'of unknown version'} answers ({', '.join(details)})"
    return _old_or_ok("engine", _named(chosen), version, found, "upgrade it")


def check_limits(facts: HostFacts) -> Iterator[Check]:
    """Yield whether the engine can hold containers to their ceilings."""
    info, chosen = _info(facts), facts.one("info")[0]
    if not _answers(facts):
        return
    if chosen == "docker":
        without = [word for key, word in _LIMITS.items() if info.get(key) is False]
        remedy = (
            "start the kernel with `systemd.unified_cgroup_hierarchy=1`, or with `cgroup_enable=memory swapaccount=1`"
        )
    else:
        host: dict[str, Any] = info.get("host") or {}
        without = [word for word in _LIMITS.values() if word not in (host.get("cgroupControllers") or ())]
        file = f"[Service]\nDelegate={' '.join(_LIMITS.values())}"
        remedy = f"as root, write {_DELEGATE}:\n{file}\nthen: systemctl daemon-reload, and log in again"
    if without:
        yield Check("limits", "warning", f"ceilings of {', '.join(without)} have no effect here", remedy)
    else:
        yield Check("limits", "ok", "memory, cpu and process ceilings work")


def check_builds(facts: HostFacts) -> Iterator[Check]:
    """Yield whether the engine holds build steps to the ceilings of containers; Docker's builders cannot."""
    chosen = facts.one("info")[0]
    if not _answers(facts):
        return
    remedy = "use images instead of builds for untrusted input, or a separate host"
    if chosen == "docker":
        yield Check(
            "builds", "note", "build steps on Docker have no ceilings except the time limit of an apply", remedy
        )
    elif facts.uid != "0":
        yield Check("builds", "note", "build steps on rootless Podman have no ceilings", remedy)
    else:
        yield Check("builds", "ok", "build steps have the memory and cpu ceilings of containers")


def check_build_cache(facts: HostFacts) -> Iterator[Check]:
    """Yield how much Docker keeps of former builds, if it does: no label shows whose that is."""
    size = facts.one("build-cache")[1].strip()
    if size and not size.startswith("0B"):
        found = f"Docker keeps {size} of build cache; which builds it is from is unknown, so Sandboxer leaves it"
        yield Check("build cache", "note", found, "docker builder prune")


def check_compose(facts: HostFacts) -> Iterator[Check]:
    """Yield the Compose that an apply would use, and whether it is new enough."""
    chosen = facts.one("info")[0]
    if not chosen or facts.one("info-code")[0] == _TIMED_OUT:
        return
    system, requested = facts.system, facts.checked.tool
    command, output = facts.one("compose")
    code, complaint = facts.one("compose-code")
    by_podman = (kind_by_name(command or chosen) or kind_by_version(complaint)) == "podman-compose"
    install = install_podman_compose(system) if by_podman else install_compose(system)
    if not command:
        yield Check(
            "compose", "error", "neither the docker-compose plugin nor a docker-compose command is installed", install
        )
        return
    if code != "0":
        last = (complaint.splitlines() or [f"exit code {code}"])[-1]
        if command == "podman compose" and not requested:
            last = "podman-compose is not installed, and this Podman has no `compose` command"
        yield Check("compose", "error", f"`{command}` does not work: {last}", install)
        return
    version = _version(output or complaint)
    name = "podman-compose" if by_podman and "podman-compose" in f"{command} {output}{complaint}" else "Docker Compose"
    request = ", as requested" if requested else ""
    found = f"{name} {version or 'of unknown version'} (`{command}`{request})"
    yield _old_or_ok("compose", name, version, found, install)


def check_reading(facts: HostFacts) -> Iterator[Check]:
    """Yield whether the Compose that reads a stranger's files can read anything else."""
    words, system = facts.words("reading"), facts.system
    if not words or not facts.one("info")[0]:
        return
    if words.get("way"):
        yield Check("reading", "ok", "Compose reads files in a private mount, without network")
        return
    key, value = next(((key, good) for key, bad, good in _NAMESPACES if words.get(key) == bad), ("", ""))
    if "unshare" not in words:
        why, remedy = "unshare is not installed", system.install("util-linux")
    elif key and not system.is_root:
        why, remedy = f"{_SYSCTL[key]} is {words[key]}", system.as_root(f"sysctl -w {_SYSCTL[key]}={value}")
    else:
        why, remedy = "cannot create a mount namespace", "use a host that is not a container, or log in as root"
    found = f"Compose can read every file that {system.user} can read: {why}"
    yield Check("reading", "warning", found, remedy)


def check_rootless(facts: HostFacts) -> Iterator[Check]:
    """Yield what a Podman of an ordinary login needs to outlive that login."""
    if facts.one("info")[0] == "podman" and facts.uid != "0":
        fine = Check("rootless", "ok", f"Podman of {facts.system.user} keeps running after logout")
        yield from list(_rootless_problems(facts)) or [fine]


def _rootless_problems(facts: HostFacts) -> Iterator[Check]:
    words, system = facts.words("rootless"), facts.system
    if words.get("runtime_dir_there") != "yes":
        found = "XDG_RUNTIME_DIR is not a folder: Podman keeps its state in /tmp, which may be cleared"
        package = "libpam-systemd" if system.family == "debian" else "systemd"
        yield Check("rootless", "warning", found, system.install(package))
    if system.systemd and words.get("linger") != "yes":
        found = f"containers of {system.user} stop at the end of the last session"
        yield Check("rootless", "warning", found, system.as_root(f"loginctl enable-linger {system.user}"))
    if not {"subuid", "subgid"} <= words.keys():
        found = f"{system.user} has no user IDs for containers in /etc/subuid and /etc/subgid"
        ranges = f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {system.user}"
        yield Check("rootless", "error", found, f"{system.as_root(ranges)}\npodman system migrate")


def _info(facts: HostFacts) -> dict[str, Any]:
    """Return the engine's description of itself; empty if it cannot be parsed."""
    try:
        value = json.loads(facts.one("info")[1])
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _named(engine: str) -> str:
    return engine.capitalize()


def _version(text: str) -> str:
    match = re.search(r"\d+(\.\d+)+[\w.+~-]*", text)
    return match[0] if match else ""


def _old_or_ok(check: str, what: str, version: str, found: str, remedy: str) -> Check:
    """Return the check of a version.

    An outdated Docker Compose is an error, because version 1 is another program; anything else too old may still work.
    """
    number = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    oldest = _OLDEST[what]
    if not number:
        return Check(check, "warning", found, f"{what} {oldest[0]}.{oldest[1]} or newer is required")
    if number < oldest:
        status: Any = "error" if what == "Docker Compose" else "warning"
        return Check(check, status, f"{found}; {oldest[0]}.{oldest[1]} or newer is required", remedy)
    return Check(check, "ok", found)


HOST_CHECKS = HostChecks(
    (
        "sandboxer.extensions.compose_ssh:engine.sh",
        "sandboxer.extensions.compose_ssh:confine.sh",
        "sandboxer.extensions.compose_ssh:render.sh",
        "sandboxer.extensions.compose_ssh:verbs.sh",
        "sandboxer.extensions.compose_ssh:doctor.sh",
    ),
    (
        check_engine,
        check_limits,
        check_builds,
        check_build_cache,
        check_compose,
        check_reading,
        check_rootless,
        check_firewall,
    ),
)
