"""The folders above a root: who could change one would get another sandbox's files, and so is refused by name."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.e2e import FleetRepo, service, stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.lab import Lab

pytestmark = pytest.mark.lab
THEIRS = "/tmp/ci-r"
SECRET = "s3cr3t-of-the-fleet"
AS_SOMEBODY = "setpriv --reuid 1357 --regid 1357 --clear-groups"

# Another user has the folder above the root, and puts a link in the root's place and takes it away, all the while.
_SWAP = f"cd {THEIRS} && while [ ! -e stop ]; do ln -sfn {THEIRS}/loot sandboxer; rm -f sandboxer; done"
PREPARED = {
    "lab-1": (f"install -d -o 1357 -m 755 {THEIRS}", f"{THEIRS} belongs to user id 1357"),
    "lab-2": (f"install -d -m 777 {THEIRS}", f"{THEIRS} may be written by other users (mode 777)"),
    "lab-3": (f"ln -s /srv {THEIRS} && chown -h 1357 {THEIRS}", f"{THEIRS} is a symbolic link of user id 1357"),
    "lab-4": (
        f"install -d -o 1357 /srv/theirs && ln -s /srv/theirs {THEIRS}",
        "/srv/theirs belongs to user id 1357",
    ),
}


@pytest.fixture
def new_fleet(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., FleetRepo]]:
    """Makes the fleet, whose root lies in a folder that a test makes: a sandbox with a secret on each of its hosts."""
    made: list[FleetRepo] = []

    def make(*hosts: str) -> FleetRepo:
        secrets = {"secrets": {"allow": ["env:TOKEN"]}}
        path = tmp_path_factory.mktemp("parents") / "fleet"
        fleet = FleetRepo.create(lab, path, hosts=hosts, root=f"{THEIRS}/sandboxer", **secrets)
        fleet.env["TOKEN"] = SECRET
        compose = stack(web=service(secrets=["TOKEN"])) | {"secrets": {"TOKEN": {"environment": "TOKEN"}}}
        for host in hosts:
            fleet.sandbox(f"on-{host}", compose, secretRefs=[{"name": "TOKEN", "from": "env:TOKEN"}], host=host)
        fleet.commit()
        made.append(fleet)
        return fleet

    yield make
    for fleet in made:
        fleet.clean_up()
        for host in fleet.hosts:
            fleet.sh(host, f"touch {THEIRS}/stop; rm -rf {THEIRS} /srv/theirs")


def test_a_folder_above_the_root_that_others_can_change_is_refused_by_name(
    new_fleet: Callable[..., FleetRepo],
) -> None:
    """Nor does who swaps the root in the middle of an apply get anything."""
    fleet = new_fleet(*PREPARED)
    for host, (prepare, _) in PREPARED.items():
        fleet.sh(host, prepare)
    fleet.sh("lab-1", f"install -d -o 1357 -m 777 {THEIRS}/loot")
    host = fleet.lab.host("lab-1")
    swapping = subprocess.Popen(
        host.command([*AS_SOMEBODY.split(), "sh", "-c", _SWAP]), env=host.environment(), stdin=subprocess.DEVNULL
    )
    try:
        applied = fleet.apply(code=None).plan.data["hosts"]
        doctor = " ".join(fleet.run("doctor", code=None).split())
    finally:
        fleet.sh("lab-1", f"touch {THEIRS}/stop")
        assert swapping.wait(timeout=30) == 0
    hosts = {host["name"]: json.dumps(host) for host in applied}
    for name, (_, problem) in PREPARED.items():
        assert f"{problem}, who could replace {THEIRS}/sandboxer" in hosts[name]
        assert f"{problem}, who could replace {THEIRS}/sandboxer, and is rejected" in doctor
        assert not fleet.containers(name)
        assert fleet.sh(name, f"find {THEIRS}/ /srv -name record.json; grep -r -l {SECRET} {THEIRS} /srv; true") == ""
    assert fleet.sh("lab-1", f"find {THEIRS}/loot -mindepth 1") == ""


def test_a_link_of_roots_is_followed_until_somebody_else_has_what_it_leads_to(
    new_fleet: Callable[..., FleetRepo],
) -> None:
    fleet = new_fleet("lab-1")
    fleet.sh("lab-1", f"install -d -m 755 /srv/theirs && ln -s /srv/theirs {THEIRS}")
    fleet.apply()
    assert fleet.sh("lab-1", f"stat -c '%U %a' {THEIRS}/sandboxer /srv/theirs/sandboxer") == "root 700\nroot 700\n"
    # Somebody takes the folder: what is there already is not touched any more.
    fleet.sh("lab-1", "chown 1357 /srv/theirs")
    (host,) = fleet.plan(code=None).data["hosts"]
    assert "/srv/theirs belongs to user id 1357" in json.dumps(host)
    fleet.sh("lab-1", "chown 0 /srv/theirs")
    fleet.assert_synced()
