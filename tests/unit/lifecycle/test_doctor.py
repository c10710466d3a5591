from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from sandboxer.adapters.local import LocalTransport
from sandboxer.cli.main import run
from sandboxer.extensions.compose_ssh.host_checks import HOST_CHECKS
from sandboxer.lifecycle.doctor import CheckedHost, check_host, check_hosts
from sandboxer.model.host_report import Check, HostReport
from sandboxer.render.doctor import doctor_json, doctor_text
from tests.support.doctor import checked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandboxer.model.protocols import HostTransport

SCRIPTS = Path(__file__).parents[3] / "sandboxer" / "hosts"
BACKENDS = [HOST_CHECKS]
TOOLS = re.search(r"^tools='(.*)'$", (SCRIPTS / "doctor.sh").read_text(), re.MULTILINE)[1].split()  # type: ignore[index]


@pytest.fixture
def local() -> Iterator[Callable[[str], HostTransport]]:
    opened: list[LocalTransport] = []

    def connect(name: str) -> HostTransport:
        opened.append(LocalTransport(name))
        return opened[-1]

    yield connect
    for transport in opened:
        transport.close()


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH: all that Sandboxer needs of a host, and no engine."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", *TOOLS):
        program = shutil.which(name)
        assert program, f"{name} is missing here"
        (folder / name).symlink_to(program)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    return folder


def program(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.unlink(missing_ok=True)
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def by_name(report: HostReport) -> dict[str, Check]:
    return {check.name: check for check in report.checks}


# --- on a real machine: this one


def test_a_machine_with_all_tools(local: Callable[[str], HostTransport], programs: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    checks = by_name(check_host(checked(str(root)), local, BACKENDS))
    assert checks["tools"].status == "ok"
    assert checks["clock"].status == "ok"
    assert checks["root"] == Check("root", "ok", f"{root} does not exist yet; an apply creates the folder")
    assert checks["engine"].status == "error"
    assert checks["engine"].found == "neither Docker nor Podman is installed"
    assert "compose" not in checks


def test_nothing_is_changed(local: Callable[[str], HostTransport], programs: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir(mode=0o700)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    assert by_name(check_host(checked(str(root)), local, BACKENDS))["root"].status == "ok"
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("missing", sorted(set(TOOLS) - {"dd"}))
def test_each_missing_tool_is_named(
    local: Callable[[str], HostTransport], programs: Path, tmp_path: Path, missing: str
) -> None:
    (programs / missing).unlink()
    report = check_host(checked(str(tmp_path)), local, BACKENDS)
    found = [check for check in report.checks if check.name == "tools" and check.status == "error"]
    assert missing in found[-1].found.rpartition(": ")[2].split(", ")
    assert found[-1].remedy
    assert not report.ok


def test_a_host_without_dd_cannot_be_checked(
    local: Callable[[str], HostTransport], programs: Path, tmp_path: Path
) -> None:
    (programs / "dd").unlink()
    (check,) = check_host(checked(str(tmp_path)), local, BACKENDS).checks
    assert check.status == "error"
    assert "dd" in check.remedy


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("flock", "exit 0", "flock does not lock files"),
        ("flock", "exit 64", "flock is not able to lock an open file: flock -n NUMBER"),
        ("timeout", "echo usage >&2; exit 1", "timeout is not able to end a command: timeout SECONDS COMMAND"),
        ("sync", "exit 1", "sync is not able to write one file to disk: sync FILE"),
        ("tar", "cat >/dev/null; exit 64", "tar is not able to unpack from standard input"),
        ("stat", "exit 1", "stat is not able to print owner and kind"),
    ],
)
def test_a_tool_that_does_not_do_its_work(
    local: Callable[[str], HostTransport], programs: Path, tmp_path: Path, name: str, text: str, found: str
) -> None:
    program(programs, name, text)
    report = check_host(checked(str(tmp_path / "root")), local, BACKENDS)
    assert any(check.found.startswith(found) for check in report.checks if check.status == "error")


@pytest.mark.skipif(not shutil.which("busybox"), reason="there is no busybox here")
def test_busybox_serves_as_well(local: Callable[[str], HostTransport], programs: Path, tmp_path: Path) -> None:
    busybox = shutil.which("busybox", path=os.defpath) or "/bin/busybox"
    applets = subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for name in {"sh", *TOOLS}.intersection(applets):
        (programs / name).unlink()
        (programs / name).symlink_to(busybox)
    assert by_name(check_host(checked(str(tmp_path / "root")), local, BACKENDS))["tools"].status == "ok"


@pytest.mark.parametrize("shell", [name for name in ("bash", "dash", "ksh", "mksh") if shutil.which(name)])
def test_any_sh_serves(local: Callable[[str], HostTransport], programs: Path, tmp_path: Path, shell: str) -> None:
    (programs / "sh").unlink()
    (programs / "sh").symlink_to(shutil.which(shell, path=os.defpath) or shell)
    report = check_host(checked(str(tmp_path / "root")), local, BACKENDS)
    assert {check.name for check in report.checks if check.status == "error"} == {"engine"}


def test_every_tool_of_the_scripts_is_checked() -> None:
    known = {
        *("awk", "basename", "cat", "chmod", "chown", "comm", "cp", "cut", "date", "dd", "df", "diff", "dirname", "du"),
        *("env", "expr", "find", "flock", "fuser", "getent", "grep", "gzip", "head", "hostname", "id", "install"),
        *("ln", "ls", "mkdir", "mktemp", "mount", "mv", "nproc", "od", "paste", "ps", "readlink", "realpath", "rm"),
        *("rmdir", "sed", "seq", "setsid", "sha256sum", "sleep", "sort", "split", "stat", "sync", "tail", "tar", "tee"),
        *("timeout", "touch", "tr", "uname", "uniq", "wc", "xargs"),
    }
    used = set()
    for file in SCRIPTS.rglob("*.sh"):
        if file.parent.name == "conformance":  # it names what it needs
            continue
        for line in file.read_text().splitlines():
            code = re.sub(r"(^|\s)#.*|'[^']*'", "", line)
            used |= known.intersection(
                re.findall(r"(?:^|[|;&({!]|\$\(|\b(?:do|then|else|if|timeout \S+))\s*([a-z0-9]+)", code)
            )
    assert used - {"mount", "readlink"} <= set(TOOLS)  # where these are missing, Compose is not confined
    assert used >= {"stat", "flock", "dd", "sha256sum"}  # the pattern does find them


def test_an_engine_is_queried_as_an_apply_would(
    local: Callable[[str], HostTransport], programs: Path, tmp_path: Path
) -> None:
    program(
        programs,
        "docker",
        """case $1 in
             info) printf '{"ServerVersion":"28.1.0","MemoryLimit":true,"PidsLimit":false,"CgroupVersion":"2"}' ;;
             --version) echo Docker version 28.1.0 ;;
             *) exit 1 ;;
           esac""",
    )
    program(programs, "docker-compose", "echo 1.29.2")
    checks = by_name(
        check_host(checked(str(tmp_path / "root"), runtime="docker", tool="docker-compose"), local, BACKENDS)
    )
    assert checks["engine"] == Check("engine", "ok", f"Docker 28.1.0 answers (client {programs}/docker, cgroup v2)")
    assert checks["limits"].found == "ceilings of pids have no effect here"
    assert checks["compose"].status == "error"
    assert (
        "Docker Compose 1.29.2 (`docker-compose`, as requested); 2.20 or newer is required" in checks["compose"].found
    )


def test_a_compose_of_podmans_implies_podman(
    local: Callable[[str], HostTransport], programs: Path, tmp_path: Path
) -> None:
    program(programs, "docker", "exit 0")
    root = str(tmp_path / "root")
    check = by_name(check_host(checked(root, tool="/opt/x/podman-compose"), local, BACKENDS))["engine"]
    assert check.found == "spec.runtime is podman, but no podman command is installed"
    check = by_name(check_host(checked(root, tool="/opt/podman/compose"), local, BACKENDS))["engine"]
    assert check.found.startswith("Docker")


def test_podmans_stand_in_is_no_docker(local: Callable[[str], HostTransport], programs: Path, tmp_path: Path) -> None:
    program(programs, "docker", 'exec podman "$@"')
    check = by_name(check_host(checked(str(tmp_path / "root"), runtime="docker"), local, BACKENDS))["engine"]
    assert check.found == f"spec.runtime is docker, but {programs}/docker is Podman's replacement"


def test_a_link_in_the_roots_place_is_refused(
    local: Callable[[str], HostTransport], programs: Path, tmp_path: Path
) -> None:
    (tmp_path / "else where").mkdir()
    root = tmp_path / "root"
    root.symlink_to(tmp_path / "else where")
    check = by_name(check_host(checked(str(root)), local, BACKENDS))["root"]
    assert check.status == "error"
    assert check.found == f"{root} is a symbolic link, not a directory, and is rejected"
    assert f"rm {root}" in check.remedy


def test_one_that_does_not_answer_keeps_no_other_from_its_own(
    local: Callable[[str], HostTransport], programs: Path, tmp_path: Path
) -> None:
    from sandboxer.adapters.ssh import SshTarget, SshTransport

    with_nobody = SshTransport(SshTarget("gone", "127.0.0.1", 1, "nobody"))
    hosts = {"gone": with_nobody, "here": local("here")}
    gone = checked(connection="ssh", address="127.0.0.1")
    gone = CheckedHost(
        gone.host.model_copy(update={"metadata": gone.host.metadata.model_copy(update={"name": "gone"})}), "f"
    )
    first, second = check_hosts([gone, checked(str(tmp_path / "root"))], hosts.__getitem__)
    with_nobody.close()
    (check,) = first.checks
    assert (first.host, check.name, check.status) == ("gone", "ssh", "error")
    assert "connection refused" in check.found
    assert "sshd" in check.remedy
    assert by_name(second)["tools"].status == "ok"


# --- as people and programs see it

CHECKUPS = [
    HostReport("lab-1", (Check("ssh", "ok", "root is logged in"), Check("firewall", "note", "open", "nft rule"))),
    HostReport(
        "lab-2", (Check("clock", "warning", "300 s off\x1b[31m", "set it"), Check("engine", "error", "gone", "a\nb"))
    ),
]


def test_text() -> None:
    out = io.StringIO()
    Console(file=out, width=100, highlight=False).print(doctor_text(CHECKUPS))
    assert [line.rstrip() for line in out.getvalue().splitlines()] == [
        "lab-1",
        "  ✓ ssh       root is logged in",
        "  · firewall  open",
        "              nft rule",
        "",
        "lab-2",
        "  ! clock     300 s off",
        "              set it",
        "  ✗ engine    gone",
        "              a",
        "              b",
        "",
        "1 of 2 hosts can be used; 1 error, 1 warning.",
    ]


def test_json() -> None:
    read = json.loads(doctor_json(CHECKUPS))
    assert (read["format_version"], read["ok"]) == ("1.0", False)
    assert [host["ok"] for host in read["hosts"]] == [True, False]
    assert read["hosts"][1]["checks"][1] == {"name": "engine", "status": "error", "found": "gone", "remedy": "a\nb"}


FLEET = "apiVersion: sandboxer.dev/v1\nkind: Fleet\nmetadata: {name: acme}\n"
HOST = "apiVersion: sandboxer.dev/v1\nkind: Host\nmetadata: {name: build-1}\nspec: {connection: local}\n"


def fleet(folder: Path, host: str = "") -> Path:
    (folder / "manifests").mkdir()
    (folder / "sandboxer.yaml").write_text(FLEET)
    if host:
        (folder / "manifests" / "hosts.yaml").write_text(host)
    return folder


def test_a_fleet_without_hosts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(fleet(tmp_path))
    assert run(["doctor"]) == 1
    assert "no Host in git" in capsys.readouterr().err


def test_a_host_that_git_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(fleet(tmp_path, HOST))
    assert run(["doctor", "biuld-1"]) == 1
    output = capsys.readouterr().err
    assert 'no host "biuld-1" in git' in output
    assert "did you mean `build-1`?" in output


def test_the_command(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git = shutil.which("git", path=os.defpath)
    assert git
    (programs / "git").symlink_to(git)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.chdir(fleet(tmp_path, HOST.replace("local}", f"local, root: {tmp_path}/root}}")))
    assert run(["doctor", "-o", "json"]) == 1  # there is no engine
    read = json.loads(capsys.readouterr().out)
    assert [host["name"] for host in read["hosts"]] == ["build-1"]
    assert [c["name"] for c in read["hosts"][0]["checks"] if c["status"] == "error"] == ["engine"]
