"""What no sandbox may have: validate, plan and apply say the same of it, and its host is not touched.

The whole policy is held to this without a host in ``tests/unit/extensions/compose_ssh/test_refused_everywhere.py``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer import Client
from sandboxer.errors import ComposeRefused
from tests.support.e2e import service, stack

if TYPE_CHECKING:
    from tests.lab.conftest import NewFleet
    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab

REFUSED: dict[str, dict[str, Any]] = {
    "privileged": {"compose": stack(a=service(privileged=True))},
    "host-network": {"compose": stack(a=service(network_mode="host"))},
    "bind": {"compose": stack(a=service(volumes=["/etc:/etc:ro"]))},
    "unknown": {"compose": stack(a=service(comand="x"))},
    "missing": {"compose": stack(a=service(env_file=["none.env"]))},
    "external": {"compose": stack(a=service(networks=["n"])) | {"networks": {"n": {"external": True}}}},
    "syntax": {"files": {"compose.yaml": "services: {a: {image: x\n"}},
    "profiles": {"compose": stack(a=service(profiles=["other"]))},
    "port": {
        "compose": stack(a=service()),
        "profile_spec": {"reachability": {"ports": [{"name": "http", "service": "b", "port": 80}]}},
    },
}


def state_of(fleet: FleetRepo, host: str) -> str:
    """Return everything of the fleet's sandboxes on a host: each file with its time, and the containers."""
    folder = f"{fleet.root}/{fleet.name}"
    files = fleet.sh(
        host, f"cd {folder} 2>/dev/null && find . -mindepth 1 ! -path ./.head.json -printf '%p %T@ %s\\n' | sort; true"
    )
    return files + json.dumps(fleet.ids(host), sort_keys=True)


def findings(fleet: FleetRepo) -> list[dict[str, Any]]:
    """Return what validate finds."""
    found: list[dict[str, Any]] = json.loads(fleet.run("validate", "-o", "json", code=1))["diagnostics"]
    return found


@pytest.mark.parametrize("host", ["lab-1", "lab-4"], ids=["docker", "podman"])
def test_validate_plan_and_apply_refuse_the_same_and_touch_no_host(new_fleet: NewFleet, host: str) -> None:
    fleet = new_fleet(host)
    for name in REFUSED:
        fleet.sandbox(name, stack(a=service()), host=host)
    fleet.commit()
    fleet.apply()
    for name, given in REFUSED.items():
        fleet.sandbox(f"new-{name}", host=host, **given)
        fleet.sandbox(name, host=host, **given)
    fleet.commit()
    before = state_of(fleet, host)
    found = findings(fleet)
    planned = fleet.plan(code=1)
    assert {change["reason"] for change in planned.changes} == {"blocked_because_refused"}
    for name in REFUSED:
        for sandbox in (name, f"new-{name}"):
            shown = planned.of(sandbox)["diagnostics"]
            assert shown, sandbox
            folder = f"profiles/profile.{sandbox}.yaml" if name == "port" else f"stacks/{sandbox}/compose.yaml"
            assert all(one in found and one["file"] == folder and one["line"] > 0 for one in shown), sandbox
    assert len([one for change in planned.changes for one in change["diagnostics"]]) == len(found)
    applied = fleet.apply(code=1)
    assert {change["outcome"] for change in applied.changes} == {"blocked"}
    assert [change.get("diagnostics") for change in applied.changes] == [
        change["diagnostics"] for change in planned.changes
    ]
    assert state_of(fleet, host) == before


def test_a_saved_plan_never_approves_it(fleet: FleetRepo) -> None:
    fleet.sandbox("web", stack(a=service()), host="lab-1")
    fleet.commit()
    fleet.apply()
    fleet.sandbox("web", stack(a=service(privileged=True)), host="lab-1")
    fleet.commit()
    before = state_of(fleet, "lab-1")
    fleet.run("plan", "--out", "plan.json", code=1)
    applied = fleet.apply("plan.json", code=1)
    assert applied.reasons == {"web": "blocked_because_refused"}
    assert state_of(fleet, "lab-1") == before
    saved = json.loads((fleet.repo.path / "plan.json").read_text())
    assert saved["changes"][0]["diagnostics"][0]["line"] > 0


def test_an_imperative_sandbox_is_refused_before_it_is_requested(
    fleet: FleetRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.sandbox("web", stack(a=service(pid="host")), host="lab-1")
    fleet.commit()
    before = state_of(fleet, "lab-1")
    for words in ((), ("--no-wait",)):
        fleet.run("create", "--profile", "profile.web", "--name", "try", *words, code=1)
        assert "services.a.pid: 'host' leaves the sandbox" in fleet.output[-1]
        assert "compose.yaml:" in fleet.output[-1]
    for key, value in fleet.environment({}).items():
        monkeypatch.setenv(key, value)
    with pytest.raises(ComposeRefused, match=r"services\.a\.pid: 'host' leaves the sandbox"):
        Client(fleet.repo.path).create("profile.web", name="try")
    assert state_of(fleet, "lab-1") == before
