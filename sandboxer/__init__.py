"""Sandboxer: short-lived, isolated environments on machines you own, reconciled from git over SSH.

``sandboxer.Client`` is the library.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sandboxer.client import Client, Sandbox

__all__ = ["Client", "Sandbox", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import ``Client`` and ``Sandbox`` on first access, as ``sandboxer --version`` needs neither."""
    if name in __all__:
        from sandboxer import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
