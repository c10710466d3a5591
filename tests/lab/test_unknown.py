"""A failed look is not an absence: what cannot be told is blocked, and nothing is made or deleted because of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.e2e import FleetRepo, service, stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab import Lab

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("how", ["drop", "refuse"])
def test_a_host_without_network_blocks_its_own_and_nobody_else(
    new_fleet: Callable[..., FleetRepo], lab: Lab, how: Any
) -> None:
    fleet = new_fleet("lab-1", "lab-2")
    for name in ("orphan", "changed", "anywhere"):
        fleet.sandbox(name, stack(a=service()), host="lab-1")
    fleet.sandbox("other", stack(a=service()), host="lab-2")
    fleet.commit()
    fleet.apply()
    running = fleet.ids("lab-1")
    fleet.remove("orphan")
    fleet.sandbox("changed", stack(a=service("sleep", "8888")), host="lab-1")
    fleet.sandbox("anywhere", stack(a=service()))
    fleet.sandbox("fresh", stack(a=service()))
    fleet.sandbox("other", stack(a=service("sleep", "8888")), host="lab-2")
    fleet.commit()

    with lab.cut("lab-1", how):
        planned = fleet.plan("--detailed-exitcode", code=1)
        assert planned.statuses == {"lab-1": "unreachable", "lab-2": "reachable"}
        assert planned.data["complete"] is False
        blocked = dict.fromkeys(("anywhere", "changed", "fresh"), "blocked_because_unreachable")
        assert planned.reasons == {**blocked, "other": "update_because_changed"}
        if how == "drop":  # each look takes its 10 s
            return
        applied = fleet.apply(code=1)
        assert {c["sandbox"]: c["outcome"] for c in applied.changes} == {
            **dict.fromkeys(blocked, "blocked"), "other": "updated",
        }  # fmt: skip
        assert {key.split("/")[0] for key in fleet.ids("lab-2")} == {"other"}
        assert fleet.ids("lab-1") == running
    fleet.apply()
    assert {key for host in fleet.hosts for key in fleet.ids(host)} == {
        "anywhere/a", "changed/a", "fresh/a", "other/a",
    }  # fmt: skip
    assert fleet.ids("lab-1")["anywhere/a"] == running["anywhere/a"]
    fleet.assert_synced()


def test_an_engine_that_is_down_blocks_and_converges_when_it_is_back(
    new_fleet: Callable[..., FleetRepo], lab: Lab
) -> None:
    fleet = new_fleet("lab-2")
    fleet.sandbox("kept", stack(a=service()))
    fleet.sandbox("orphan", stack(a=service()))
    fleet.commit()
    fleet.apply()
    running = fleet.ids("lab-2")
    fleet.remove("orphan")
    fleet.sandbox("fresh", stack(a=service()))
    fleet.commit()
    down: tuple[Any, ...] = ("kill", "freeze")
    for how in down:
        with lab.stop_engine("lab-2", how):
            planned = fleet.plan(code=1)
            assert planned.statuses == {"lab-2": "unknown"}
            assert set(planned.reasons.values()) == {"blocked_because_engine"}
            assert {change["sync"] for change in planned.changes} == {"Unknown"}
            assert fleet.exists("lab-2", fleet.folder("orphan"))
    fleet.apply(drifts=True)  # an engine that was killed stops its containers when it is back
    assert set(fleet.ids("lab-2")) == {"kept/a", "fresh/a"}
    assert fleet.ids("lab-2")["kept/a"] == running["kept/a"]
    fleet.assert_synced()


def _truncated(text: str) -> str:
    return text[: len(text) // 2]


def _another_uid(text: str) -> str:
    return text.replace(json.loads(text)["uid"], "0" * 32)


def _destroyed(text: str) -> str:
    return text.replace('"phase":"ready"', '"phase":"destroyed"')


def _another_id(text: str) -> str:
    return text.replace(f'"id":"{json.loads(text)["id"]}"', '"id":"00000000"')


TAMPERED: dict[str, Callable[[str], str]] = {
    "truncated": _truncated,
    "empty": lambda _text: "",
    "another-uid": _another_uid,
    "another-id": _another_id,
    "destroyed": _destroyed,
}


@pytest.mark.parametrize("wanted", [True, False], ids=["in-git", "orphaned"])
def test_a_record_that_cannot_be_trusted_blocks_and_nothing_is_deleted(fleet: FleetRepo, wanted: bool) -> None:
    for name in (*TAMPERED, "sound"):
        fleet.sandbox(name, stack(a=service()))
    fleet.commit()
    fleet.apply()
    running = fleet.ids("lab-1")
    texts = {name: fleet.sh("lab-1", f"cat {fleet.folder(name)}/record.json") for name in TAMPERED}
    for name, tamper in TAMPERED.items():
        fleet.lab.exec("lab-1", ["sh", "-c", f"cat >{fleet.folder(name)}/record.json"], input=tamper(texts[name]))
        if not wanted:
            fleet.remove(name)
    fleet.commit()
    planned = fleet.plan(code=1)
    assert planned.of("sound")["action"] == "no-op"
    told = {change["id"]: change for change in planned.changes}
    unmanaged = " ".join(thing["name"] for thing in planned.data["unmanaged"] if thing["kind"] == "ambiguous")
    for name in TAMPERED:
        if (change := told.get(fleet.id(name))) is None:
            assert not wanted
            assert fleet.id(name) in unmanaged
        else:
            assert (change["reason"], change["sync"]) == ("blocked_because_ambiguous", "Unknown"), name
    fleet.run("apply", "-y", code=1)
    fleet.run("prune", "-y", code=None)
    assert fleet.ids("lab-1") == running

    for name, text in texts.items():
        fleet.lab.exec("lab-1", ["sh", "-c", f"cat >{fleet.folder(name)}/record.json"], input=text)
    assert set(fleet.apply().reasons.values()) == (set() if wanted else {"delete_because_orphaned"})
    assert set(fleet.ids("lab-1")) == (set(running) if wanted else {"sound/a"})


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
