"""A real OpenSSH server on loopback, for tests of the transport: as the current user, with separate keys."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("rsa", "ecdsa", "ed25519")


def keygen(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """Create a key pair at ``path`` and ``path.pub``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", str(path)], check=True, timeout=30
    )
    return path


def public_key(path: Path) -> str:
    """Return ``type base64`` of the key pair at ``path``, without the comment."""
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


def fingerprint(path: Path) -> str:
    """Return the key's fingerprint, as OpenSSH prints it."""
    return subprocess.run(
        ["ssh-keygen", "-lf", str(path)], check=True, capture_output=True, text=True, timeout=30
    ).stdout.split()[1]


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.01)


@dataclass
class Sshd:
    """A server in ``folder``; ``kinds`` are its host keys, ``options`` more lines of sshd_config.

    A context manager; inside the block it answers on ``port``, and accepts the key ``client_key``.
    """

    folder: Path
    kinds: tuple[str, ...] = ("ed25519",)
    options: tuple[str, ...] = ()
    port: int = 0
    client_key: Path = field(init=False)
    _process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.client_key = self.folder / "client"
        if not self.client_key.exists():
            keygen(self.client_key)
        for kind in self.kinds:
            if not self.host_key(kind).exists():
                keygen(self.host_key(kind), kind)
        for _ in range(10):  # another process may take the free port first
            self.port = self.port or _free_port()
            if self._start():
                return self
            self.port = 0
        raise RuntimeError(f"sshd did not start: {self.log}")

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def host_key(self, kind: str) -> Path:
        return self.folder / f"host_{kind}"

    def known_hosts_line(self, kind: str = "ed25519") -> str:
        return f"[127.0.0.1]:{self.port} {public_key(self.host_key(kind))}\n"

    @property
    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self) -> None:
        """Stop the server and every connection to it."""
        if self._process is None:
            return
        children = _descendants(self._process.pid)
        self._process.terminate()
        self._process.wait(10)
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        self._process = None

    def drop_connections(self) -> None:
        """Kill the processes that serve the connections, as an out-of-memory killer would."""
        assert self._process is not None
        for pid in _descendants(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)

    def _start(self) -> bool:
        config = self.folder / "sshd_config"
        lines = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            *(f"HostKey {self.host_key(kind)}" for kind in self.kinds),
            f"AuthorizedKeysFile {self.client_key}.pub",
            *self.options,  # the first value counts
            "PidFile none",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin prohibit-password",
        ]
        config.write_text("\n".join(lines) + "\n")
        Path("/run/sshd").mkdir(exist_ok=True) if os.geteuid() == 0 else None
        with (self.folder / "log").open("ab") as log:
            sshd = shutil.which("sshd") or "/usr/sbin/sshd"
            self._process = subprocess.Popen(
                [sshd, "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stderr=log
            )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._process.poll() is None:
            if f"listening on 127.0.0.1 port {self.port}" in self.log:
                return True
            time.sleep(0.01)
        self.stop()
        return False


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _descendants(pid: int) -> list[int]:
    try:
        children = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [*children, *(below for child in children for below in _descendants(child))]
