"""What a Host requests of the backends there: by its manifest, or by the environment of the runner."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandboxer.extensions.base import ObserveRequest

if TYPE_CHECKING:
    from sandboxer.model.manifest import Host

TOOL_VARIABLE = "SANDBOXER_COMPOSE_CMD"


def tool_of(host: Host) -> str | None:
    """Return the requested command of the backend's tool: the Host's, else that of the runner's environment."""
    return host.spec.tool or os.environ.get(TOOL_VARIABLE) or None


def observe_request(host: Host, fleet: str, *, restarts: bool = False) -> ObserveRequest:
    """Return the request to observe a host of a fleet, with the ``restarts`` of containers if they are to be shown."""
    spec = host.spec
    return ObserveRequest(host.metadata.name, spec.root, fleet, spec.runtime, tool_of(host), restarts=restarts)
