"""What befalls a sandbox on its host by other hands is told as drift and repaired in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.e2e import FleetRepo, service, stack, until

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.lab

HEALTH = {"test": ["CMD", "test", "!", "-e", "/tmp/sick"], "interval": "1s", "retries": 1, "start_period": "0s"}


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_containers_that_are_removed_stopped_or_paused_are_repaired(
    new_fleet: Callable[..., FleetRepo], host: str
) -> None:
    fleet = new_fleet(host)
    names = ("removed", "stopped", "paused", "kept")
    fleet.sandbox("one", stack(**{name: service() for name in names}))
    fleet.commit()
    fleet.apply()
    before = fleet.ids(host, "one")
    fleet.engine(host, "rm", "-f", before["removed"])
    fleet.engine(host, "stop", "-t", "0", before["stopped"])
    fleet.engine(host, "pause", before["paused"])
    planned = fleet.plan("--detailed-exitcode", code=2, drifts=True).of("one")
    assert (planned["action"], planned["reason"], planned["sync"]) == ("repair", "repair_because_drift", "OutOfSync")
    assert planned["health"] == "Degraded"
    assert planned["pending"] == []
    assert {drift["path"].split(".")[1] for drift in planned["drift"]} == {"removed", "stopped", "paused"}
    fleet.apply(drifts=True)
    after = fleet.containers(host, "one")
    assert {item["State"]["Status"] for item in after.values()} == {"running"}
    assert set(after) == set(names)
    kept = {name for name in names if after[name]["Id"] == before[name]}
    assert kept >= {"paused", "kept"}
    fleet.assert_synced()


def test_an_unhealthy_container_is_made_anew_once(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(sick=service(healthcheck=HEALTH), well=service()))
    fleet.commit()
    fleet.apply()
    before = fleet.ids("lab-1", "one")
    fleet.inside("lab-1", "one", "sick", "touch", "/tmp/sick")
    until(
        lambda: fleet.containers("lab-1", "one")["sick"]["State"]["Health"]["Status"] == "unhealthy",
        "the health check's verdict",
    )
    assert fleet.apply(drifts=True).reasons == {"one": "repair_because_drift"}
    after = fleet.ids("lab-1", "one")
    assert after["sick"] != before["sick"]
    assert after["well"] == before["well"]
    fleet.assert_synced()


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_a_wiped_directory_is_repaired_in_the_same_life(new_fleet: Callable[..., FleetRepo], host: str) -> None:
    fleet = new_fleet(host)
    compose = stack(mounts=service(volumes=["./conf:/conf:ro"]), plain=service(volumes=["data:/data"]))
    fleet.sandbox("one", compose | {"volumes": {"data": None}}, files={"conf/a": "a\n"})
    fleet.commit()
    fleet.apply()
    before, record = fleet.ids(host, "one"), fleet.record(host, "one")
    fleet.inside(host, "one", "plain", "sh", "-c", "echo kept >/data/file")
    fleet.sh(host, f"rm -rf {fleet.root}")
    planned = fleet.plan(drifts=True).of("one")
    assert (planned["reason"], planned["host"]) == ("repair_because_drift", host)
    fleet.apply(drifts=True)
    after = fleet.ids(host, "one")
    assert fleet.record(host, "one")["uid"] == record["uid"]
    assert fleet.record(host, "one")["until"] == record["until"]
    assert after["mounts"] != before["mounts"]
    assert after["plain"] == before["plain"]
    assert fleet.inside(host, "one", "mounts", "cat", "/conf/a") == "a\n"
    assert fleet.inside(host, "one", "plain", "cat", "/data/file") == "kept\n"
    fleet.assert_synced()


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_a_wiped_workspace_is_delivered_again_and_what_mounts_it_made_anew(
    new_fleet: Callable[..., FleetRepo], host: str
) -> None:
    fleet = new_fleet(host)
    fleet.sandbox("one", stack(m=service(volumes=["./conf:/conf:ro"]), p=service()), files={"conf/a": "a\n"})
    fleet.commit()
    fleet.apply()
    before = fleet.ids(host, "one")
    fleet.sh(host, f"rm -rf {fleet.folder('one')}/workspace")
    assert fleet.apply(drifts=True).reasons == {"one": "repair_because_drift"}
    after = fleet.ids(host, "one")
    assert {name for name in before if before[name] != after[name]} == {"m"}
    assert fleet.inside(host, "one", "m", "cat", "/conf/a") == "a\n"
    fleet.assert_synced()


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_containers_gone_with_the_directory_left_come_back(new_fleet: Callable[..., FleetRepo], host: str) -> None:
    fleet = new_fleet(host)
    fleet.sandbox("one", stack(a=service(), b=service()))
    fleet.commit()
    fleet.apply()
    uid = fleet.record(host, "one")["uid"]
    fleet.engine(host, "rm", "-f", *fleet.ids(host, "one").values())
    networks = fleet.engine(host, "network", "ls", "-q", "--filter", f"label=dev.sandboxer.fleet={fleet.name}").split()
    fleet.engine(host, "network", "rm", *networks)
    planned = fleet.plan(drifts=True).of("one")
    assert (planned["reason"], planned["health"]) == ("repair_because_drift", "Missing")
    fleet.apply(drifts=True)
    assert set(fleet.ids(host, "one")) == {"a", "b"}
    assert fleet.record(host, "one")["uid"] == uid
    fleet.assert_synced()


def test_a_container_of_another_image_under_the_same_tag_is_drift(fleet: FleetRepo) -> None:
    tag = f"sandboxer-lab/{fleet.name}:1"
    fleet.lab.load_image("lab-1", tag)
    fleet.sandbox("one", stack(a=service() | {"image": tag}))
    fleet.commit()
    fleet.apply()
    before = fleet.ids("lab-1", "one")
    fleet.lab.load_image("lab-1", tag, {"moved": "yes"})
    assert fleet.plan().actions == {"one": "no-op"}  # a tag that moved is no drift
    assert fleet.ids("lab-1", "one") == before
    fleet.engine("lab-1", "rm", "-f", before["a"])
    fleet.apply(drifts=True)
    fleet.assert_synced()


def test_self_heal_off_tells_drift_and_leaves_it(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(a=service()), syncPolicy={"selfHeal": False})
    fleet.commit()
    fleet.apply()
    fleet.engine("lab-1", "rm", "-f", fleet.ids("lab-1", "one")["a"])
    change = fleet.plan().of("one")
    assert change["reason"] == "no_op_because_self_heal_disabled"
    assert change["drift"]
    assert fleet.apply().changes == []
    assert fleet.ids("lab-1") == {}
