"""Files and folders copied into containers of real hosts and out of them."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.e2e import service, stack, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab

# What copies is the same for every login, so Docker's half of it is held to the one that is not root.
HOSTS = pytest.mark.parametrize("host", ["lab-3", "lab-4"], ids=["no-root", "podman"])
BYTES = bytes(range(256)) * 40_000


def _applied(new_fleet: Callable[..., FleetRepo], host: str, *names: str) -> FleetRepo:
    fleet = new_fleet(host)
    fleet.sandbox("web", stack(**{name: service() for name in names or ("a",)}))
    fleet.commit()
    fleet.apply()
    return fleet


def _sh(fleet: FleetRepo, host: str, script: str) -> str:
    return fleet.inside(host, "web", "a", "sh", "-c", script)


@HOSTS
def test_there_and_back_again(new_fleet: Callable[..., FleetRepo], host: str, tmp_path: Path) -> None:
    fleet = _applied(new_fleet, host)
    given = tmp_path / "given"
    (given / "sub" / "empty").mkdir(parents=True)
    (given / "big").write_bytes(BYTES)
    (given / "sub" / "run ä\n.sh").write_text("#!/bin/sh\n")
    (given / "sub" / "run ä\n.sh").chmod(0o755)
    (given / "link").symlink_to("sub/empty")
    os.mkfifo(given / "pipe")
    fleet.run("cp", str(given), "web:/tmp")
    assert "given/pipe is not a file, folder or link; skipped" in fleet.output[-1]
    assert _sh(fleet, host, "stat -c '%u %g %a' /tmp/given/big /tmp/given/sub/run*").split("\n")[:2] == [
        "0 0 644", "0 0 755",
    ]  # fmt: skip
    fleet.run("cp", f"{given}/.", "web/a:/made/")
    fleet.run("cp", str(given / "big"), "web/a:/other-name")
    fleet.run("cp", str(given / "big"), "web/a:tmp/")
    assert _sh(fleet, host, "cmp /tmp/big /other-name && cmp /tmp/big /made/big && ls /made").split() == [
        "big", "link", "sub",
    ]  # fmt: skip

    back = tmp_path / "back"
    fleet.run("cp", "web:/tmp/given", str(back))
    assert (back / "big").read_bytes() == BYTES
    assert (back / "sub" / "run ä\n.sh").stat().st_mode & 0o111
    assert (back / "link").readlink() == Path("sub/empty")
    assert (back / "sub" / "empty").is_dir()
    (back / "big").write_text("older")
    (back / "mine").write_text("mine")
    fleet.run("cp", "web:/tmp/given/.", str(back))
    assert (back / "big").read_bytes() == BYTES
    assert (back / "mine").read_text() == "mine", "a folder that is there is merged with"
    fleet.run("cp", "web:/tmp/given/big", str(tmp_path))
    assert (tmp_path / "big").read_bytes() == BYTES
    fleet.run("cp", "web:/tmp/given", str(tmp_path / "big"), code=1)
    assert "is not a folder; cannot replace it with a folder" in fleet.output[-1]
    assert sorted(path.name for path in tmp_path.iterdir() if "home" not in path.name) == [
        "back", "big", "fleet-0", "given",
    ]  # fmt: skip


@HOSTS
def test_what_cannot_be_copied_is_reported_and_changes_nothing(
    new_fleet: Callable[..., FleetRepo], host: str, tmp_path: Path
) -> None:
    fleet = _applied(new_fleet, host, "a", "b")
    _sh(fleet, host, "mkdir /d; echo x >/d/x; ln -s /etc/passwd /d/out; ln -s ../../.. /d/up; ln -s x /d/in")
    target = tmp_path / "target"
    for words, message in {
        ("cp", "web:/d", str(target)): 'sandbox "web" has 2 services; no service specified',
        ("cp", "web/c:/d", str(target)): 'sandbox "web" has no service "c"',
        ("cp", "web/a:/none", str(target)): '/none of sandbox "web" was not copied',
        ("cp", "web/a:/", str(target)): "a whole container cannot be copied",
        ("cp", "web/a:/d", str(target)): "is a link that points outside the copy",
        ("cp", "web/a:/d/x", f"{target}/"): "there is no folder",
        ("cp", "web/a:/d/x", str(target / "x" / "y")): "cannot write",
        ("cp", str(target), "web/a:/tmp"): "there is no",
        ("cp", __file__, "web/a:/no/such/folder"): "must be a directory",
        ("cp", __file__, "web/a:/no/"): "there is no folder /no",
        ("cp", str(tmp_path), "web/a:/d/x"): "is a file",
        ("cp", str(target), str(target)): "one of SRC and DST must be NAME",
        ("cp", "none:/d", str(target)): 'no sandbox "none"',
    }.items():
        fleet.run(*words, code=1)
        assert message in fleet.output[-1], words
        assert not target.exists()
    fleet.run("cp", "web/a:/d/in", str(target))
    assert target.read_text() == "x\n", "a link that is named is followed"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".target")]


def test_a_container_that_has_ended_is_copied_from_too(new_fleet: Callable[..., FleetRepo], tmp_path: Path) -> None:
    fleet = _applied(new_fleet, "lab-1")
    _sh(fleet, "lab-1", "echo report >/report")
    fleet.engine("lab-1", "stop", "-t", "0", fleet.ids("lab-1", "web")["a"])
    fleet.run("cp", "web:/report", str(tmp_path / "report"))
    assert (tmp_path / "report").read_text() == "report\n"


def test_a_copy_that_is_interrupted_leaves_no_half_file(new_fleet: Callable[..., FleetRepo], tmp_path: Path) -> None:
    fleet = _applied(new_fleet, "lab-1")
    _sh(fleet, "lab-1", "mkdir /d; head -c 400000000 /dev/zero >/d/big")
    target = tmp_path / "target"
    target.mkdir()
    with fleet.start("cp", "web:/d/big", str(target)) as process:
        until(lambda: list(target.iterdir()), "it has begun")
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr is not None
        assert process.stderr.read().strip() == "Interrupted."
    assert list(target.iterdir()) == []
    reading = "pgrep -f 'docker [c]p' || true"
    until(lambda: not fleet.sh("lab-1", reading), "nothing that copies is left on the host")
    assert tempfile.gettempdir() not in fleet.sh("lab-1", "ls /tmp")
