"""Real OpenSSH servers on loopback, as the user who runs the tests, and transports to them."""

from __future__ import annotations

import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.ssh import JumpPool, SshTarget, SshTransport
from tests.support.sshd import KINDS, Sshd, public_key, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Connect = Callable[..., SshTransport]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set and return a home directory without keys, known hosts, configuration or agent."""
    (tmp_path / "home/.ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """Yield one server for the tests that do not change it. Its logins have an empty home, for speed."""
    folder = tmp_path_factory.mktemp("sshd")
    (folder / "home").mkdir()
    with Sshd(folder, KINDS, (f"SetEnv HOME={folder}/home",)) as server:
        yield server


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Sshd]:
    """Yield a second server."""
    with Sshd(tmp_path / "other") as server:
        yield server


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Yield a factory of transports that are closed at the end, with all their threads."""
    threads = set(threading.enumerate())
    made: list[SshTransport] = []

    def make(
        server: Sshd, jumps: JumpPool | None = None, connect_timeout: float = 10.0, **target: object
    ) -> SshTransport:
        options = {
            "host": "lab-1",
            "address": "127.0.0.1",
            "port": server.port,
            "identity_file": str(server.client_key),
            "host_key": public_key(server.host_key("ed25519")),
        }
        chosen = SshTarget(**(options | target))  # type: ignore[arg-type]
        made.append(SshTransport(chosen, connect_timeout=connect_timeout, jumps=jumps))
        return made[-1]

    yield make
    for transport in made:
        transport.close()
    assert set(threading.enumerate()) <= threads


@pytest.fixture
def transport(connect: Connect, sshd: Sshd) -> SshTransport:
    return connect(sshd)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield an ssh-agent without keys."""
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    wait_for(path.exists)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield str(path)
    process.terminate()
    process.wait(10)
