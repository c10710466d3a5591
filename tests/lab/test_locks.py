"""Locks on real hosts: two clients on different hosts create a sandbox once; a holder is shown and ended."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support.e2e import FleetRepo, service, stack, until
from tests.support.gitrepo import GitRepo

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab import Lab

pytestmark = pytest.mark.lab

SLOW = {"test": ["CMD", "test", "-e", "/tmp/go"], "interval": "1s", "retries": 60, "start_period": "1s"}


def _slow(seconds: int) -> dict[str, object]:
    return service("sh", "-c", f"sleep {seconds}; touch /tmp/go; sleep 9999", healthcheck=SLOW)


def test_two_that_choose_different_hosts_make_one_sandbox(new_fleet: Callable[..., FleetRepo], lab: Lab) -> None:
    """Clones of one fleet, each with another host closed to newcomers: only the lock on the first keeps them apart."""
    hosts = ("lab-1", "lab-2", "lab-3")
    ours = new_fleet(*hosts)
    before = {host: lab.snapshot(host) for host in hosts}
    copies: list[list[str]] = []
    for number in range(10):
        ours.sandbox(f"web-{number}", stack(a=service()))
    ours.commit()
    for host in hosts:
        ours.host(host, cordon=True)
    ours.commit()
    theirs = FleetRepo(lab, GitRepo(ours.repo.path.parent / "theirs"), ours.name, hosts)
    shutil.copytree(ours.repo.path, theirs.repo.path)
    for number in range(10):
        one, other = [hosts[at % 3] for at in (number, number + 1)]
        for fleet, chosen in ((ours, one), (theirs, other)):
            for host in hosts:
                fleet.host(host, cordon=host != chosen)
            fleet.commit()
        words = ("apply", "-y", "-o", "json", "--allow-rollback", "--target", f"web-{number}")
        with ThreadPoolExecutor() as pool:
            both = [pool.submit(fleet.run, *words, code=0) for fleet in (ours, theirs)]
            outcomes = [json.loads(run.result())["outcomes"] for run in both]
        copies.append([host for host in hosts for key in ours.ids(host) if key.startswith(f"web-{number}/")])
        assert sorted(each["outcome"] for changes in outcomes for each in changes).count("created") == 1, outcomes
    assert [len(found) for found in copies] == [1] * 10
    for host in hosts:
        locks = set(ours.sh(host, f"ls -A {ours.root}/{ours.name}/.locks", check=False).split()) - {".head"}
        assert locks == {ours.id(f"web-{number}") for number, found in enumerate(copies) if found == [host]}

    for number in range(10):
        ours.remove(f"web-{number}")
    ours.commit()
    ours.apply("--allow-empty", "--allow-rollback", "--max-deletes", "10")
    assert not any(lab.leaked(host, before[host]) for host in hosts)


def test_many_that_apply_at_once_exceed_no_hosts_capacity(new_fleet: Callable[..., FleetRepo], lab: Lab) -> None:
    """Each client wants sandboxes that the others have not planned for, so only the hosts can count them together."""
    hosts = ("lab-1", "lab-2")
    fleet = new_fleet(*hosts)
    before = {host: lab.snapshot(host) for host in hosts}
    for host in hosts:
        fleet.host(host, capacity={"sandboxes": 2})
    names = [f"web-{number}" for number in range(6)]
    for name in names:
        fleet.sandbox(name, stack(a=service()))
    fleet.commit()
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(fleet.run, "apply", "-y", "-o", "json", "--target", name, code=None) for name in names]
        outcomes = [json.loads(run.result())["outcomes"][0] for run in runs]
    assert sorted(outcome["outcome"] for outcome in outcomes) == ["blocked"] * 2 + ["created"] * 4, outcomes
    assert {one["reason"] for one in outcomes if one["outcome"] == "blocked"} == {"blocked_because_no_host"}
    assert [len({key.split("/")[0] for key in fleet.ids(host)}) for host in hosts] == [2, 2]
    for name in names:
        fleet.remove(name)
    fleet.commit()
    fleet.apply("--allow-empty")
    assert not any(lab.leaked(host, before[host]) for host in hosts)


@pytest.mark.parametrize("host", ["lab-3", "lab-4"], ids=["no-root", "podman"])
def test_a_waiting_client_shows_the_holder_and_unlock_ends_it(
    new_fleet: Callable[..., FleetRepo], lab: Lab, host: str
) -> None:
    fleet = new_fleet(host)
    before = lab.snapshot(host)
    fleet.sandbox("web", stack(a=_slow(30)))
    commit = fleet.commit()
    with fleet.start("apply", "-y") as holder:
        until(lambda: fleet.ids(host, "web"), "its container")
        report = json.loads(fleet.run("unlock", "web", "-o", "json"))
        (lock,) = report["locks"]
        assert (report["id"], lock["host"], lock["status"], lock["here"]) == (fleet.id("web"), host, "held", True)
        assert (lock["holder"]["commit"], lock["ended"]) == (commit[:12], False)
        assert fleet.exists(host, f"/proc/{lock['holder']['pid']}")

        blocked = fleet.apply("--lock-timeout", "1s", code=1).of("web")
        assert blocked["reason"] == "blocked_because_locked"
        assert f"{lock['holder']['who']}, commit {commit[:12]}, since " in blocked["message"]
        assert f"waiting for {lock['holder']['who']}, commit {commit[:12]}" in fleet.output[-1]
        fleet.run("unlock", "web", "--end", code=1)
        assert "use -y" in fleet.output[-1]
        assert holder.poll() is None

        (ended,) = json.loads(fleet.run("unlock", fleet.id("web"), "--end", "-y", "-o", "json"))["locks"]
        assert (ended["status"], ended["ended"]) == ("free", True)
        stdout, stderr = holder.communicate(timeout=60)
    assert holder.returncode == 1
    assert "Applied: 1 failed." in stdout
    assert "Traceback" not in stderr
    assert not fleet.exists(host, f"/proc/{lock['holder']['pid']}")

    assert "it lives here" in fleet.run("unlock", "web", "--end", "-y")
    fleet.sandbox("web", stack(a=service()))
    fleet.commit()
    assert fleet.apply().reasons == {"web": "repair_because_interrupted"}
    fleet.assert_synced()
    fleet.remove("web")
    fleet.commit()
    fleet.apply("--allow-empty")
    assert lab.leaked(host, before) == {}


def test_a_lock_that_a_kill_left_of_nothing_is_swept(new_fleet: Callable[..., FleetRepo]) -> None:
    fleet = new_fleet("lab-1", "lab-2")
    for name, host in (("web", "lab-1"), ("shop", "lab-2")):
        fleet.sandbox(name, stack(a=service()), host=host)
    fleet.commit()
    fleet.apply()
    fleet.sh("lab-1", f"touch {fleet.root}/{fleet.name}/.locks/0000aaaa")
    fleet.apply()
    assert set(fleet.sh("lab-1", f"ls -A {fleet.root}/{fleet.name}/.locks").split()) == {".head", fleet.id("web")}


def test_a_lock_of_a_client_that_is_about_to_end_is_swept(new_fleet: Callable[..., FleetRepo]) -> None:
    fleet = new_fleet("lab-1")
    fleet.sandbox("web", stack(a=service()))
    fleet.commit()
    fleet.apply()
    lock = f"{fleet.root}/{fleet.name}/.locks/0000aaaa"
    fleet.sh("lab-1", f"setsid sh -c 'exec 9>>{lock}; flock 9; sleep 4' </dev/null >/dev/null 2>&1 &")
    until(lambda: fleet.exists("lab-1", lock), "the lock")
    fleet.apply()
    assert not fleet.exists("lab-1", lock)


def test_a_host_that_does_not_answer_is_reported_and_exits_1(new_fleet: Callable[..., FleetRepo], lab: Lab) -> None:
    fleet = new_fleet("lab-1", "lab-2")
    fleet.sandbox("web", stack(a=service()))
    fleet.commit()
    with lab.cut("lab-2", "refuse"):
        output = fleet.run("unlock", "web", code=1)
    assert "lab-1  free" in output
    assert "lab-2  unknown" in output
