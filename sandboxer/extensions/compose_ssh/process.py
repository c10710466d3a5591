"""A container's process: its command, its environment, the user that it runs as, its health check."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh import limits
from sandboxer.extensions.compose_ssh.delivery import escape
from sandboxer.extensions.compose_ssh.grammar import (
    duration,
    flag,
    free_words,
    is_text,
    number,
    shown,
    too_large,
    too_many,
    word,
)

if TYPE_CHECKING:
    from sandboxer.extensions.compose_ssh.grammar import Check
    from sandboxer.extensions.compose_ssh.scope import Scope

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.:/-]*", re.ASCII)
_FOLDER = re.compile(r"/[^\x00-\x1f\x7f]*")
_ELSEWHERE = ("/proc", "/sys", "/dev")

user = word(
    r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})?",
    "a user of the container, such as app, 1000 or 1000:1000",
)
stop_signal = word(
    r"(?:SIG)?[A-Za-z][A-Za-z0-9]{1,9}(?:[+-]\d{1,2})?|\d{1,2}", "a signal, such as SIGTERM, SIGRTMIN+3 or 15", 20
)
stop_grace_period = duration(0, limits.GRACE.most)
_restart = word(
    r"no|always|unless-stopped|on-failure(?::\d{1,5})?", "no, always, unless-stopped, on-failure or on-failure:N"
)


def environment(value: Any, scope: Scope) -> dict[str, str]:
    """Return the variables of a process. A name alone is one of the sandbox's variables, or is left out.

    Both engines' Compose would give it the host's value when it starts the container. With a value, podman-compose's
    ``-e NAME=VALUE`` is one word, of which everything after the first ``=`` is the value; and a name without ``*``
    never takes any of the host's variables.
    """
    given = scope.mapping(value)
    if too_many(limits.VARIABLES, len(given), scope):
        return {}
    result = {}
    for name, item in given.items():
        own = scope.policy.variables.get(name) if item is None else None
        text = item if own is None else escape(own)
        if len(name) > limits.VARIABLE.most or not _VARIABLE.fullmatch(name):
            scope.at(shown(name)).refuse("is not the name of a variable: letters, digits, `_`, `.`, `:`, `/` and `-`")
        elif text is not None and not is_text(text):
            scope.at(name).refuse("must be text without a NUL character")
        elif text is not None:
            result[name] = text
    size = sum(len(name) + len(text.encode()) + 2 for name, text in result.items())
    return {} if too_large(limits.VARIABLES_BYTES, size, scope) else result


def working_dir(value: Any, scope: Scope) -> str | None:
    """Return a directory in the container; not in ``/proc``, where an engine's own open files would lead out of it."""
    if not isinstance(value, str) or len(value) > 1024 or not _FOLDER.fullmatch(value):
        scope.refuse(f"{shown(value)} is not an absolute path in the container")
        return None
    path = "/" + posixpath.normpath(value).lstrip("/")
    if any(path == one or path.startswith(one + "/") for one in _ELSEWHERE):
        scope.refuse(f"{shown(value)} is a kernel folder; choose another one in the container")
        return None
    return value


def restart(value: Any, scope: Scope) -> str | None:
    """Return when a container is restarted; YAML 1.1 reads a bare ``no`` as false."""
    return "no" if value is False else _restart(value, scope)


def restart_policy(value: Any, scope: Scope) -> dict[str, Any]:
    """Return a checked ``deploy.restart_policy``."""
    checks: dict[str, Check] = {
        "condition": word("none|on-failure|any", "none, on-failure or any"),
        "delay": duration(0, 3600),
        "max_attempts": number(0, 10_000),
        "window": duration(0, 24 * 3600),
    }
    return _each(value, scope, checks)


def healthcheck(value: Any, scope: Scope) -> dict[str, Any]:
    """Return the health check: free words, which run only in the container, and bounded times.

    podman-compose makes ``test`` one word, as JSON, behind ``--health-cmd``.
    """
    most = limits.HEALTH_TIME.most
    time = duration(limits.HEALTH_INTERVAL, most)
    checks: dict[str, Check] = {
        "disable": flag,
        "interval": time,
        "retries": number(0, limits.HEALTH_RETRIES.most, lowered=True),
        "start_interval": time,
        "start_period": duration(0, most),
        "test": _test,
        "timeout": time,
    }
    checked = _each(value, scope, checks)
    if scope.policy.podman:  # which supports it only together with a separate test for the start
        checked.pop("start_interval", None)
    return checked


def _test(value: Any, scope: Scope) -> Any:
    words = free_words(value, scope)
    if not words or isinstance(words, str):
        return words or None
    kind, count = words[0], len(words)
    if kind not in ("NONE", "CMD", "CMD-SHELL"):
        scope.refuse(f"{shown(kind)} is not NONE, CMD or CMD-SHELL, with which the list begins")
    elif (kind == "CMD" and count < 2) or (kind == "CMD-SHELL" and count != 2):
        scope.refuse(f"has {count - 1} words behind {kind}; CMD takes one or more, and CMD-SHELL one text")
    else:
        return words[:1] if kind == "NONE" else words
    return None


def hooks(value: Any, scope: Scope) -> list[dict[str, Any]]:
    """Return ``post_start`` or ``pre_stop``: commands in the container, with no more rights than it has."""
    checks: dict[str, Check] = {
        "command": free_words,
        "environment": _hook_environment,
        "privileged": _privileged,
        "user": user,
        "working_dir": working_dir,
    }
    if isinstance(value, list) and too_many(limits.HOOKS, len(value), scope):
        return []
    return [_each(item, here, checks) for here, item in scope.items(value)]


def _hook_environment(value: Any, scope: Scope) -> dict[str, str]:
    """Return the variables as those of a service; Compose leaves them in the form in which they are written."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        pairs = [item.partition("=") for item in value]
        value = {name: text if equals else None for name, equals, text in pairs}
    return environment(value, scope)


def _privileged(value: Any, scope: Scope) -> None:
    if value and not (isinstance(value, str) and value.lower() == "false"):
        scope.refuse("gives rights over the host; remove it")


def _each(value: Any, scope: Scope, checks: dict[str, Check]) -> dict[str, Any]:
    given = scope.only(scope.mapping(value), checks)
    checked = {key: checks[key](item, scope.at(key)) for key, item in given.items()}
    return {key: item for key, item in checked.items() if item is not None}
