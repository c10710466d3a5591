"""What Compose adds to merged services and how it writes their values: numbers, sizes, durations, commands."""

from __future__ import annotations

import posixpath
import re
import shlex
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.expected.canonical import as_mapping, dependency
from sandboxer.extensions.compose_ssh.expected.nodes import Node, shown
from sandboxer.extensions.compose_ssh.grammar import size
from sandboxer.extensions.compose_ssh.harden import SERVICE_KEYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.extensions.compose_ssh.expected.interpolation import Environment

MAX_DIGITS = 18
# Printed even if they are empty, false or zero: that is something else than none.
_KEPT = frozenset({"attach", "command", "entrypoint", "init", "networks", "scale", "stop_grace_period"})
_MAPPINGS = ("annotations", "environment", "labels", "sysctls", "storage_opt")
_BOOLEANS = {"true": True, "y": True, "yes": True, "on": True, "false": False, "n": False, "no": False, "off": False}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ns|us|µs|ms|s|m|h|d|w)", re.ASCII)
_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
                "d": 86400 * 10**9, "w": 7 * 86400 * 10**9}  # fmt: skip
# Compose's splitter of commands stops at these or takes them for another program's output.
_SHELL = re.compile(r"[;&|<>`]|\$\(")


def finished(service: Node, environment: Environment) -> Node:
    """Return a merged service as Compose prints it."""
    for key in _MAPPINGS:
        found = service.get(key)
        if found is not None:
            made = _texts(as_mapping(found))
            service = service.with_entry(key, resolved(made, environment) if key == "environment" else made)
    build = service.get("build")
    if build is not None and isinstance(build.value, dict):
        service = service.with_entry("build", _build(build, environment))
    service = _with_dependencies(service)
    joined = service.get("networks")
    if (joined is None or not joined.value) and service.get("network_mode") is None:
        service = service.with_entry("networks", Node({"default": Node(None, service.at)}, service.at))
    for path, change in _CHANGES.items():
        service = _changed(service, path, change)
    return service.holding({key: item for key, item in service.entries().items() if not _is_left_out(key, item)})


def _is_left_out(key: str, item: Node) -> bool:
    """Return whether Compose leaves out a key for its value. One that it does not know, it refuses with any value."""
    return key in SERVICE_KEYS and key not in _KEPT and _is_empty(item)


def _is_empty(node: Node) -> bool:
    """Return whether Compose leaves a key out for its value: an empty list or mapping, false, or zero."""
    return not node.unknown and node.value is not None and not node.value and node.value != ""


def _texts(node: Node) -> Node:
    if not isinstance(node.value, dict):
        return node
    return node.holding({key: item if item.value is None or isinstance(item.value, dict | list)
                         else item.holding(shown(item.value)) for key, item in node.value.items()})  # fmt: skip


def resolved(node: Node, environment: Environment, *, keep: bool = True) -> Node:
    """Return variables with those filled in that are names alone; ``keep`` the names that nothing sets."""
    found = {}
    for name, item in node.entries().items():
        value, is_set = environment.lookup(name) if item.value is None and not item.unknown else (None, False)
        if is_set:
            unknown = "" if value is not None else f"it is the value of {name}, which is not known here"
            found[name] = replace(item, value=value, unknown=unknown)
        elif item.value is not None or item.unknown or keep:
            found[name] = item
    return node.holding(found)


def _build(node: Node, environment: Environment) -> Node:
    if "context" not in node.value:
        return node  # set before paths are made absolute
    if "dockerfile" not in node.value and "dockerfile_inline" not in node.value:
        node = node.with_entry("dockerfile", Node("Dockerfile", node.at, node.key))
    for key in ("args", "labels"):
        found = node.get(key)
        if found is not None:
            made = _texts(as_mapping(found))
            node = node.with_entry(key, resolved(made, environment, keep=False) if key == "args" else made)
    return node


def _with_dependencies(service: Node) -> Node:
    """Add the services that others are used through to those that are started first."""
    needed: dict[str, bool] = {}
    for link in _items(service, "links"):
        parts = shown(link.value).split(":")
        needed[parts[0] if len(parts) == 2 else shown(link.value)] = True
    for key in ("network_mode", "ipc", "pid", "uts", "cgroup"):
        mode = service.get(key)
        if mode is not None and isinstance(mode.value, str) and mode.value.startswith("service:"):
            needed.setdefault(mode.value.removeprefix("service:"), True)
    for item in _items(service, "volumes_from"):
        if not shown(item.value).startswith("container:"):
            needed.setdefault(shown(item.value).split(":")[0], False)
    depends = service.get("depends_on") or Node({}, service.at, service.key)
    if not needed or not isinstance(depends.value, dict):
        return service
    added = {name: dependency(Node({}, service.at), restart=restart) for name, restart in needed.items()}
    return service.with_entry("depends_on", depends.holding(added | depends.value))


def _items(service: Node, key: str) -> list[Node]:
    found = service.get(key)
    return [] if found is None else found.items()


def _changed(node: Node, path: tuple[str, ...], change: Callable[[Any], Any]) -> Node:
    """Return a node in which the scalar or list at each match of a path is changed; ``*`` stands for every entry."""
    if not path:
        return node if node.value is None or node.unknown else _made(node, change(node.value))
    if path[0] == "*":
        if isinstance(node.value, list):
            return node.holding([_changed(item, path[1:], change) for item in node.value])
        names = tuple(node.entries())
    else:
        names = (path[0],) if path[0] in node.entries() else ()
    for name in names:
        node = node.with_entry(name, _changed(node.value[name], path[1:], change))
    return node


def _made(node: Node, value: Any) -> Node:
    if isinstance(value, list) and value is not node.value:
        return node.holding([item if isinstance(item, Node) else Node(item, node.at) for item in value])
    return node.holding(value)


def _boolean(value: Any) -> Any:
    return _BOOLEANS.get(value.lower(), value) if isinstance(value, str) else value


def _integer(value: Any) -> Any:
    if isinstance(value, str) and len(value) <= MAX_DIGITS and re.fullmatch(r"[-+]?[0-9]+", value, re.ASCII):
        return int(value)
    return value


def _bytes(value: Any) -> Any:
    if isinstance(value, float):
        return None  # Compose takes none for a size
    given = size(value)
    return value if given is None or isinstance(value, bool) else str(given)


def _duration(value: Any) -> Any:
    """Return a duration as Go writes it: 90s is 1m30s."""
    if not isinstance(value, str) or len(value) > 40 or not re.fullmatch(f"(?:{_DURATION.pattern})+", value, re.ASCII):
        return value
    total = int(sum(Decimal(number) * _NANOSECONDS[unit] for number, unit in _DURATION.findall(value)))
    if total < 10**9:
        unit = next((unit for unit in ("ms", "µs", "ns") if total >= _NANOSECONDS[unit]), "s")
        return f"{_decimal(Decimal(total) / _NANOSECONDS[unit])}{unit}" if total else "0s"
    minutes, rest = divmod(total, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    words = (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "")
    return f"{words}{_decimal(Decimal(rest) / 10**9)}s"


def _decimal(number: Decimal) -> str:
    return f"{number.normalize():f}"


def _command(value: Any) -> Any:
    if isinstance(value, list):
        return [item.holding(shown(item.value)) for item in value]
    if not isinstance(value, str) or _SHELL.search(value):
        return value
    try:
        return shlex.split(value)
    except ValueError:
        return value


def _mode(value: Any) -> Any:
    return f"0{value:o}" if isinstance(value, int) and not isinstance(value, bool) else value


def _test(value: Any) -> Any:
    return ["CMD-SHELL", value] if isinstance(value, str) else value


def _strings(value: Any) -> Any:
    return [item.holding(shown(item.value)) for item in value] if isinstance(value, list) else value


def _hosts(value: Any) -> Any:
    if isinstance(value, dict):
        pairs = [(name, one) for name, item in value.items() for one in item.items() or [item]]
        return sorted((one.holding(f"{name}={shown(one.value)}") for name, one in pairs), key=_by_value)
    if isinstance(value, list):
        texts = [(item, shown(item.value)) for item in value]
        made = [item.holding(text if "=" in text else text.replace(":", "=", 1)) for item, text in texts]
        return sorted(made, key=_by_value)
    return value


def _by_value(node: Node) -> str:
    return str(node.value)


def _clean(value: Any) -> Any:
    return posixpath.normpath(value) if isinstance(value, str) and value else value


def _text(value: Any) -> Any:
    return value if isinstance(value, dict | list) else shown(value)


_CHANGES: dict[tuple[str, ...], Callable[[Any], Any]] = {
    ("command",): _command,
    ("entrypoint",): _command,
    ("expose",): _strings,
    ("extra_hosts",): _hosts,
    ("healthcheck", "test"): _test,
    ("logging", "options", "*"): _text,
    ("volumes", "*", "target"): _clean,
    ("configs", "*", "mode"): _mode,
    ("secrets", "*", "mode"): _mode,
    **dict.fromkeys([("post_start", "*", "command"), ("pre_stop", "*", "command")], _command),
    **dict.fromkeys(
        [("init",), ("privileged",), ("read_only",), ("stdin_open",), ("tty",), ("oom_kill_disable",),
         ("healthcheck", "disable"), ("depends_on", "*", "required"), ("depends_on", "*", "restart"),
         ("volumes", "*", "read_only"), ("volumes", "*", "volume", "nocopy")], _boolean),
    **dict.fromkeys(
        [("cpu_count",), ("cpu_period",), ("cpu_quota",), ("cpu_shares",), ("oom_score_adj",), ("pids_limit",),
         ("scale",), ("healthcheck", "retries"), ("deploy", "replicas"), ("deploy", "restart_policy", "max_attempts"),
         ("ulimits", "*"), ("ulimits", "*", "soft"), ("ulimits", "*", "hard")], _integer),
    **dict.fromkeys(
        [("mem_limit",), ("mem_reservation",), ("memswap_limit",), ("shm_size",), ("build", "shm_size"),
         ("deploy", "resources", "limits", "memory"), ("deploy", "resources", "reservations", "memory"),
         ("volumes", "*", "tmpfs", "size")], _bytes),
    **dict.fromkeys(
        [("stop_grace_period",), ("healthcheck", "interval"), ("healthcheck", "timeout"),
         ("healthcheck", "start_period"), ("healthcheck", "start_interval"),
         ("deploy", "restart_policy", "delay"), ("deploy", "restart_policy", "window")], _duration),
}  # fmt: skip
