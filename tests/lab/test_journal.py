"""The journal on a host: each step of a life, once, on disk before the record that counts it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.e2e import service, stack

if TYPE_CHECKING:
    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab

APP = stack(app=service(environment=["LEVEL=${LEVEL}"]))


def journal(fleet: FleetRepo, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in fleet.sh("lab-1", f"cat {fleet.folder(name)}/journal.jsonl").splitlines()]


def reported_steps(fleet: FleetRepo, name: str) -> list[tuple[int, str, str]]:
    return [
        (event["number"], event["type"].removeprefix("dev.sandboxer."), event["reason"])
        for event in journal(fleet, name)
    ]


def test_a_life_is_reported_step_by_step_and_continues_after_a_loss(fleet: FleetRepo) -> None:
    fleet.sandbox("one", APP, env={"LEVEL": "a"}, consumer={"actor": "agt", "project": "checks"})
    commit = fleet.commit()
    fleet.apply()
    created = [
        (1, "sandbox.requested", "create_because_absent"),
        (2, "sandbox.provisioning", "create_because_absent"),
        (3, "sandbox.ready", "create_because_absent"),
    ]
    assert reported_steps(fleet, "one") == created
    record, events = fleet.record("lab-1", "one"), journal(fleet, "one")
    assert (record["phase"], record["last_event"]) == ("ready", 3)
    assert [event["from_phase"] for event in events] == [None, "requested", "provisioning"]
    expected = {"commit": commit, "host": "lab-1", "sandbox_id": fleet.id("one"), "actor_type": "agt"}
    assert {key: events[-1][key] for key in expected} == expected
    assert fleet.sh("lab-1", f"stat -c %a {fleet.folder('one')}/journal.jsonl").strip() == "600"

    # Half a line that a power cut left is no event, and harms none after it; the record's fields alone are no step.
    fleet.sh("lab-1", f"printf '%s' '{{\"number\":4,\"ty' >>{fleet.folder('one')}/journal.jsonl")
    fleet.sandbox("one", APP, env={"LEVEL": "a"}, labels={"team": "x"})
    fleet.commit()
    fleet.apply()
    fleet.sandbox("one", APP, env={"LEVEL": "b"})
    fleet.commit()
    fleet.apply()
    lines = fleet.sh("lab-1", f"cat {fleet.folder('one')}/journal.jsonl").splitlines()
    assert [json.loads(line)["number"] for line in lines if line.endswith("}")] == [1, 2, 3, 4, 5]
    assert json.loads(lines[-1])["reason"] == "update_because_changed"

    fleet.sh("lab-1", f"rm -rf {fleet.root}")  # a reboot that clears /tmp
    fleet.apply(drifts=True)
    unknown_host, provisioning, ready = journal(fleet, "one")
    assert unknown_host["type"] == "dev.sandboxer.journal.gap"
    assert unknown_host["number"] > 1_700_000_000
    assert [unknown_host["number"] + 1, unknown_host["number"] + 2] == [provisioning["number"], ready["number"]]
    assert {unknown_host["uid"], ready["uid"]} == {record["uid"]}
    fleet.assert_synced()
