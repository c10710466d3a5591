"""One host of the lab: its description, and how to run a program on it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.lab.errors import LabError
from tests.lab.machine import PATH
from tests.lab.processes import Process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DOCKER = "docker"
PODMAN = "podman"


@dataclass(frozen=True, slots=True)
class LabHost:
    """Description of a host. ``host_keys`` are lines as in a known_hosts file, without the name.

    ``engines`` are ``docker``, ``podman`` or both, ``user`` is the login, ``folder`` is where the lab keeps its files.
    """

    name: str
    address: str
    user: str
    engines: tuple[str, ...]
    folder: str
    identity_file: str
    host_keys: tuple[str, ...] = ()
    port: int = 22

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LabHost:
        """Return the host that ``dataclasses.asdict`` wrote."""
        return replace(cls(**data), engines=tuple(data["engines"]), host_keys=tuple(data["host_keys"]))

    @property
    def number(self) -> int:
        """Its number, counted from 1."""
        return int(self.name.rpartition("-")[2])

    @property
    def host_key(self) -> str:
        """The key to pin: type and base64 of the ed25519 one."""
        return next(key for key in self.host_keys if key.startswith("ssh-ed25519 "))

    @property
    def engine(self) -> str:
        """The engine that ``runtime: auto`` means here."""
        return self.engines[0]

    @property
    def runtime(self) -> str:
        """The runtime for a manifest: ``podman`` if Docker is not to be detected, else ``auto``."""
        return PODMAN if self.engines == (PODMAN,) else "auto"

    @property
    def docker_socket(self) -> Path:
        """The engine's socket, as this machine sees it."""
        return Path(self.folder, "run/docker.sock")

    def init(self) -> Process:
        """Return the host's first process; if it has ended, raise LabError with the last lines of its logs."""
        process = Process.read(Path(self.folder, "init"))
        if process is None or not process.alive():
            raise LabError(f"{self.name} is not running{self.last_words()}")
        return process

    def last_words(self) -> str:
        """Return the last lines of the host's logs, for a message."""
        logs = (Path(self.folder, log) for log in ("start.log", "var/log/dockerd.log", "var/log/sshd.log"))
        words = [
            f"\n  {log.name}: {line}"
            for log in logs
            if log.exists()
            for line in log.read_text(errors="replace").splitlines()[-5:]
        ]
        return "".join(words)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command that, run on this machine, runs ``argv`` in the host's namespaces."""
        inside = ("--mount", "--uts", "--ipc", "--net", "--pid")
        return ["nsenter", f"--target={self.init().pid}", *inside, "--", *argv]

    def environment(self) -> dict[str, str]:
        """Return a clean environment for programs on the host."""
        return {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"}

    def execute(
        self,
        argv: Sequence[str],
        *,
        input: str | bytes | None = None,  # noqa: A002 -- as in subprocess.run
        check: bool = True,
        timeout: float = 60,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as root in the host's namespaces, from ``/`` and with a clean environment.

        Return its exit code and output as text. Raise LabError if it takes longer than ``timeout`` seconds and, unless
        ``check`` is false, if it fails.
        """
        command = self.command(["timeout", "--kill-after=2", f"{timeout:g}", *argv])
        clean = {**self.environment(), **(env or {})}
        stdin = (input.encode() if isinstance(input, str) else input) or b""
        try:
            done = subprocess.run(
                command, input=stdin, capture_output=True, env=clean, timeout=timeout + 5, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"{self.name}: {' '.join(argv)}: not done within {timeout:g} seconds") from error
        result = subprocess.CompletedProcess(
            list(argv), done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )
        if check and result.returncode != 0:
            last = "\n".join((result.stdout + result.stderr).splitlines()[-15:])
            raise LabError(f"{self.name}: {' '.join(argv)}: exit {result.returncode}\n{last}")
        return result
