"""The commands that install an engine and its Compose on a host, as its distribution has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sandboxer.hosts.remedies import System

_PLUGIN = "/usr/local/lib/docker/cli-plugins/docker-compose"
_COMPOSE_BY_HAND = f"install Docker Compose 2.20 or newer as {_PLUGIN}: https://docs.docker.com/compose/install/linux/"
_DOCKER_CONFIG = "https://docs.docker.com/engine/install/"


def install_docker(system: System) -> str:
    """Return the commands that install a Docker Engine."""
    if system.family == "debian":
        # Debian 13 has the client in a separate package.
        own_client = system.id == "debian" and system.major >= 13
        return system.install("docker.io", *(["docker-cli"] if own_client else []))
    if system.family == "fedora":
        return f"{system.install('moby-engine')}\n{system.start_service('docker')}"
    if system.family == "alpine":
        return f"{system.install('docker', 'docker-cli-compose')}\n{system.start_service('docker')}"
    return f"install Docker Engine: {_DOCKER_CONFIG}"


def install_engine(system: System) -> str:
    """Return the commands that install the engine that is easiest to get here."""
    return system.install("podman", "podman-compose") if system.family == "rhel" else install_docker(system)


def install_compose(system: System) -> str:
    """Return the commands that install Compose v2."""
    if system.id == "ubuntu":
        return system.install("docker-compose-v2")
    if system.family == "debian" and system.major >= 13:
        return system.install("docker-compose")
    if system.family == "fedora":
        return system.install("docker-compose")
    if system.family == "alpine":
        return system.install("docker-cli-compose")
    return _COMPOSE_BY_HAND


def install_podman_compose(system: System) -> str:
    """Return the command that installs a podman-compose that is new enough."""
    if system.family == "debian" and system.major < 13:
        # The distribution's package is too old, and a login by SSH searches no directory of the user's for
        # programs.
        pipx = system.as_root("env PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install podman-compose")
        return f"{system.install('pipx')}\n{pipx}"
    return system.install("podman-compose")
