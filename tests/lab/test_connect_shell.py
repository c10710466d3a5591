"""Shells in containers and workspaces of real hosts, at a real terminal and without one."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.e2e import PROGRAM, FleetRepo, service, stack, until
from tests.support.typist import Typist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab import Lab

pytestmark = pytest.mark.lab

HOSTS = pytest.mark.parametrize(
    "host", ["lab-1", "lab-3", "lab-4"], ids=["docker", "no-root", "podman"], scope="module"
)

_WHEN_SIZED = "until [ \"$(stty size 2>&1)\" = '30 100' ]; do sleep 0.1; done; echo si'-'zed"


@pytest.fixture(scope="module")
def applied(lab: Lab, host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetRepo]:
    """A sandbox on each host, in which every shell ends and changes nothing."""
    fleet = FleetRepo.create(lab, tmp_path_factory.mktemp("shells") / "fleet", hosts=[host])
    try:
        yield _with_sandbox(fleet)
    finally:
        fleet.clean_up()


def _with_sandbox(fleet: FleetRepo) -> FleetRepo:
    fleet.sandbox("web", stack(a=service(), b=service()), files={"hello.txt": "hello\n"})
    fleet.commit()
    fleet.apply()
    return fleet


def _environment(fleet: FleetRepo) -> dict[str, str]:
    home = fleet.repo.path.parent / "home"
    home.mkdir(exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "TERM": "xterm-256color"} | fleet.env


def _typist(fleet: FleetRepo, *arguments: str) -> Typist:
    command = ["env", "--default-signal=INT", PROGRAM, "-C", str(fleet.repo.path), "ssh", *arguments]
    return Typist(command, _environment(fleet))


def _piped(fleet: FleetRepo, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [PROGRAM, "-C", str(fleet.repo.path), "ssh", *arguments]
    return subprocess.run(command, input=given, env=_environment(fleet), capture_output=True, timeout=120, check=False)


def _inside(fleet: FleetRepo, host: str, word: str) -> str:
    """Return the processes in the container whose command line has a word in it, but for the question itself."""
    script = f"ps -o args | grep {word} | grep -v grep"
    return fleet.inside(host, "web", "a", "sh", "-c", script, check=False)


@HOSTS
def test_a_shell_in_a_container_at_a_terminal(applied: FleetRepo, host: str) -> None:
    fleet = applied
    with _typist(fleet, "web", "a") as typist:
        typist.until("# ")
        typist.type(f"{_WHEN_SIZED}; echo $TERM\r")  # engines report a size a moment after the start
        typist.until("si-zed")
        typist.until("xterm-256color")
        typist.resize(90, 20)
        typist.type("until [ \"$(stty size)\" = '20 90' ]; do sleep 0.1; done; echo re''sized\r")
        typist.until("resized")
        typist.type("sleep 6666\r")
        until(lambda: _inside(fleet, host, "^sleep.6666"), "it runs")  # a key before that would be the shell's own
        typist.type("\x03")
        typist.until("# ")
        typist.type("echo $((6 * 7)) 'ä'; exit 3\r")
        typist.until("42 ä")
        assert typist.end() == 3
        assert typist.modes() == typist.before
        assert "Traceback" not in typist.shown


@HOSTS
def test_without_a_terminal_everything_passes_as_it_is(applied: FleetRepo, host: str) -> None:
    fleet = applied
    data = bytes(range(256)) * 20_000
    done = _piped(fleet, "web", "a", "--", "sh", "-c", "cat; echo problem >&2; exit 7", given=data)
    assert (done.returncode, done.stdout == data, done.stderr) == (7, True, b"problem\n")
    words = ["it's", 'a "word"', "two\nlines\n", "$HOME `x` \\n %s", "", "ä", "--", "-x"]
    done = _piped(fleet, "web", "a", "--", "sh", "-c", 'for w in "$@"; do printf "%s\\0" "$w"; done', "sh", *words)
    assert done.stdout.decode().split("\0")[:-1] == words
    done = _piped(fleet, fleet.id("web"), "a", given=b"echo hello\n")
    assert (done.returncode, done.stdout) == (0, b"hello\n")
    done = _piped(fleet, "web", "a", "--", "none")
    assert done.returncode in (126, 127)
    assert b"none" in done.stderr + done.stdout


@HOSTS
def test_the_workspace_on_the_host(applied: FleetRepo, lab: Lab, host: str) -> None:
    fleet = applied
    done = _piped(fleet, "web", "--", "sh", "-c", "cat hello.txt; id -un; exit 4")
    assert (done.returncode, done.stdout.decode().split()) == (4, ["hello", lab.host(host).user])
    assert _piped(fleet, "web", given=b"pwd\n").stdout.decode().startswith(fleet.folder("web") + "/workspace/")
    with _typist(fleet, "web") as typist:
        typist.type("stty size; echo $((6 * 7)); cat hello.txt\r")
        typist.until("30 100")
        typist.until("42")
        typist.until("hello")
        typist.type("exit 5\r")
        assert typist.end() == 5
        assert typist.modes() == typist.before


def test_an_impossible_request_is_reported(new_fleet: Callable[..., FleetRepo]) -> None:
    fleet = _with_sandbox(new_fleet("lab-1"))
    fleet.engine("lab-1", "stop", "-t", "0", fleet.ids("lab-1", "web")["b"])
    fleet.run("ssh", "web", "b", code=1)
    assert 'service "b" of sandbox "web" is not running: exited' in fleet.output[-1]
    fleet.run("ssh", "web", "c", code=1)
    assert 'sandbox "web" has no service "c"' in fleet.output[-1]
    fleet.run("ssh", "none", code=1)
    assert 'no sandbox "none"' in fleet.output[-1]


@pytest.mark.parametrize("cause", ["SIGTERM", "SIGHUP", "sshd"])
@pytest.mark.parametrize("host", ["lab-1", "lab-4"], ids=["docker", "podman"], scope="module")
def test_a_shell_that_is_cut_off_leaves_the_terminal_as_it_was_and_nothing_in_the_container(
    applied: FleetRepo, host: str, cause: str
) -> None:
    fleet = applied
    with _typist(fleet, "web", "a") as typist:
        _sleeping(typist)
        until(lambda: _inside(fleet, host, "8888"), "it runs")
        if cause == "sshd":
            fleet.sh(host, "kill -9 $(pgrep -f 'sshd: .*@[p]ts')")
            assert typist.end() == 1
            assert f"the command on {host} was interrupted" in typist.shown
        else:
            number = getattr(signal, cause)
            typist.process.send_signal(number)
            assert typist.end() == 128 + number
        assert "Traceback" not in typist.shown
        assert typist.modes() == typist.before
    until(lambda: not _inside(fleet, host, "8888"), "it is gone")


def test_a_network_that_is_cut_is_reported_and_the_terminal_is_as_it_was(
    new_fleet: Callable[..., FleetRepo], lab: Lab
) -> None:
    fleet = _with_sandbox(new_fleet("lab-1"))
    with _typist(fleet, "web", "a") as typist:
        _sleeping(typist)
        with lab.cut("lab-1", "refuse"):
            assert typist.end() == 1
        assert "the command on lab-1 was interrupted" in typist.shown
        assert typist.modes() == typist.before


def _sleeping(typist: Typist) -> None:
    typist.until("# ")
    typist.type("echo $((6 * 7)); sleep 8888\r")
    typist.until("42")


@HOSTS
def test_a_command_without_a_terminal_ends_with_its_client(applied: FleetRepo, host: str) -> None:
    fleet = applied
    with fleet.start("ssh", "web", "a", "--", "sleep", "7777") as process:
        until(lambda: _inside(fleet, host, "7777"), "it runs")
        process.kill()
    until(lambda: not _inside(fleet, host, "7777"), "it is gone")
