"""The library: sandboxes in one call each, without git. The commands and the HTTP API call exactly this.

::

    with Client("fleet").create(profile="profile.compose-e2e", inputs={"repo": "."}) as sandbox:
        print(sandbox.handle["reachability"])
"""

from sandboxer.client.client import Client
from sandboxer.client.seen import HostNotSeen
from sandboxer.client.values import Sandbox

__all__ = ["Client", "HostNotSeen", "Sandbox"]
