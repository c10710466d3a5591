"""Where a container's output goes: files of the engine, of bounded size whether or not the compose file says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh import limits
from sandboxer.extensions.compose_ssh.grammar import capped_size, number, shown, word

if TYPE_CHECKING:
    from sandboxer.extensions.compose_ssh.grammar import Check
    from sandboxer.extensions.compose_ssh.scope import Scope

# Not journald: a container's output would displace the host's own messages in its journal.
DRIVERS = ("json-file", "local", "none")
_NAMES = word(r"[A-Za-z0-9_.,/-]*", "a list of names", 255)
_PATTERN = word(r"[^\x00-\x1f\x7f,\"]*", "a regular expression without `,` and quotes", 255)
_FLAG = word("true|false", "true or false", 5)
# An engine runs a tag as a template for each container: `{{pad .Name 2000000000 0}}` uses memory of Docker's daemon.
_FIELDS = "DaemonName|FullID|ID|ImageFullID|ImageID|ImageName|Name"
_TAG = word(
    rf"(?:[A-Za-z0-9_.:/ -]|{{{{ ?\.(?:{_FIELDS}) ?}}}})*",
    f"a tag of letters, digits and these fields: {{{{.{_FIELDS.replace('|', '}}, {{.')}}}}}",
    255,
)

OPTIONS: dict[str, Check] = {
    "compress": _FLAG,
    "env": _NAMES,
    "env-regex": _PATTERN,
    "labels": _NAMES,
    "labels-regex": _PATTERN,
    "max-buffer-size": capped_size(limits.LOG_BUFFER.most),
    "max-file": number(1, limits.LOG_FILES.most, lowered=True),
    "max-size": capped_size(limits.LOG_SIZE.most),
    "mode": word("blocking|non-blocking", "blocking or non-blocking", 12),
    "tag": _TAG,
}
_OF_DRIVER = {"json-file": OPTIONS.keys(), "local": ("compress", "max-buffer-size", "max-file", "max-size", "mode")}
_OF_PODMAN = ("max-size",)  # its only kind of file supports no more, and no container starts with a tag


def logging(value: Any, scope: Scope) -> dict[str, Any]:
    """Return the logging of a service: by default a few files of a few MiB, and never more than the limits allow."""
    given = scope.only(scope.mapping(value), ("driver", "options"))
    driver = str(given.get("driver") or "json-file")
    if driver not in DRIVERS:
        why = "writes to the host's journal" if driver == "journald" else "sends logs to another system"
        scope.at("driver").refuse(f"{why}; it may be {', '.join(DRIVERS)}")
        return {}
    here = scope.at("options")
    options = {}
    for key, text in here.only(here.mapping(given.get("options")), OPTIONS).items():
        checked = OPTIONS[key](str(text).lower() if isinstance(text, bool) else text, here.at(key))
        if checked is not None:
            options[key] = str(checked)
    if driver == "none":
        return {"driver": driver}
    if scope.policy.podman:
        kept = {key: options[key] for key in _OF_PODMAN if key in options}
        return {"driver": "k8s-file", "options": {"max-size": str(limits.DEFAULT_LOG_SIZE)} | kept}
    for key in sorted(options.keys() - set(_OF_DRIVER[driver])):
        here.at(key).refuse(f"is not an option of the driver {shown(driver)}; remove it")
    default = {"max-file": str(limits.DEFAULT_LOG_FILES), "max-size": str(limits.DEFAULT_LOG_SIZE)}
    return {"driver": driver, "options": default | options}
