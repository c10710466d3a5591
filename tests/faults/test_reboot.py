"""A reboot clears /tmp and keeps what the engine has, or a disk is lost and the files are there: drift, repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults.matrix import full_only, size
from tests.support.e2e import service, stack, web

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.matrix import Row
    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

pytestmark = [
    pytest.mark.lab,
    pytest.mark.fault("a host reboot that wipes /tmp and keeps containers; and the reverse", "seen as drift, repaired"),
]


def _commit(fleet: FleetRepo) -> None:
    """Each way in which a service may hang on its directory: mounted, written to, not at all; and a finished job."""
    compose = stack(
        mounts=web(volumes=["./conf:/www:ro"], restart="unless-stopped"),
        writes=service(volumes=["./up:/up"]),
        keeps=service(volumes=["data:/data"]),
        job=service("true", restart="no"),
    )
    fleet.sandbox("one", compose | {"volumes": {"data": None}}, files={"conf/a": "a\n", "up/x": "x\n"})
    fleet.commit()


def _reboot(lab: Lab, host: str) -> None:
    """Everything stops, /tmp is empty, and what shall always run starts again: all that a sandbox sees of a reboot."""
    wipe = "find /tmp -mindepth 1 -delete"
    if lab.host(host).engine == "docker":
        lab.stop_engine(host, "stop")
        lab.exec(host, ["sh", "-c", wipe])
        lab.start_engine(host)
    else:
        lab.exec(host, ["sh", "-c", f"podman stop -a -t 0 && {wipe}"])
        # Podman's own service for this; it fails if a mount's source is gone, and continues.
        lab.exec(host, ["podman", "start", "--all", "--filter", "restart-policy=unless-stopped"], check=False)


@pytest.mark.parametrize("host", size(["lab-1"], ["lab-1", "lab-4"]))
def test_a_reboot_that_wipes_tmp(new_fleet: Callable[..., FleetRepo], lab: Lab, host: str, row: Row) -> None:
    fleet = new_fleet(host)
    _commit(fleet)
    clean = row.clean(fleet)
    fleet.apply()
    before, record = fleet.ids(host, "one"), fleet.record(host, "one")
    fleet.inside(host, "one", "keeps", "sh", "-c", "echo kept >/data/file")
    _reboot(lab, host)
    row.broke("a reboot that wiped /tmp")
    assert not fleet.exists(host, fleet.root)
    planned = fleet.plan(drifts=True).of("one")
    assert (planned["reason"], planned["host"]) == ("repair_because_drift", host)
    assert [change["path"] for change in planned["drift"]] == ["directory"]

    row.recovered(fleet, clean)
    after, again = fleet.ids(host, "one"), fleet.record(host, "one")
    assert (again["uid"], again["until"]) == (record["uid"], record["until"])
    assert fleet.inside(host, "one", "keeps", "cat", "/data/file") == "kept\n"
    assert fleet.inside(host, "one", "mounts", "cat", "/www/a") == "a\n"
    assert fleet.inside(host, "one", "writes", "cat", "/up/x") == "x\n"
    assert {name for name in before if before[name] == after[name]} == {"keeps", "job"}


@full_only
def test_a_reboot_of_what_git_no_longer_wants(fleet: FleetRepo, lab: Lab, row: Row) -> None:
    """With neither record nor manifest, nothing proves that it is ours: it is listed, and left to a person."""
    fleet.sandbox("other", stack(a=service()))
    fleet.sandbox("one", stack(a=service()))
    committed = fleet.commit()
    clean = row.clean(fleet)
    fleet.apply()
    fleet.remove("one")
    fleet.commit()
    _reboot(lab, "lab-1")
    row.broke("a reboot that wiped /tmp, of an orphan")
    fleet.apply("--max-deletes", "100", drifts=True)
    fleet.prune("--max-deletes", "100")
    assert set(fleet.ids("lab-1")) == {"one/a", "other/a"}
    unmanaged = {thing["kind"]: thing["name"] for thing in fleet.plan().data["unmanaged"]}
    assert fleet.id("one") in unmanaged["ambiguous"]
    fleet.repo.git("checkout", "-q", committed, "--", "manifests")
    fleet.commit()
    row.recovered(fleet, clean)


@pytest.mark.parametrize("host", size(["lab-1"], ["lab-1", "lab-4"]))
def test_an_engine_that_lost_everything(new_fleet: Callable[..., FleetRepo], lab: Lab, host: str, row: Row) -> None:
    fleet = new_fleet(host)
    _commit(fleet)
    clean = row.clean(fleet)
    fleet.apply()
    record = fleet.record(host, "one")
    label = f"label=dev.sandboxer.id={fleet.id('one')}"
    fleet.engine(host, "rm", "-f", "-v", *fleet.ids(host, "one").values())
    for kind in ("network", "volume"):
        fleet.engine(host, kind, "rm", *fleet.engine(host, kind, "ls", "-q", "--filter", label).split())
    row.broke("containers, networks and volumes gone, the directory left")
    planned = fleet.plan(drifts=True).of("one")
    assert (planned["reason"], planned["health"]) == ("repair_because_drift", "Missing")
    reported = {change["path"].split(".")[0] for change in planned["drift"]}
    assert reported == {"services", "networks", "volumes"}

    row.recovered(fleet, clean)
    assert fleet.record(host, "one")["uid"] == record["uid"]
