"""Sandboxer's Python library: one call for each operation, without git. The commands and the HTTP API use it too.

::

    with Client("fleet").create(profile="profile.compose-e2e", inputs={"repo": "."}) as sandbox:
        print(sandbox.reachability)

All errors are in ``sandboxer.errors``, one tree.
"""

from sandboxer.client.client import Client
from sandboxer.client.maintenance import Abandoned
from sandboxer.client.query import SandboxFilter
from sandboxer.client.sandbox import Sandbox

__all__ = ["Abandoned", "Client", "Sandbox", "SandboxFilter"]
