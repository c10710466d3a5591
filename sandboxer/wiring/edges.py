"""The adapters that the layers above use directly, each imported at its first use.

They are imported from here, as in ``from sandboxer.wiring.edges import Transports``: only this module knows which
module of ``adapters/`` has which name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandboxer.adapters import keyboard
    from sandboxer.adapters.archive import Unpacking, pack
    from sandboxer.adapters.fleet_folder import find_fleet
    from sandboxer.adapters.git_remote import default_cache
    from sandboxer.adapters.relay import Relay
    from sandboxer.adapters.runner import who
    from sandboxer.adapters.tracing import Trace, configured
    from sandboxer.adapters.transports import Transports

__all__ = [
    "Relay",
    "Trace",
    "Transports",
    "Unpacking",
    "configured",
    "default_cache",
    "find_fleet",
    "keyboard",
    "pack",
    "who",
]

_MODULES = {
    "Relay": "relay",
    "Trace": "tracing",
    "Transports": "transports",
    "Unpacking": "archive",
    "default_cache": "git_remote",
    "find_fleet": "fleet_folder",
    "pack": "archive",
    "configured": "tracing",
    "who": "runner",
}


def __getattr__(name: str) -> Any:
    """Return an adapter by its name."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "keyboard":
        return import_module("sandboxer.adapters.keyboard")
    return getattr(import_module(f"sandboxer.adapters.{_MODULES[name]}"), name)
