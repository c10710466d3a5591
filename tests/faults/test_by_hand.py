"""Somebody else at work on the host by hand, in the middle of an apply or between two."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.matrix import full_only, size
from tests.support.e2e import service, stack, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.matrix import Row
    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab
HOST = "lab-1"
READY = {"test": ["CMD", "test", "-e", "/tmp/go"], "interval": "1s", "retries": 60}


def _commit(fleet: FleetRepo, number: int) -> None:
    slow = service("sh", "-c", "sleep 1; touch /tmp/go; sleep 9999", healthcheck=READY)
    late = service("sleep", str(9000 + number), depends_on={"a": {"condition": "service_healthy"}})
    fleet.sandbox("one", stack(a=slow, b=late, c=service(volumes=["data:/data"])) | {"volumes": {"data": None}})
    fleet.commit()


MOMENTS: dict[str, Callable[[FleetRepo], Any]] = {
    "all containers": lambda fleet: len(fleet.ids(HOST)) == 3,
    "a container": lambda fleet: fleet.ids(HOST),
    "a compose file": lambda fleet: fleet.exists(HOST, f"{fleet.folder('one')}/compose.json"),
}


@full_only
@pytest.mark.fault(
    "`docker compose down` by hand, by another login, during an apply", "reported or seen as drift, repaired"
)
def test_a_down_by_hand_during_an_apply(fleet: FleetRepo, row: Row) -> None:
    _commit(fleet, 0)
    clean = row.clean(fleet)
    for moment in size(["all containers"], list(MOMENTS) * 2):
        fleet.clean_up()
        with fleet.start("apply", "-y") as process:
            until(lambda moment=moment: MOMENTS[moment](fleet), moment)
            fleet.engine(HOST, "compose", "-p", fleet.project("one"), "down", "-v", "-t", "0", check=False)
            row.broke(f"a `down` with {moment} there")
            _, stderr = process.communicate(timeout=120)
            assert process.returncode in (0, 1)
            assert "Traceback" not in stderr, stderr
        row.recovered(fleet, clean)


@pytest.mark.fault("the network of stopped containers removed by hand, as a prune does", "seen as drift, repaired")
def test_a_network_that_is_gone_while_its_containers_are_stopped(fleet: FleetRepo, row: Row) -> None:
    """Docker then starts none of them: each is bound to a network's id, and a new network has another."""
    gentle = service("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done") | {"stop_signal": "SIGTERM"}
    fleet.sandbox("one", stack(a=gentle, b=service(volumes=["data:/data"])) | {"volumes": {"data": None}})
    fleet.commit()
    clean = row.clean(fleet)
    fleet.apply()
    fleet.inside(HOST, "one", "b", "sh", "-c", "echo kept >/data/file")
    for again in range(size(1, 2)):
        fleet.engine(HOST, "stop", *fleet.ids(HOST).values())
        fleet.engine(HOST, "network", "rm", f"{fleet.project('one')}_default")
        row.broke("the network of stopped containers removed")
        if again:  # as a run that was killed between the two leaves it
            fleet.engine(
                HOST, "compose", "-p", fleet.project("one"), "-f", f"{fleet.folder('one')}/compose.json", "up", "-d",
                check=False,
            )  # fmt: skip
        assert fleet.plan(drifts=True).reasons == {"one": "repair_because_drift"}
        row.recovered(fleet, clean)
        assert fleet.inside(HOST, "one", "b", "cat", "/data/file") == "kept\n"


LINKS = {
    "the root": ("{root}", "{root}.away"),
    "the fleet's folder": ("{root}/{fleet}", "{root}/away"),
    "the sandbox's folder": ("{root}/{fleet}/{id}", "{root}/away"),
}


@full_only
@pytest.mark.fault("the root, or a folder in it, replaced by a link", "Unknown, nothing followed, no delete")
def test_a_folder_that_became_a_link(new_fleet: Callable[..., FleetRepo], row: Row) -> None:
    fleet = new_fleet(HOST, root="/tmp/sandboxer-link")
    fleet.sandbox("one", stack(a=service(volumes=["./c:/c:ro"])), files={"c/x": "x\n"})
    fleet.sandbox("other", stack(a=service()))
    desired = fleet.commit()
    clean = row.clean(fleet)
    fleet.apply()
    running = fleet.ids(HOST)
    for what, (path, away) in LINKS.items():
        words = {"root": fleet.root, "fleet": fleet.name, "id": fleet.id("one")}
        link, target = path.format(**words), away.format(**words)
        fleet.sh(HOST, f"mv {link} {target} && ln -s {target} {link}")
        before = fleet.sh(HOST, f"find {target} -printf '%p %T@ %s\\n' | sort")
        row.broke(f"{what} a link")
        change = fleet.plan(code=1).of("one")
        assert (change["action"], change["sync"]) == ("blocked", "Unknown")
        assert "symbolic link" in change["message"]
        fleet.remove("one")
        fleet.commit()
        fleet.apply(code=None)
        fleet.prune(code=None)
        assert fleet.ids(HOST) == running
        assert fleet.sh(HOST, f"find {target} -printf '%p %T@ %s\\n' | sort") == before
        fleet.sh(HOST, f"rm {link} && mv {target} {link}")
        fleet.repo.git("checkout", "-q", desired, "--", "manifests")
        fleet.commit()
    row.recovered(fleet, clean)
    assert fleet.ids(HOST) == running


@full_only
@pytest.mark.fault("/tmp not writable for the login", "clear error, converges once it is")
def test_a_tmp_that_the_login_cannot_write(new_fleet: Callable[..., FleetRepo], lab: Lab, row: Row) -> None:
    fleet = new_fleet("lab-3", root="/tmp/sandboxer-shut")
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    clean = row.clean(fleet)
    lab.exec("lab-3", ["chmod", "755", "/tmp"])
    try:
        row.broke("/tmp of mode 755")
        assert "Permission denied" in fleet.apply(code=1).of("one")["error"]
        assert fleet.ids("lab-3") == {}
    finally:
        lab.exec("lab-3", ["chmod", "1777", "/tmp"])
    row.recovered(fleet, clean)
