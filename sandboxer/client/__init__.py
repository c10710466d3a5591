"""The library: sandboxes in one call each, without git. The commands and the HTTP API call exactly this.

::

    with Client("fleet").create(profile="profile.compose-e2e", inputs={"repo": "."}) as sandbox:
        print(sandbox.handle["reachability"])

What can go wrong is in ``sandboxer.errors``, one tree.
"""

from sandboxer.client.client import Client
from sandboxer.client.maintenance import Abandoned
from sandboxer.client.query import SandboxFilter
from sandboxer.client.sandbox import Sandbox

__all__ = ["Abandoned", "Client", "Sandbox", "SandboxFilter"]
