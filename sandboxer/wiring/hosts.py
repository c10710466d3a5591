"""The engine and the Compose requested for a host: by its manifest, or by the environment of the runner."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandboxer.model.manifest import Host

COMPOSE_VARIABLE = "SANDBOXER_COMPOSE_CMD"


def compose_command_of(host: Host) -> str | None:
    """Return the requested Compose command: the Host's, else that of the runner's environment."""
    return host.spec.compose_command or os.environ.get(COMPOSE_VARIABLE) or None


def runtime_of(host: Host) -> str:
    """Return the requested engine; a Compose of Podman's implies Podman."""
    command = compose_command_of(host) or ""
    if host.spec.runtime == "auto" and os.path.basename(command).startswith("podman"):  # noqa: PTH119 - no path
        return "podman"
    return host.spec.runtime
