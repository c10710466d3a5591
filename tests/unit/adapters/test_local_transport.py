from __future__ import annotations

import shutil
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from sandboxer.adapters.bootstrap import LOGIN_LINE, SHELL_CODE, frame
from sandboxer.adapters.local import LocalTransport
from sandboxer.errors import CommandTimeout, HostUnreachable
from sandboxer.model.protocols import Command
from tests.support.transport_promises import TransportPromises

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHELLS = [shell for shell in ("bash", "dash", "busybox", "zsh", "fish", "csh", "tcsh") if shutil.which(shell)]


@pytest.fixture
def transport() -> Iterator[LocalTransport]:
    threads = set(threading.enumerate())
    transport = LocalTransport("lab-1")
    yield transport
    transport.close()
    assert set(threading.enumerate()) <= threads


class TestLocalTransport(TransportPromises):
    """This machine keeps the promises of every transport."""


def test_a_command_that_takes_too_long_ends_with_its_children(transport: LocalTransport, tmp_path: Path) -> None:
    # The children hold the lock for as long as they live.
    lock = tmp_path / "lock"
    command = Command('read -r f; (flock 9; sleep 60 & sleep 60) 9>"$f"', f"{lock}\n".encode(), timeout=0.5)
    with pytest.raises(CommandTimeout):
        transport.run(command)
    subprocess.run(["flock", "--timeout", "5", str(lock), "true"], check=True, timeout=10)


def test_without_a_shell(transport: LocalTransport, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostUnreachable, match="cannot start sh"):
        transport.run(Command("true"))


@pytest.mark.parametrize("shell", SHELLS)
def test_the_login_line_is_understood_by_this_login_shell(shell: str) -> None:
    arguments = [shell, "sh"] if shell == "busybox" else [shell]
    marker, head = frame("read -r a\nprintf '%s\\n' \"it's $a!\"\nexit 5")
    result = subprocess.run([*arguments, "-c", LOGIN_LINE], input=head + b"x\n", capture_output=True, timeout=10)
    assert (result.returncode, result.stdout) == (5, marker + b"it's x!\n")


@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shell in {"bash", "dash", "busybox"}])
def test_a_script_that_was_cut_short_is_not_run(shell: str) -> None:
    arguments = [shell, "sh"] if shell == "busybox" else [shell]
    _, head = frame("echo began\necho ended")
    for cut in (len(head) - 5, len(head) - 30, 10):
        result = subprocess.run([*arguments, "-c", SHELL_CODE], input=head[:cut], capture_output=True, timeout=10)
        assert result.returncode != 0
        assert result.stdout == b""
