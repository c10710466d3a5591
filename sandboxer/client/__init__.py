"""The library: sandboxes in one call each, without git. The commands and the HTTP API call exactly this.

::

    with Client("fleet").create(profile="profile.compose-e2e", inputs={"repo": "."}) as sandbox:
        print(sandbox.handle["reachability"])

What can go wrong is in ``sandboxer.errors``, one tree.
"""

from sandboxer.client.client import Client
from sandboxer.client.seen import Wanted
from sandboxer.client.upkeep import Abandoned
from sandboxer.client.values import Sandbox

__all__ = ["Abandoned", "Client", "Sandbox", "Wanted"]
