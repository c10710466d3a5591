"""A failed observation is not an absence: it blocks, and nothing is created or deleted because of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.e2e import FleetRepo, service, stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab import Lab

pytestmark = pytest.mark.lab


def test_a_host_without_network_blocks_its_own_and_what_might_live_there(
    new_fleet: Callable[..., FleetRepo], lab: Lab
) -> None:
    fleet = new_fleet("lab-1", "lab-2")
    for name in ("orphan", "changed", "anywhere"):
        fleet.sandbox(name, stack(a=service()), host="lab-1")
    fleet.sandbox("other", stack(a=service()), host="lab-2")
    fleet.commit()
    fleet.apply()
    fleet.remove("orphan")
    fleet.sandbox("changed", stack(a=service("sleep", "8888")), host="lab-1")
    fleet.sandbox("anywhere", stack(a=service()))
    fleet.sandbox("fresh", stack(a=service()))
    fleet.sandbox("other", stack(a=service("sleep", "8888")), host="lab-2")
    fleet.commit()

    with lab.cut("lab-1", "drop"):
        planned = fleet.plan("--detailed-exitcode", code=1)
        assert planned.statuses == {"lab-1": "unreachable", "lab-2": "reachable"}
        assert planned.data["complete"] is False
        blocked = dict.fromkeys(("anywhere", "changed", "fresh"), "blocked_because_unreachable")
        assert planned.reasons == {**blocked, "other": "update_because_changed"}


def test_an_engine_that_hangs_blocks(new_fleet: Callable[..., FleetRepo], lab: Lab) -> None:
    fleet = new_fleet("lab-2")
    fleet.sandbox("orphan", stack(a=service()))
    fleet.commit()
    fleet.apply()
    running = fleet.ids("lab-2")
    fleet.remove("orphan")
    fleet.sandbox("fresh", stack(a=service()))
    fleet.commit()
    with lab.stop_engine("lab-2", "freeze"):
        planned = fleet.plan(code=1)
    assert planned.statuses == {"lab-2": "unknown"}
    assert planned.reasons == dict.fromkeys(("orphan", "fresh"), "blocked_because_engine")
    assert {change["sync"] for change in planned.changes} == {"Unknown"}
    assert fleet.ids("lab-2") == running


def test_a_docker_that_the_login_may_not_use_is_not_one_that_is_down(
    new_fleet: Callable[..., FleetRepo], lab: Lab
) -> None:
    (host,) = (host for host in lab.hosts if host.user != "root")
    fleet = new_fleet(host.name)
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    lab.exec(host, ["chmod", "600", "/var/run/docker.sock"])
    try:
        blocked = fleet.plan(code=1).of("one")
    finally:
        lab.exec(host, ["chmod", "660", "/var/run/docker.sock"])
    assert (blocked["reason"], blocked["remedy"]["code"]) == ("blocked_because_engine", "allow_engine")
    assert "permission denied" in blocked["message"]


def test_a_record_that_is_a_link_is_no_record(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.apply()
    running = fleet.ids("lab-1")
    record = f"{fleet.folder('one')}/record.json"
    fleet.sh("lab-1", f"mv {record} /tmp/elsewhere.json && ln -s /tmp/elsewhere.json {record}")
    try:
        assert fleet.plan(drifts=True).of("one")["action"] == "repair"
        fleet.prune()
        assert fleet.ids("lab-1") == running
        fleet.apply(drifts=True)
        assert fleet.ids("lab-1") == running
        assert fleet.sh("lab-1", f"stat -c %F {record}") == "regular file\n"
    finally:
        fleet.sh("lab-1", "rm -f /tmp/elsewhere.json")


def test_an_input_that_cannot_be_fetched_blocks_its_sandbox_alone(fleet: FleetRepo) -> None:
    other = type(fleet.repo).create(fleet.repo.path.parent / "input")
    other.write("compose.yaml", json.dumps(stack(a=service())))
    other.commit()
    fleet.profile("profile.whole")
    document = {"profile": "profile.whole", "inputs": {"repo": "../input"}}
    fleet.document("manifests/one.yaml", "Sandbox", "one", document)
    fleet.sandbox("two", stack(a=service()))
    fleet.commit()
    fleet.apply()
    running = fleet.ids("lab-1")
    other.path.rename(other.path.with_name("away"))
    fleet.sandbox("two", stack(a=service("sleep", "8888")))
    fleet.commit()
    result = fleet.apply(code=1)
    assert result.reasons == {"one": "blocked_because_input_unavailable", "two": "update_because_changed"}
    assert fleet.ids("lab-1")["one/a"] == running["one/a"]
