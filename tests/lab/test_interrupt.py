"""Killed at any instant, the program leaves a state that the next run resumes: nothing doubled, nothing leaked.

On Podman, and the moments that no crash point is at: ``tests/faults`` kills at every other one.
"""

from __future__ import annotations

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.support.e2e import FleetRepo, service, stack, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lab import Lab

pytestmark = pytest.mark.lab

HOST = "lab-4"
SLOW = {"test": ["CMD", "test", "-e", "/tmp/go"], "interval": "1s", "retries": 60}


def _phase(fleet: FleetRepo, host: str, name: str = "one") -> str:
    text = fleet.sh(host, f"cat {fleet.folder(name)}/record.json", check=False)
    return str(json.loads(text)["phase"]) if text else ""


MOMENTS: dict[str, Callable[[FleetRepo], object]] = {
    "a network": lambda fleet: fleet.engine(
        HOST, "network", "ls", "-q", "--filter", f"label=dev.sandboxer.fleet={fleet.name}"
    ),
    "a container": lambda fleet: fleet.ids(HOST, "one"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_create_that_is_killed_is_finished_by_the_next_apply(
    new_fleet: Callable[..., FleetRepo], lab: Lab, moment: str
) -> None:
    host = HOST
    fleet = new_fleet(host)
    before = lab.snapshot(host)
    slow = service("sh", "-c", "sleep 4; touch /tmp/go; sleep 9999", healthcheck=SLOW, volumes=["data:/data"])
    fleet.sandbox("one", stack(a=slow, b=service()) | {"volumes": {"data": None}})
    fleet.commit()
    with fleet.start("apply", "-y") as process:
        until(lambda: MOMENTS[moment](fleet), moment)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert _phase(fleet, host) == "provisioning"
    assert fleet.plan(code=0).of("one")["action"] == "repair"
    uid = fleet.record(host, "one")["uid"]

    assert fleet.apply().reasons == {"one": "repair_because_interrupted"}
    assert set(fleet.ids(host, "one")) == {"a", "b"}
    assert {item["State"]["Status"] for item in fleet.containers(host, "one").values()} == {"running"}
    assert fleet.record(host, "one")["uid"] == uid
    fleet.assert_synced()
    fleet.remove("one")
    fleet.commit()
    fleet.apply("--allow-empty")
    assert lab.leaked(host, before) == {}


def test_a_delete_that_is_killed_is_finished_by_the_next_apply(new_fleet: Callable[..., FleetRepo], lab: Lab) -> None:
    host = HOST
    fleet = new_fleet(host)
    before = lab.snapshot(host)
    fleet.sandbox("one", stack(**{f"s{number}": service() for number in range(4)}))
    fleet.commit()
    fleet.apply()
    fleet.remove("one")
    fleet.commit()
    with fleet.start("apply", "-y", "--allow-empty") as process:
        until(lambda: _phase(fleet, host) == "destroying", "the delete's begin")
        process.send_signal(signal.SIGKILL)
        process.communicate()
    fleet.apply("--allow-empty")
    assert lab.leaked(host, before) == {}


def test_a_delete_left_half_done_becomes_a_new_life_where_git_wants_it(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.apply()
    record = f"{fleet.folder('one')}/record.json"
    uid = fleet.record("lab-1", "one")["uid"]
    fleet.sh("lab-1", f'sed -i \'s/"phase":"ready"/"phase":"destroying"/\' {record}')
    assert fleet.apply().reasons == {"one": "replace_because_interrupted"}
    assert fleet.record("lab-1", "one")["uid"] != uid
    fleet.assert_synced()


@pytest.mark.parametrize("desired", [True, False], ids=["in-git", "orphaned"])
def test_what_a_kill_left_of_creating_and_removing_a_folder_is_swept(fleet: FleetRepo, lab: Lab, desired: bool) -> None:
    """The moments too short to hit: the folder renamed away and not yet removed, staged and not yet renamed."""
    before = lab.snapshot("lab-1")
    fleet.sandbox("one", stack(a=service()))
    fleet.sandbox("other", stack(a=service()))
    fleet.commit()
    fleet.apply()
    home, directory, mine = f"{fleet.root}/{fleet.name}", fleet.folder("one"), fleet.id("one")
    fleet.engine("lab-1", "rm", "-f", fleet.ids("lab-1", "one")["a"])
    labels = f"label=dev.sandboxer.id={mine}"
    fleet.engine("lab-1", "network", "rm", *fleet.engine("lab-1", "network", "ls", "-q", "--filter", labels).split())
    fleet.sh("lab-1", f"cp -a {directory} {home}/.trash-{'1' * 32}; mkdir {home}/.staging-{'2' * 32}")
    fleet.sh(
        "lab-1",
        f"mkdir {home}/.staging-{'3' * 32}; head -c 99 {directory}/record.json >{home}/.staging-{'3' * 32}/{mine}.new",
    )
    fleet.sh("lab-1", f"rm -rf {directory}")
    if not desired:
        fleet.remove("one")
        fleet.commit()
    assert fleet.plan().actions == {"one": "create", "other": "no-op"} if desired else {"other": "no-op"}
    fleet.apply()
    kept = {fleet.id("other"), ".locks", ".head.json", *([mine] if desired else [])}
    assert set(fleet.sh("lab-1", f"ls -A {home}").split()) == kept
    assert set(fleet.sh("lab-1", f"ls -A {home}/.locks").split()) == kept - {".locks", ".head.json"} | {".head"}
    fleet.assert_synced()
    for path in (fleet.repo.path / "manifests").glob("o*.yaml"):
        path.unlink()
    fleet.commit()
    fleet.apply("--allow-empty")
    assert lab.leaked("lab-1", before) == {}


def test_applies_at_once_make_one_sandbox(new_fleet: Callable[..., FleetRepo]) -> None:
    host = HOST
    fleet = new_fleet(host)
    for name in ("one", "two"):
        fleet.sandbox(name, stack(a=service(), b=service()))
    fleet.commit()
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(fleet.run, "apply", "-y", code=None) for _ in range(3)]
        for run in runs:
            run.result()
    assert set(fleet.ids(host)) == {"one/a", "one/b", "two/a", "two/b"}
    fleet.apply()
    fleet.assert_synced()


def test_an_interrupt_by_hand_ends_with_a_word_and_no_traceback(fleet: FleetRepo) -> None:
    slow = service("sh", "-c", "sleep 4; touch /tmp/go; sleep 9999", healthcheck=SLOW)
    fleet.sandbox("one", stack(a=slow))
    fleet.commit()
    with fleet.start("apply", "-y") as process:
        until(lambda: fleet.ids("lab-1", "one"), "the container")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted: finishing 1 change; Ctrl-C again stops now." in stderr
    assert "Traceback" not in stderr
    fleet.assert_synced()
