"""Sandboxes that are requested and created later: what is on record survives the requester, and is created once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.client import Client
from sandboxer.errors import KeyReused, NameTaken, SandboxError
from tests.support.e2e import stack, until, web

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.client import Sandbox
    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab
WORDS: dict[str, Any] = {"env": {"GREETING": "hello"}}


@pytest.fixture
def fleet(new_fleet: Callable[..., FleetRepo]) -> FleetRepo:
    made = new_fleet("lab-1", "lab-2")
    profile = {"ttl": {"default": "1h", "max": "2h", "clock": "activity"}}
    secret = {"ref": "env:TEST_TOKEN", "profiles": ["profile.web"], "consumers": ["atm/checks"]}
    made.document("sandboxer.yaml", "Fleet", made.name, {"secrets": {"allow": [secret]}})
    made.sandbox("web", stack(a=web(environment={"GREETING": "${GREETING}"})), profile_spec=profile)
    made.remove("web")
    made.commit()
    return made


@pytest.fixture
def client(fleet: FleetRepo) -> Client:
    return Client(fleet.repo.path, lock_timeout=30)


def _record(fleet: FleetRepo, sandbox: Sandbox) -> Any:
    host = sandbox.host
    return json.loads(fleet.sh(host, f"cat {fleet.root}/{fleet.name}/{sandbox.id}/record.json"))


def _reported_phases(fleet: FleetRepo, sandbox: Sandbox) -> list[str]:
    host = sandbox.host
    lines = fleet.sh(host, f"cat {fleet.root}/{fleet.name}/{sandbox.id}/journal.jsonl").splitlines()
    return [json.loads(line)["phase"] for line in lines]


def test_a_request_is_on_record_and_then_carried_out_by_any_client(fleet: FleetRepo, client: Client, lab: Lab) -> None:
    before = {host: lab.snapshot(host) for host in fleet.hosts}
    request = client.create("profile.web", by="harness", consumer="atm/checks", wait=False, **WORDS)
    record = _record(fleet, request)
    assert (request.handle.phase, record["phase"]) == ("requested", "requested")
    assert (record["requested"]["by"], request.handle.requested_by) == ("harness", "harness")
    assert record["spec"]["profile"] == "profile.web"
    assert not any(fleet.ids(host) for host in fleet.hosts), "nothing runs yet"
    fleet.apply("--allow-empty")  # git leaves it as it is
    assert _record(fleet, request) == record

    (one,) = client.abandoned()
    assert (one.id, one.wants) == (request.id, "resume")
    assert client.abandoned({request.id}) == []
    with ThreadPoolExecutor(2) as both:  # two servers come at once
        made = list(both.map(lambda _: client.resume(request.id), range(2)))
    assert {one.handle.phase for one in made} == {"ready"}
    assert _reported_phases(fleet, request) == ["requested", "provisioning", "ready"]
    uid = record["uid"]
    assert _record(fleet, request)["uid"] == uid, "the same life"
    assert [len(fleet.ids(host)) for host in fleet.hosts if fleet.ids(host)] == [1]
    assert client.abandoned() == []

    used = client.activity(request.name)
    assert used.handle.phase == "active"
    former, later = made[0].handle.expires_at, used.handle.expires_at
    assert former is not None
    assert later is not None
    assert timedelta() < later - former < timedelta(minutes=10)
    assert used.handle.expiry_source == "activity"
    seen = client.get(used.id).handle
    assert (seen.phase, seen.expires_at) == ("active", used.handle.expires_at)
    assert client.recreate(request.id).handle.requested_by == "harness"
    client.destroy(request.id)
    assert not any(lab.leaked(host, before[host]) for host in fleet.hosts)


def test_a_key_is_one_sandbox_however_often_and_from_wherever_it_comes(fleet: FleetRepo, client: Client) -> None:
    def ask(_: int) -> str:
        return client.create("profile.web", key="build-7", consumer="atm/checks", wait=False, **WORDS).id

    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(ask, range(4)))
    assert len(ids) == 1
    (identifier,) = ids
    assert [handle.id for handle in client.list()] == [identifier]
    with pytest.raises(KeyReused):
        client.create("profile.web", key="build-7", consumer="atm/checks", wait=False, ttl="30m", **WORDS)
    other = client.create("profile.web", key="build-7", consumer="atm/others", wait=False, **WORDS)
    assert other.id != identifier
    with pytest.raises(NameTaken):
        client.create("profile.web", name=other.name, wait=False, **WORDS)
    ready = client.create("profile.web", key="build-7", consumer="atm/checks", **WORDS)
    assert (ready.id, ready.handle.phase) == (identifier, "ready")
    for one in client.list():
        one.destroy()


def test_one_of_several_simultaneous_requests_for_a_name_gets_it(fleet: FleetRepo, client: Client) -> None:
    def ask(_: int) -> str | None:
        try:
            return client.create("profile.web", name="only", wait=False, **WORDS).id
        except NameTaken:
            return None

    with ThreadPoolExecutor(6) as pool:
        got = [identifier for identifier in pool.map(ask, range(6)) if identifier]
    assert len(got) == 1
    assert [one.id for one in client.list()] == got
    client.destroy("only")
    assert not any(fleet.exists(host, f"{fleet.root}/{fleet.name}/.locks") for host in fleet.hosts)


def test_what_has_lost_its_secret_fails_and_is_reported(
    fleet: FleetRepo, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_TOKEN", "hunter2-hunter2")
    request = client.create(
        "profile.web", secret_refs={"TOKEN": "env:TEST_TOKEN"}, consumer="atm/checks", wait=False, **WORDS
    )
    monkeypatch.delenv("TEST_TOKEN")
    with pytest.raises(SandboxError, match="the secret TOKEN"):
        client.resume(request.id)
    assert client.get(request.id).handle.phase == "failed"
    assert _reported_phases(fleet, request) == ["requested", "provisioning", "failed"]
    assert client.abandoned() == [], "reported as failed, and left to the requester"
    monkeypatch.setenv("TEST_TOKEN", "hunter2-hunter2")
    assert client.resume(request.id).handle.phase == "ready"
    client.destroy(request.id)


def test_what_cannot_be_planned_any_more_is_given_up_and_reported(fleet: FleetRepo, client: Client) -> None:
    request = client.create("profile.web", wait=False, **WORDS)
    fleet.profile("profile.web", workspace={"path": "gone"})
    with pytest.raises(SandboxError, match="gone"):
        client.resume(request.id)
    assert client.get(request.id).handle.phase == "requested"
    for _ in range(2):
        client.give_up(request.id, "its files are gone")
    assert _reported_phases(fleet, request) == ["requested", "failed"]
    assert client.get(request.id).handle.phase == "failed"
    assert client.abandoned() == []
    client.destroy(request.id)


def test_what_has_expired_is_reaped_and_nothing_else(fleet: FleetRepo, client: Client) -> None:
    short = client.create("profile.web", ttl="1s", wait=False, **WORDS)
    long = client.create("profile.web", wait=False, **WORDS)
    until(lambda: client.get(short.id).handle.seconds_left == 0, "its time to be over")
    assert [outcome.change.id for outcome in client.reap()] == [short.id]
    assert [one.id for one in client.list()] == [long.id]
    assert client.reap() == ()
    client.destroy(long.id)


@pytest.mark.parametrize("act", ["recreate", "destroy"])
def test_an_interrupted_teardown_is_resumed_as_it_was_requested(fleet: FleetRepo, client: Client, act: str) -> None:
    made = client.create("profile.web", **WORDS)
    fleet.run(act, made.id, code=None, env={"SANDBOXER_CRASH_AT": "teardown.before"})
    assert client.get(made.id).handle.phase == "destroying"
    (left,) = until(client.abandoned, "its lock to be free")
    assert left.wants == {"recreate": "resume", "destroy": "destroy"}[act]
    if act == "recreate":
        assert client.resume(made.id).handle.phase == "ready"
        fleet.run("destroy", made.id, code=None, env={"SANDBOXER_CRASH_AT": "teardown.after"})
        fleet.run("recreate", made.id, code=None, env={"SANDBOXER_CRASH_AT": "teardown.before"})
        fleet.run("destroy", made.id, code=None, env={"SANDBOXER_CRASH_AT": "teardown.before"})
        assert [one.wants for one in until(client.abandoned, "its lock to be free")] == ["destroy"], (
            "the last word counts"
        )
    client.destroy(made.id)
    assert client.find(made.id) is None


def test_without_waiting_it_is_made_in_the_background(fleet: FleetRepo, client: Client) -> None:
    name = fleet.run("create", "--profile", "profile.web", "--env", "GREETING=hi", "--no-wait", "-o", "name").strip()
    request = client.get(name)
    assert request.handle.phase in ("requested", "provisioning", "ready")
    fleet.run("wait", name, "--timeout", "60s")
    assert fleet.run("resume", name), "one that is ready stays as it is"
    assert _reported_phases(fleet, request) == ["requested", "provisioning", "ready"]
    until(lambda: not client.abandoned(), "the background to end")
    client.destroy(name)
    fleet.run("resume", name, code=1)
    assert "no sandbox" in fleet.output[-1]


def test_what_cannot_be_made_in_the_background_fails(fleet: FleetRepo, client: Client) -> None:
    request = client.create("profile.web", wait=False, **WORDS)
    fleet.profile("profile.web", workspace={"path": "gone"})
    fleet.run("resume", request.id, code=1)
    assert client.get(request.id).handle.phase == "requested", "somebody may mend it"
    fleet.run("resume", "--give-up", request.id, code=1)
    assert client.get(request.id).handle.phase == "failed"
    fleet.run("wait", request.id, code=1)
    client.destroy(request.id)
