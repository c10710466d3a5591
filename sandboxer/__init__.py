"""Sandboxer: short-lived, isolated environments on machines you own, reconciled from git over SSH.

The names of ``__all__`` are the Python library; docs/library-reference.md describes each. They are imported on first
access, as ``sandboxer --version`` needs none of them.
"""

from typing import TYPE_CHECKING, Any

from sandboxer.version import __version__

if TYPE_CHECKING:
    from sandboxer import errors
    from sandboxer.client import Abandoned, Client, Sandbox, SandboxFilter
    from sandboxer.client.connect.forward import Forward, PortRequest
    from sandboxer.client.connect.logs import LogLine, Logs
    from sandboxer.client.connect.shell import Shell
    from sandboxer.client.unrecorded import Unrecorded
    from sandboxer.model.event import Drifted, Event
    from sandboxer.model.failure import Failure
    from sandboxer.model.handle import AppliedInput, Consumer, Endpoint, Handle, ServiceStatus
    from sandboxer.model.lifecycle import Action, Health, Phase, Reason, Sync
    from sandboxer.model.outcome import Outcome
    from sandboxer.model.plan import Change, FieldChange
    from sandboxer.model.protocols import Stream, Terminal

__all__ = [
    "Abandoned",
    "Action",
    "AppliedInput",
    "Change",
    "Client",
    "Consumer",
    "Drifted",
    "Endpoint",
    "Event",
    "Failure",
    "FieldChange",
    "Forward",
    "Handle",
    "Health",
    "LogLine",
    "Logs",
    "Outcome",
    "Phase",
    "PortRequest",
    "Reason",
    "Sandbox",
    "SandboxFilter",
    "ServiceStatus",
    "Shell",
    "Stream",
    "Sync",
    "Terminal",
    "Unrecorded",
    "__version__",
    "errors",
]

_NAMES = {
    "client": ("Abandoned", "Client", "Sandbox", "SandboxFilter"),
    "client.connect.forward": ("Forward", "PortRequest"),
    "client.connect.logs": ("LogLine", "Logs"),
    "client.connect.shell": ("Shell",),
    "client.unrecorded": ("Unrecorded",),
    "model.event": ("Drifted", "Event"),
    "model.failure": ("Failure",),
    "model.handle": ("AppliedInput", "Consumer", "Endpoint", "Handle", "ServiceStatus"),
    "model.lifecycle": ("Action", "Health", "Phase", "Reason", "Sync"),
    "model.outcome": ("Outcome",),
    "model.plan": ("Change", "FieldChange"),
    "model.protocols": ("Stream", "Terminal"),
}


def __getattr__(name: str) -> Any:
    """Import a public name on first access, and keep it."""
    from importlib import import_module

    if name == "errors":
        return import_module("sandboxer.errors")
    for module, names in _NAMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"sandboxer.{module}"), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names too that were not imported yet."""
    return sorted({*globals(), *__all__})
