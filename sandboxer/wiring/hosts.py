"""What is asked for on a host: by its manifest, or by the environment of the runner."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandboxer.extensions.base import Runtime
    from sandboxer.model.manifest import Host

COMPOSE_VARIABLE = "SANDBOXER_COMPOSE_CMD"


def compose_command_of(host: Host) -> str | None:
    """The Compose that is asked for: by the Host, else by the runner's environment."""
    return host.spec.compose_command or os.environ.get(COMPOSE_VARIABLE) or None


def runtime_of(host: Host) -> Runtime:
    """The engine that is asked for; a Compose of Podman's asks for Podman."""
    command = compose_command_of(host) or ""
    if host.spec.runtime == "auto" and os.path.basename(command).startswith("podman"):  # noqa: PTH119 - no path
        return "podman"
    return host.spec.runtime
