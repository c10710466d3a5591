"""Logins that are not root, shells that talk, and roots that are not ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.e2e import ROOT, FleetRepo, service, stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab import Lab

pytestmark = pytest.mark.lab

HOST = "lab-3"  # its login is sbx, in the group docker


def test_a_login_that_is_not_root_makes_updates_and_removes(new_fleet: Callable[..., FleetRepo], lab: Lab) -> None:
    fleet = new_fleet(HOST)
    before = lab.snapshot(HOST)
    fleet.sandbox("one", stack(a=service(volumes=["./rw:/rw", "./ro:/ro:ro"])), files={"rw/x": "x\n", "ro/y": "y\n"})
    fleet.commit()
    fleet.apply()
    owned = fleet.sh(HOST, f"stat -c '%U %a' {fleet.root} {fleet.root}/{fleet.name} {fleet.folder('one')}").splitlines()
    assert owned == ["sbx 700"] * 3
    fleet.inside(HOST, "one", "a", "sh", "-c", "mkdir -m 700 /rw/deep && echo root >/rw/deep/file && chmod 600 /rw/x")

    fleet.sandbox("one", files={"rw/x": "changed\n"})
    fleet.commit()
    fleet.apply()
    assert fleet.inside(HOST, "one", "a", "ls", "/rw").split() == ["x"]
    assert len(fleet.sh(HOST, f"ls {fleet.folder('one')}/workspace/bind-rw").split()) == 1
    fleet.inside(HOST, "one", "a", "sh", "-c", "mkdir -m 700 /rw/deep && echo root >/rw/deep/file")
    fleet.sh(HOST, f"test $(stat -c %U {fleet.folder('one')}/workspace/bind-rw/*/rw/deep) = root")
    fleet.assert_synced()

    fleet.remove("one")
    fleet.commit()
    fleet.apply("--allow-empty")
    assert lab.leaked(HOST, before) == {}


@pytest.mark.parametrize(
    ("make", "word"),
    [
        ("mkdir -m 777 {root}", "belongs to user id 0"),
        ("mkdir /tmp/other && chown sbx /tmp/other && ln -s /tmp/other {root}", "symbolic link"),
        ("echo >{root} && chown sbx {root}", "regular"),
        ("mkdir -m 700 {root} && chown sbx {root} && ln -s /tmp {root}/{fleet}", "symbolic link"),
    ],
    ids=["another-owner", "link", "file", "fleet-is-a-link"],
)
def test_a_root_that_is_not_ours_is_refused_by_name(new_fleet: Callable[..., FleetRepo], make: str, word: str) -> None:
    root = "/tmp/sandboxer-odd"
    fleet = new_fleet(HOST, root=root)
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.sh(HOST, make.format(root=root, fleet=fleet.name))
    try:
        planned = fleet.plan(code=1)
        (host,) = planned.data["hosts"]
        assert host["status"] == "unknown"
        assert root in host["error"]
        assert word in host["error"]
        fleet.apply(code=1)
        assert fleet.containers(HOST) == {}
    finally:
        fleet.sh(HOST, f"rm -rf {root} /tmp/other")


def test_a_root_of_ours_with_a_wrong_mode_is_closed(new_fleet: Callable[..., FleetRepo]) -> None:
    fleet = new_fleet(HOST, root="/tmp/sandboxer-odd")
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.sh(HOST, "mkdir -m 755 /tmp/sandboxer-odd && chown sbx /tmp/sandboxer-odd")
    fleet.apply()
    assert fleet.sh(HOST, "stat -c %a /tmp/sandboxer-odd") == "700\n"


ODD = """\
echo to stdout; echo to stderr >&2
sleep 1
set -f; IFS=:; alias ls='echo no'; umask 000
"""


@pytest.fixture
def odd_shell(lab: Lab) -> Iterator[None]:
    """The login's shell talks, is slow, and is set up in a way of its own; sshd runs it for every command."""
    lab.exec(HOST, ["sh", "-c", "cat >/home/sbx/.bashrc; chown sbx /home/sbx/.bashrc"], input=ODD)
    yield
    lab.exec(HOST, ["rm", "/home/sbx/.bashrc"])


def test_an_odd_login_shell_is_survived(new_fleet: Callable[..., FleetRepo], odd_shell: None) -> None:
    fleet = new_fleet(HOST)
    fleet.sandbox("one", stack(a=service(volumes=["./ro:/ro:ro"])), files={"ro/y": "y\n"})
    fleet.commit()
    fleet.apply()
    assert fleet.inside(HOST, "one", "a", "cat", "/ro/y") == "y\n"
    fleet.assert_synced()
    assert fleet.sh(HOST, f"stat -c %a {ROOT}") == "700\n"
