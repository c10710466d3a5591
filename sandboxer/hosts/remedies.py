"""Remedies: the commands to type on a host, as its distribution needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal["debian", "fedora", "rhel", "alpine", "other"]

_UTILITIES = {"find": "findutils", "flock": "util-linux", "grep": "grep", "sed": "sed", "tar": "tar"}
_INSTALL = {
    "debian": "apt-get install -y",
    "fedora": "dnf install -y",
    "rhel": "dnf install -y",
    "alpine": "apk add",
}


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
    def major(self) -> int:
        """The number of its release; 0 where that is not a number."""
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
