"""Remedies: the commands to type on a host, as its distribution needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["debian", "fedora", "rhel", "alpine", "other"]

_PLUGIN = "/usr/local/lib/docker/cli-plugins/docker-compose"
_COMPOSE_BY_HAND = f"install Docker Compose 2.20 or newer as {_PLUGIN}: https://docs.docker.com/compose/install/linux/"
_UTILITIES = {"find": "findutils", "flock": "util-linux", "grep": "grep", "sed": "sed", "tar": "tar"}
_INSTALL = {
    "debian": "apt-get install -y",
    "fedora": "dnf install -y",
    "rhel": "dnf install -y",
    "alpine": "apk add",
}
_DOCKER_CONFIG = "https://docs.docker.com/engine/install/"


@dataclass(frozen=True, slots=True)
class System:
    """A host's distribution, by its /etc/os-release, and the user who logs in there."""

    id: str = ""
    like: tuple[str, ...] = ()
    version: str = ""
    name: str = "an unknown system"
    user: str = "root"
    is_root: bool = True
    systemd: bool = False

    @property
    def family(self) -> Family:
        """The distribution whose package names and tools it has."""
        names = (self.id, *self.like)
        for family, members in (
            ("debian", {"debian", "ubuntu"}),
            ("rhel", {"rhel", "centos"}),
            ("fedora", {"fedora"}),
            ("alpine", {"alpine"}),
        ):
            if members.intersection(names):
                return family  # type: ignore[return-value]
        return "other"

    @property
    def _major(self) -> int:
        number = self.version.partition(".")[0]
        return int(number) if number.isdecimal() else 0

    def as_root(self, command: str) -> str:
        """Return the command as this login types it to run it as root."""
        return command if self.is_root else f"sudo {command}"

    def install(self, *packages: str) -> str:
        """Return the command that installs packages."""
        command = _INSTALL.get(self.family)
        words = " ".join(packages)
        return self.as_root(f"{command} {words}") if command else f"install {words}"

    def install_tools(self, tools: tuple[str, ...]) -> str:
        """Return the command that installs the programs of these names."""
        return self.install(*sorted({_UTILITIES.get(tool, "coreutils") for tool in tools}))

    def install_docker(self) -> str:
        """Return the commands that install a Docker Engine."""
        if self.family == "debian":
            # Debian 13 has the client in a separate package.
            own_client = self.id == "debian" and self._major >= 13
            return self.install("docker.io", *(["docker-cli"] if own_client else []))
        if self.family == "fedora":
            return f"{self.install('moby-engine')}\n{self.start_service('docker')}"
        if self.family == "alpine":
            return f"{self.install('docker', 'docker-cli-compose')}\n{self.start_service('docker')}"
        return f"install Docker Engine: {_DOCKER_CONFIG}"

    def install_engine(self) -> str:
        """Return the commands that install the engine that is easiest to get here."""
        return self.install("podman", "podman-compose") if self.family == "rhel" else self.install_docker()

    def install_compose(self) -> str:
        """Return the commands that install Compose v2."""
        if self.id == "ubuntu":
            return self.install("docker-compose-v2")
        if self.family == "debian" and self._major >= 13:
            return self.install("docker-compose")
        if self.family == "fedora":
            return self.install("docker-compose")
        if self.family == "alpine":
            return self.install("docker-cli-compose")
        return _COMPOSE_BY_HAND

    def install_podman_compose(self) -> str:
        """Return the command that installs a podman-compose that is new enough."""
        if self.family == "debian" and self._major < 13:
            # The distribution's package is too old, and a login by SSH searches no directory of the user's for
            # programs.
            pipx = self.as_root("env PIPX_HOME=/opt/pipx PIPX_BIN_DIR=/usr/local/bin pipx install podman-compose")
            return f"{self.install('pipx')}\n{pipx}"
        return self.install("podman-compose")

    def start_service(self, service: str) -> str:
        """Return the command that starts a service, now and at every boot."""
        if self.family == "alpine":
            return f"{self.as_root(f'rc-update add {service}')}\n{self.as_root(f'service {service} start')}"
        if self.systemd or self.family in ("fedora", "rhel"):
            return self.as_root(f"systemctl enable --now {service}")
        return self.as_root(f"service {service} start")

    def restart_service(self, service: str) -> str:
        """Return the command that restarts a service that hangs."""
        if self.systemd or self.family in ("fedora", "rhel"):
            return self.as_root(f"systemctl restart {service}")
        return self.as_root(f"service {service} restart")

    def set_clock(self) -> str:
        """Return the command that keeps the clock right."""
        if self.family == "alpine":
            return f"{self.install('chrony')}\n{self.start_service('chronyd')}"
        if self.systemd:
            return self.as_root("timedatectl set-ntp true")
        return f"{self.install('chrony')}\n{self.start_service('chrony' if self.family == 'debian' else 'chronyd')}"

    def write_file(self, path: str, line: str) -> str:
        """Return the command that writes a file of one line."""
        tee = self.as_root(f"tee {path}")
        return f"echo '{line}' | {tee}"
