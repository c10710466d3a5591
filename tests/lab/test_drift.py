"""What others do to a sandbox on its host is reported as drift and repaired in place."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.e2e import FleetRepo, service, stack, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab import Lab

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


def test_an_unhealthy_container_is_recreated_once(fleet: FleetRepo) -> None:
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


def test_a_wiped_directory_is_repaired_in_the_same_life(new_fleet: Callable[..., FleetRepo]) -> None:
    host = "lab-4"  # that Docker does the same is a row of the fault matrix
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
def test_a_wiped_workspace_is_delivered_again_and_what_mounts_it_is_recreated(
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


def test_containers_gone_with_the_directory_left_come_back(new_fleet: Callable[..., FleetRepo]) -> None:
    host = "lab-4"  # that Docker does the same is a row of the fault matrix
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


def test_self_heal_off_reports_drift_and_leaves_it(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(a=service()), syncPolicy={"selfHeal": False})
    fleet.commit()
    fleet.apply()
    fleet.engine("lab-1", "rm", "-f", fleet.ids("lab-1", "one")["a"])
    change = fleet.plan().of("one")
    assert change["reason"] == "no_op_because_self_heal_disabled"
    assert change["drift"]
    assert fleet.apply().changes == []
    assert fleet.ids("lab-1") == {}


# --- the command


def drift(fleet: FleetRepo, *arguments: str, code: int | None = 2) -> dict[str, Any]:
    """Return the output of `drift`. It exits 2 with drift, 1 if something is Unknown or failed, 0 otherwise."""
    report: dict[str, Any] = json.loads(fleet.run("drift", "-o", "json", *arguments, code=code, drifts=True))
    return report


def paths(report: dict[str, Any]) -> dict[str, list[str]]:
    return {change["sandbox"]: [field["path"] for field in change["drift"]] for change in report["changes"]}


def test_drift_reports_every_sandbox_and_resolved_drift_once(fleet: FleetRepo) -> None:
    names = ("healed", "held", "kept", "left")
    fleet.sandbox("healed", stack(a=service()))
    fleet.sandbox("held", stack(a=service()))
    fleet.sandbox("kept", stack(a=service()), syncPolicy={"selfHeal": False})
    fleet.sandbox("left", stack(a=service()), syncPolicy={"prune": False})
    fleet.commit()
    fleet.apply()
    fleet.sandbox("held", suspend=True)
    fleet.remove("left")
    fleet.commit()
    assert drift(fleet, code=0)["changes"] == []
    for name in names:
        fleet.engine("lab-1", "stop", "-t", "0", fleet.ids("lab-1", name)["a"])
    records = [fleet.record("lab-1", name) for name in names]
    report = drift(fleet)
    assert paths(report) == {name: ["services.a.state"] for name in names}
    assert {change["sandbox"]: change["reason"] for change in report["changes"]} == {
        "healed": "repair_because_drift",
        "held": "no_op_because_suspended",
        "kept": "no_op_because_self_heal_disabled",
        "left": "no_op_because_not_in_git",
    }
    since = {change["sandbox"]: change["since"] for change in report["changes"]}
    with ThreadPoolExecutor(max_workers=2) as pool:  # two jobs at once do no harm
        again = list(pool.map(lambda _: drift(fleet), range(2)))
    assert [{change["sandbox"]: change["since"] for change in one["changes"]} for one in again] == [since, since]
    assert [fleet.record("lab-1", name) for name in names] == records
    fleet.apply(drifts=True)
    fleet.engine("lab-1", "start", fleet.ids("lab-1", "left")["a"])  # it heals by itself
    report = drift(fleet)
    assert set(paths(report)) == {"held", "kept"}
    assert {one["sandbox"]: (one["paths"], one["since"]) for one in report["resolved"]} == {
        name: (["services.a.state"], since[name]) for name in ("healed", "left")
    }
    assert drift(fleet)["resolved"] == []
    assert not fleet.exists("lab-1", f"{fleet.folder('healed')}/drift.json")


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_a_damaged_workspace_is_named_file_by_file_and_delivered_again(
    new_fleet: Callable[..., FleetRepo], host: str
) -> None:
    fleet = new_fleet(host)
    compose = stack(m=service(volumes=["./conf:/conf:ro"]), n=service(volumes=["./other:/o:ro", "./up:/up"]))
    files = {"conf/a": "a\n", "conf/b": "b\n", "other/c": "c\n", "up/d": "d\n"}
    fleet.sandbox("one", compose, files=files)
    fleet.commit()
    fleet.apply()
    before, directory = fleet.ids(host, "one"), fleet.folder("one")
    fleet.inside(host, "one", "n", "sh", "-c", "echo mine >/up/e")
    assert drift(fleet, "--deep", code=0)["errors"] == []  # what a container writes is its own
    damage = "cd $1/bind/*/conf && rm b && echo xyz >a && cd $1/tree/* && echo extra >more"
    fleet.sh(host, damage.replace("$1", f"{directory}/workspace"))
    report = drift(fleet, "--deep")
    assert paths(report)["one"] == [
        "workspace.files",
        "workspace.files.conf/a",
        "workspace.files.conf/b",
        "workspace.files.more",
    ]
    assert drift(fleet)["resolved"] == []  # nobody compared the files again
    assert [field["path"] for field in fleet.plan(drifts=True).of("one")["drift"]] == ["workspace.files"]
    assert fleet.apply(drifts=True).reasons == {"one": "repair_because_drift"}
    after = fleet.ids(host, "one")
    assert {name for name in before if before[name] != after[name]} == {"m"}
    assert fleet.inside(host, "one", "m", "cat", "/conf/a", "/conf/b") == "a\nb\n"
    assert fleet.inside(host, "one", "n", "cat", "/up/e") == "mine\n"
    assert drift(fleet, "--deep", code=0)["resolved"] != []
    fleet.assert_synced()


def test_a_repair_that_is_killed_with_its_files_in_place_still_recreates_what_mounts_them(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(m=service(volumes=["./conf:/conf:ro"]), p=service()), files={"conf/a": "a\n"})
    fleet.commit()
    fleet.apply()
    before = fleet.ids("lab-1", "one")
    fleet.sh("lab-1", f"rm {fleet.folder('one')}/workspace/bind/*/conf/a")
    fleet.run("apply", "-y", code=-9, env={"SANDBOXER_CRASH_AT": "compose.before"}, drifts=True)
    report = drift(fleet, code=0)
    assert (report["changes"], report["compared"]) == ([], 0)
    assert [warning.split(",")[0] for warning in report["warnings"]] == ["one on lab-1 is provisioning"]
    assert fleet.apply().reasons == {"one": "repair_because_interrupted"}
    after = fleet.ids("lab-1", "one")
    assert {name for name in before if before[name] != after[name]} == {"m"}
    assert fleet.inside("lab-1", "one", "m", "cat", "/conf/a") == "a\n"
    assert not fleet.sh("lab-1", f"find {fleet.folder('one')} -name '*.made'")
    assert drift(fleet, "--deep", code=0)["changes"] == []


def test_only_deep_sees_what_keeps_number_size_and_time_and_it_needs_the_input(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(a=service(volumes=["./conf:/conf:ro"])), files={"conf/a": "a\n"})
    fleet.commit()
    fleet.apply()
    folder = f"{fleet.folder('one')}/workspace/bind/*/conf"
    fleet.sh("lab-1", f"cd {folder} && touch -r a t && echo b >a && touch -r t a && rm t")
    assert drift(fleet, code=0)["changes"] == []
    report = drift(fleet, "--deep")
    (change,) = report["changes"]
    assert (change["action"], paths(report)) == ("no-op", {"one": ["workspace.files.conf/a"]})
    assert (report["stats"]["connections"], report["stats"]["commands"]) == (
        1,
        3,
    )  # the observation, the contents, the note
    fleet.apply("--replace", "one")
    assert drift(fleet, "--deep", code=0)["changes"] == []
    commit = fleet.record("lab-1", "one")["inputs"]["commit"]
    fleet.sh("lab-1", f"sed -i s/{commit}/{'0' * 40}/g {fleet.folder('one')}/record.json")
    (error,) = drift(fleet, "--deep", code=1)["errors"]
    assert error.startswith("the files of one on lab-1 cannot be compared: ")


def test_a_sandbox_with_an_uncertain_owner_is_shown_with_exit_1_and_left_alone(fleet: FleetRepo) -> None:
    for name in ("forged", "torn", "well"):
        fleet.sandbox(name, stack(a=service()))
    fleet.commit()
    fleet.apply()
    container = fleet.containers("lab-1", "forged")["a"]
    own = {key: value for key, value in container["Config"]["Labels"].items() if key.startswith("dev.sandboxer.")}
    own["dev.sandboxer.uid"] = "2" * 32
    labels = [word for key, value in own.items() for word in ("--label", f"{key}={value}")]
    fleet.engine("lab-1", "run", "-d", *labels, container["Image"], "sleep", "9999")
    fleet.sh("lab-1", f"truncate -s 100 {fleet.folder('torn')}/record.json")
    fleet.engine("lab-1", "rm", "-f", fleet.ids("lab-1", "well")["a"])
    before = fleet.ids("lab-1")
    report = drift(fleet, code=1)
    assert {change["sandbox"]: (change["reason"], change["sync"]) for change in report["changes"]} == {
        "forged": ("blocked_because_ambiguous", "Unknown"),
        "torn": ("blocked_because_ambiguous", "Unknown"),
        "well": ("repair_because_drift", "OutOfSync"),
    }
    fleet.apply(code=1, drifts=True)
    assert before.items() <= fleet.ids("lab-1").items()
    text = fleet.run("drift", code=1, drifts=True)
    assert "torn    Unknown on lab-1" in text


def test_a_directory_gone_with_containers_left_and_the_reverse_are_reported(
    new_fleet: Callable[..., FleetRepo], lab: Lab
) -> None:
    fleet = new_fleet("lab-1", "lab-2", "lab-3")
    homes = {"bare": "lab-1", "eaten": "lab-1", "empty": "lab-2", "far": "lab-3"}
    for name, host in homes.items():
        fleet.sandbox(name, stack(a=service(volumes=["./f:/f:ro"])), files={"f": "f\n"}, host=host)
    fleet.commit()
    fleet.apply()
    fleet.sh("lab-1", f"rm -rf {fleet.folder('bare')}")
    fleet.sh("lab-1", f"find {fleet.folder('eaten')} -type f -delete")  # a cleaner takes files, and then directories
    fleet.engine("lab-2", "rm", "-f", fleet.ids("lab-2", "empty")["a"])
    with lab.cut("lab-3", "refuse"):
        report = drift(fleet, code=1)
    assert {host["name"]: host["status"] for host in report["hosts"]}["lab-3"] == "unreachable"
    assert paths(report) == {"bare": ["directory"], "eaten": ["directory"], "empty": ["services.a"]}
    assert not fleet.exists("lab-1", fleet.folder("bare"))  # there is nothing to note it in
    fleet.apply(drifts=True)
    assert [one["sandbox"] for one in drift(fleet, code=0)["resolved"]] == ["empty"]
    for name, host in homes.items():
        assert fleet.inside(host, name, "a", "cat", "/f") == "f\n"


def test_a_note_that_cannot_be_written_is_a_warning(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.apply()
    fleet.engine("lab-1", "stop", "-t", "0", fleet.ids("lab-1", "one")["a"])
    fleet.sh("lab-1", f"mkdir {fleet.folder('one')}/drift.json.new")
    (warning,) = drift(fleet)["warnings"]
    assert warning.startswith("cannot save the reported drift of one on lab-1: ")
