"""State Hub gets the events of real hosts: each once and in order, whatever the hub or the runner did meanwhile."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from tests.support.e2e import FleetRepo, service, stack, until, web
from tests.support.fleet import ROOT
from tests.support.gitrepo import GitRepo
from tests.support.hubs import TOKEN, LyingHub, ServedHub, self_signed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from subprocess import Popen

    from tests.lab import Lab

pytestmark = pytest.mark.lab

PORTS = {"reachability": {"ports": [{"name": "http", "service": "a", "port": 8080}]}}
CREATED = ["requested", "provisioning", "ready"]
GONE = [*CREATED, "destroying", "destroyed"]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[ServedHub]:
    """A hub that does not serve yet."""
    hub = ServedHub(tmp_path / "hub")
    yield hub
    hub.stop()


def reporting(new_fleet: Callable[..., FleetRepo], url: str, *hosts: str) -> FleetRepo:
    """Return a fleet that reports to the hub at ``url``."""
    fleet = new_fleet(*(hosts or ("lab-1",)), stateHub={"url": url, "token": "env:STATE_HUB_TOKEN"})
    fleet.env["STATE_HUB_TOKEN"] = TOKEN
    return fleet


def warnings(fleet: FleetRepo) -> list[str]:
    """Return the warnings of the last command."""
    return [line for line in fleet.output[-1].splitlines() if line.startswith("Warning: ")]


def valid(name: str, *documents: dict[str, Any]) -> None:
    """Fail where a document is not as a schema says."""
    schema = json.loads((ROOT / f"schemas/{name}.schema.json").read_text())
    for document in documents:
        Draft202012Validator(schema, format_checker=FormatChecker()).validate(document)


def phases(events: list[dict[str, Any]]) -> list[str]:
    """Return the phases that events came to, which must be numbered from 1 on, each once."""
    assert [event["data"]["number"] for event in events] == list(range(1, len(events) + 1))
    return [event["type"].removeprefix("dev.sandboxer.sandbox.") for event in events]


# --- while the hub is there


def test_a_life_is_reported_step_by_step_each_once(new_fleet: Callable[..., FleetRepo], hub: ServedHub) -> None:
    hub.start()
    fleet = reporting(new_fleet, hub.url)
    consumer = {"actor": "agt", "project": "checks"}
    fleet.sandbox("one", stack(a=web()), consumer=consumer, ttl="2h", profile_spec=PORTS)
    commit = fleet.commit()
    fleet.plan()
    assert hub.events() == []
    fleet.apply()
    assert warnings(fleet) == []
    received = hub.events(sandbox=fleet.id("one"))
    assert phases(received) == CREATED
    assert {event["data"]["commit"] for event in received} == {commit}
    assert {event["source"] for event in received} == {f"/fleets/{fleet.name}/hosts/lab-1"}
    known = hub.sandboxes()["one"]
    assert (known["phase"], known["health"], known["sync"]) == ("ready", "Healthy", "Synced")
    valid("registration", {**known["handle"], "uid": known["uid"], "fleet": known["fleet"]})
    (way,) = known["handle"]["reachability"]
    ours = fleet.get("one")
    assert way == ours["reachability"][0]
    assert known["expires_at"] == ours["expires_at"]

    fleet.run("extend-ttl", "one", "30m")
    assert warnings(fleet) == []
    longer = hub.sandboxes()["one"]["handle"]["expires_at"]
    assert longer == fleet.get("one")["expires_at"] > ours["expires_at"]

    fleet.remove("one")
    fleet.commit()
    fleet.apply("--allow-empty")
    assert warnings(fleet) == []
    received = hub.events(sandbox=fleet.id("one"))
    assert phases(received) == GONE
    valid("event", *hub.events())
    assert hub.sandboxes() == {}
    assert hub.sandboxes(all=1)["one"]["handle"] is None
    assert not fleet.exists("lab-1", f"{fleet.root}/{fleet.name}")
    assert hub.duplicates() == 0

    runs = [(run["type"].rpartition(".")[2], run["data"]["command"]) for run in hub.events(type="dev.sandboxer.run.*")]
    commands = ("apply", "extend-ttl", "apply")
    assert runs == [(kind, command) for command in commands for kind in ("started", "finished")]
    ends = [run["data"] for run in hub.events(type="dev.sandboxer.run.finished")]
    assert {end["exit_code"] for end in ends} == {0}
    assert [end["summary"] for end in ends] == [{"created": 1}, {}, {"deleted": 1}]


def test_drift_is_reported_once_and_its_resolution_once(new_fleet: Callable[..., FleetRepo], hub: ServedHub) -> None:
    hub.start()
    fleet = reporting(new_fleet, hub.url)
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.apply()
    fleet.engine("lab-1", "stop", "-t", "0", fleet.ids("lab-1", "one")["a"])
    for _ in range(3):
        fleet.run("drift", code=2, drifts=True)
        assert warnings(fleet) == []
    (detected,) = hub.events(type="dev.sandboxer.drift.*")
    assert detected["type"] == "dev.sandboxer.drift.detected"
    assert [one["path"] for one in detected["data"]["drift"]] == ["services.a.state"]
    assert [one["path"] for one in hub.sandboxes()["one"]["drift"]] == ["services.a.state"]
    fleet.apply(drifts=True)
    for _ in range(3):
        fleet.run("drift")
    _, resolved = hub.events(type="dev.sandboxer.drift.*")
    assert resolved["type"] == "dev.sandboxer.drift.resolved"
    assert hub.sandboxes()["one"]["drift"] == []
    valid("event", *hub.events())
    numbers = [event["data"]["number"] for event in hub.events(sandbox=fleet.id("one"))]
    assert numbers == list(range(1, len(numbers) + 1))


# --- while it is not


def test_what_was_not_sent_is_sent_by_the_next_run(
    new_fleet: Callable[..., FleetRepo], hub: ServedHub, tmp_path: Path
) -> None:
    """The hub is down, and the folder of the run that knew of it all is deleted: the hosts know."""
    fleet = reporting(new_fleet, hub.url, "lab-1", "lab-2", "lab-4")
    names = [f"box-{number}" for number in range(10)]
    for name in names:
        fleet.sandbox(name, stack(a=service()))
    fleet.commit()
    fleet.apply()
    (warning,) = warnings(fleet)
    assert warning.startswith(f"Warning: State Hub at {hub.url}: ")
    assert "30 events wait on the hosts" in warning
    fleet.remove("box-0")
    fleet.commit()
    fleet.apply()
    assert len(warnings(fleet)) == 1

    clone = GitRepo(tmp_path / "elsewhere/fleet")
    clone.path.parent.mkdir()
    fleet.repo.git("clone", "-q", str(fleet.repo.path), str(clone.path))
    shutil.rmtree(fleet.repo.path)
    fresh = replace(fleet, repo=clone, output=[])
    hub.start()
    fresh.run("drift")
    assert warnings(fresh) == []
    for name in names:
        assert phases(hub.events(sandbox=fleet.id(name))) == (GONE if name == "box-0" else CREATED), name
    assert len(hub.events(type="dev.sandboxer.sandbox.*")) == 9 * 3 + 5
    valid("event", *hub.events())
    known = hub.sandboxes()
    assert sorted(known) == names[1:]
    assert {one["phase"] for one in known.values()} == {"ready"}
    assert all(one["handle"]["health"] == "Healthy" for one in known.values())

    for host in fleet.hosts:
        assert not fleet.exists(host, f"{fleet.root}/{fleet.name}/.journals")
        assert fleet.id("box-0") not in fleet.sh(host, f"ls -AR {fleet.root}/{fleet.name} 2>/dev/null", check=False)
    fresh.run("drift")
    fresh.run("hub", "flush")
    assert fresh.output[-1] == "Reported 0 sandboxes to State Hub.\n"
    assert len(hub.events(type="dev.sandboxer.sandbox.*")) == 9 * 3 + 5
    assert hub.duplicates() == 0


def test_a_hub_that_nobody_vouches_for_is_one_warning(new_fleet: Callable[..., FleetRepo], tmp_path: Path) -> None:
    with LyingHub(certificate=self_signed(tmp_path)) as lying:
        fleet = reporting(new_fleet, lying.url)
        fleet.sandbox("one", stack(a=service()))
        fleet.commit()
        fleet.apply()
        (warning,) = warnings(fleet)
        assert "the certificate is not trusted: self" in warning
        assert "3 events wait on the hosts" in warning
        assert lying.requests == []
        fleet.env["SSL_CERT_FILE"] = str(tmp_path / "hub.pem")
        fleet.run("hub", "flush")
        numbers = [event["data"]["number"] for event in lying.events if "number" in event["data"]]
        assert numbers == [1, 2, 3]
        (registration,) = [request.json for request in lying.requests if request.method == "PUT"]
        valid("registration", registration)
    assert not any(TOKEN in output for output in fleet.output)


@pytest.mark.parametrize("token", ["env:NOT_SET", "file:gone"])
def test_a_token_that_is_not_here_is_one_warning(
    new_fleet: Callable[..., FleetRepo], hub: ServedHub, token: str
) -> None:
    fleet = new_fleet("lab-1", stateHub={"url": hub.url, "token": token})
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.apply()
    (warning,) = warnings(fleet)
    assert warning.startswith("Warning: no events are sent to State Hub: the token ")
    assert fleet.run("hub", "flush", code=1) == ""


def test_a_fleet_without_a_hub_keeps_nothing_of_what_is_gone(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.apply()
    fleet.remove("one")
    fleet.commit()
    fleet.apply("--allow-empty")
    assert not fleet.exists("lab-1", f"{fleet.root}/{fleet.name}")
    assert "the fleet has no State Hub" in _error(fleet, "hub", "flush")


def _error(fleet: FleetRepo, *words: str) -> str:
    fleet.run(*words, code=1)
    return " ".join(fleet.output[-1].split())


def test_flush_exits_as_it_went(new_fleet: Callable[..., FleetRepo], hub: ServedHub, lab: Lab) -> None:
    fleet = reporting(new_fleet, hub.url, "lab-1", "lab-2")
    for host in fleet.hosts:
        fleet.sandbox(f"on-{host}", stack(a=service()), host=host)
    fleet.commit()
    fleet.apply()
    assert "6 events wait on the hosts" in _error(fleet, "hub", "flush")
    hub.start()
    with lab.cut("lab-2", "refuse"):
        output = _error(fleet, "hub", "flush")
        assert 'Warning: host "lab-2" did not answer: ' in output
        assert "Reported 1 sandbox to State Hub." in output
    assert set(hub.sandboxes()) == {"on-lab-1"}
    fleet.run("hub", "flush")
    assert fleet.output[-1] == "Reported 1 sandbox to State Hub.\n"
    assert set(hub.sandboxes()) == {"on-lab-1", "on-lab-2"}
    assert all(phases(hub.events(sandbox=fleet.id(name))) == CREATED for name in hub.sandboxes())


# --- events, and drift as a job


def test_a_life_is_shown_and_followed_to_its_end(new_fleet: Callable[..., FleetRepo], hub: ServedHub) -> None:
    fleet = reporting(new_fleet, hub.url)
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.apply()
    lines = fleet.run("events", "one").splitlines()
    assert [line.split()[3] for line in lines] == CREATED
    shown = [json.loads(line) for line in fleet.run("events", fleet.id("one"), "-o", "json").splitlines()]
    valid("event", *shown)
    assert phases(shown) == CREATED
    assert 'no host has a journal of sandbox "other"' in _error(fleet, "events", "other")

    with fleet.start("events", "one", "--follow", "-o", "json") as follower:
        assert follower.stdout is not None
        seen = [follower.stdout.readline() for _ in CREATED]
        fleet.remove("one")
        fleet.commit()
        fleet.apply("--allow-empty")
        out, error = follower.communicate(timeout=60)
    assert follower.returncode == 0, error
    followed = [json.loads(line) for line in [*seen, *out.splitlines()]]
    assert phases(followed) == GONE
    hub.start()
    fleet.run("hub", "flush")
    assert [event["id"] for event in hub.events(sandbox=fleet.id("one"))] == [event["id"] for event in followed]
    _error(fleet, "events", "one")  # it is acknowledged, so nothing is left of it


def test_drift_watch_continues_until_it_is_ended(new_fleet: Callable[..., FleetRepo], hub: ServedHub) -> None:
    hub.start()
    fleet = reporting(new_fleet, hub.url)
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.apply()

    def times() -> int:
        ends = hub.events(type="dev.sandboxer.run.finished")
        return sum(end["data"]["command"] == "drift" for end in ends)

    def ended(job: Popen[str], number: signal.Signals) -> str:
        job.send_signal(number)
        out, error = job.communicate(timeout=30)
        assert "Traceback" not in error
        assert job.returncode == (0 if not drifted else 2), error
        return out

    drifted = False
    with fleet.start("drift", "--watch", "1s") as job:
        until(lambda: times() >= 2, "two looks")
        ended(job, signal.SIGTERM)
    fleet.engine("lab-1", "stop", "-t", "0", fleet.ids("lab-1", "one")["a"])
    drifted, before = True, times()
    with fleet.start("drift", "--watch", "1s", "-o", "json") as job:
        until(lambda: times() >= before + 2, "two looks")
        hub.stop()  # and a hub that goes is no end of it
        ended(job, signal.SIGINT)
    hub.start()
    fleet.run("hub", "flush")
    assert [event["type"] for event in hub.events(type="dev.sandboxer.drift.*")] == ["dev.sandboxer.drift.detected"]
