"""Imperative sandboxes on real hosts: made without a commit, left alone by git, and gone without a trace."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from sandboxer.client import Client
from sandboxer.errors import ManifestError, UsageError
from tests.support.e2e import PROGRAM, service, stack, until, web
from tests.support.fleet import ROOT
from tests.support.markdown import blocks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.lab import Lab
    from tests.support.e2e import FleetRepo

pytestmark = pytest.mark.lab


def _fleet(new_fleet: Callable[..., FleetRepo], *hosts: str) -> FleetRepo:
    """Return a fleet with one sandbox in git, whose profile the imperative ones share."""
    fleet = new_fleet(*hosts)
    ports = [{"name": "http", "service": "a", "port": 8080}]
    profile = {"reachability": {"ports": ports}, "ttl": {"default": "1h", "max": "2h"}}
    fleet.sandbox(
        "web", stack(a=web(environment={"GREETING": "${GREETING}"})), profile_spec=profile, env={"GREETING": "git"}
    )
    fleet.commit()
    return fleet


def _ask(fleet: FleetRepo, *arguments: str, code: int = 0) -> Any:
    return json.loads(fleet.run(*arguments, "-o", "json", code=code))


def test_git_leaves_ten_of_them_alone(new_fleet: Callable[..., FleetRepo], lab: Lab) -> None:
    fleet = _fleet(new_fleet, "lab-1", "lab-2")
    before = {host: lab.snapshot(host) for host in fleet.hosts}
    fleet.apply()
    made = [_ask(fleet, "create", "--profile", "profile.web", "--env", f"GREETING={n}")["id"] for n in range(10)]
    running = {host: fleet.ids(host) for host in fleet.hosts}
    fleet.apply()
    fleet.remove("web")
    fleet.commit()
    fleet.apply("--allow-empty")
    fleet.prune()
    left = {handle["id"] for handle in _ask(fleet, "list")}
    assert left == set(made)
    gone = {key for host in fleet.hosts for key in running[host].keys() - fleet.ids(host).keys()}
    assert gone == {"web/a"}, "of git's sandbox alone"
    fleet.run("destroy", *made)
    assert {host: left for host in fleet.hosts if (left := lab.leaked(host, before[host]))} == {}


@pytest.mark.parametrize("host", ["lab-3", "lab-4"], ids=["no-root", "podman"])
def test_the_life_of_one(new_fleet: Callable[..., FleetRepo], lab: Lab, host: str) -> None:
    fleet = _fleet(new_fleet, host)
    before = lab.snapshot(host)
    words = ("--profile", "profile.web", "--name", "try-1", "--ttl", "30m", "--consumer", "atm/wise-validator")
    handle = _ask(fleet, "create", *words, "--env", "GREETING=hello", "--label", "team=a")
    identifier = handle["id"]
    shown = {key: handle[key] for key in ("name", "phase", "sync", "health", "origin", "ttl", "labels")}
    assert shown == {
        "name": "try-1", "phase": "ready", "sync": "Synced", "health": "Healthy", "origin": "api", "ttl": "30m",
        "labels": {"team": "a"},
    }  # fmt: skip
    assert handle["consumer"] == {"actor": "atm", "project": "wise-validator"}
    assert [way["name"] for way in handle["reachability"]] == ["http"]
    request = f"{fleet.root}/{fleet.name}/{identifier}/asked.json"
    assert fleet.sh(host, f"stat -c %a {request}").strip() == "600"
    record = fleet.sh(host, f"cat {fleet.root}/{fleet.name}/{identifier}/record.json")
    assert json.loads(record)["origin"] == "api"
    assert "hello" not in record, "its plain environment is in the file that is nobody else's to read"
    assert _ask(fleet, "get", identifier)["id"] == identifier
    assert _ask(fleet, "wait", "try-1")["id"] == identifier

    uid = json.loads(record)["uid"]
    again = _ask(fleet, "recreate", identifier)
    assert (again["id"], again["name"], again["ttl"]) == (identifier, "try-1", "30m")
    assert json.loads(fleet.sh(host, f"cat {fleet.root}/{fleet.name}/{identifier}/record.json"))["uid"] != uid
    container = fleet.ids(host)["try-1/a"]
    assert fleet.engine(host, "exec", container, "sh", "-c", "echo $GREETING").strip() == "hello"

    assert _ask(fleet, "destroy", identifier) == [{"sandbox": identifier, "outcome": "destroyed"}]
    assert _ask(fleet, "destroy", identifier) == [{"sandbox": identifier, "outcome": "absent"}]
    assert lab.leaked(host, before) == {}


def test_a_name_is_used_once_and_errors_are_reported_as_of_a_manifest(new_fleet: Callable[..., FleetRepo]) -> None:
    fleet = _fleet(new_fleet, "lab-1")
    client = Client(fleet.repo.path)
    with pytest.raises(ManifestError):
        client.create("profile.web", name="web")  # git's
    with pytest.raises(ManifestError):
        client.create("profile.none")
    with pytest.raises(ManifestError):
        client.create("profile.web", ttl="3h")  # beyond the profile's
    with client.create("profile.web", name="try-1") as sandbox:
        with pytest.raises(UsageError, match='sandbox "try-1" already exists on host "lab-1"'):
            client.create("profile.web", name="try-1")
        assert [one.id for one in client.list()] == [sandbox.id]
    assert client.list() == []
    assert not fleet.exists("lab-1", f"{fleet.root}/{fleet.name}")


def test_one_of_gits_is_renewed_and_comes_back_after_a_destroy(new_fleet: Callable[..., FleetRepo]) -> None:
    fleet = _fleet(new_fleet, "lab-1")
    fleet.apply()
    uid = fleet.record("lab-1", "web")["uid"]
    assert _ask(fleet, "recreate", "web")["sync"] == "Synced"
    assert fleet.record("lab-1", "web")["uid"] != uid
    fleet.run("destroy", "web")
    assert 'sandbox "web" is in git: the next apply creates the sandbox again' in fleet.output[-1]
    assert fleet.ids("lab-1") == {}
    assert fleet.apply().reasons == {"web": "create_because_absent"}


def test_a_name_that_two_have_names_neither(new_fleet: Callable[..., FleetRepo]) -> None:
    """An imperative sandbox and one of git's that came to the same name by a rename back and forth."""
    fleet = _fleet(new_fleet, "lab-1")
    fleet.apply()
    fleet.remove("web")
    commit = fleet.commit()
    orphan = fleet.id("web")
    sh = f"mv {fleet.root}/{fleet.name}/{orphan} {fleet.root}/{fleet.name}/.aside"
    fleet.sh("lab-1", sh)  # elsewhere, so that the name is free for a while
    made = _ask(fleet, "create", "--profile", "profile.web", "--name", "web")["id"]
    fleet.sh("lab-1", f"mv {fleet.root}/{fleet.name}/.aside {fleet.root}/{fleet.name}/{orphan}")
    assert commit not in fleet.sh("lab-1", f"cat {fleet.root}/{fleet.name}/.head.json"), "nothing of it was applied"
    fleet.run("destroy", "web", code=1)
    assert 'sandbox "web" is ambiguous: IDs' in fleet.output[-1]
    assert _ask(fleet, "recreate", made)["id"] == made
    assert fleet.exists("lab-1", f"{fleet.root}/{fleet.name}/{orphan}"), "the orphan is not deleted on the way"
    fleet.run("destroy", made)
    assert fleet.exists("lab-1", f"{fleet.root}/{fleet.name}/{orphan}")


def test_what_may_be_on_an_unreachable_host_is_not_called_absent(new_fleet: Callable[..., FleetRepo], lab: Lab) -> None:
    fleet = _fleet(new_fleet, "lab-1", "lab-2")
    with lab.cut("lab-2", "refuse"):
        (end,) = _ask(fleet, "destroy", "try-1", code=1)
        waited = fleet.run("wait", "try-1", "--for", "destroyed", "--timeout", "1s", code=1)
    assert waited == ""
    assert end["outcome"] == "failed"
    assert any('sandbox "try-1" may exist on host "lab-2" (' in output for output in fleet.output)


def test_it_expires_and_apply_deletes_it(new_fleet: Callable[..., FleetRepo]) -> None:
    fleet = new_fleet("lab-1")
    fleet.sandbox("web", stack(a=service()))
    fleet.commit()
    identifier = _ask(fleet, "create", "--profile", "profile.web", "--ttl", "1s")["id"]
    pruned = fleet.prune("--expired-only")
    assert [(change["id"], change["reason"]) for change in pruned.changes] == [(identifier, "delete_because_expired")]
    assert fleet.ids("lab-1") == {}


def test_all_of_mine_go_and_no_other(new_fleet: Callable[..., FleetRepo], lab: Lab) -> None:
    fleet = _fleet(new_fleet, "lab-1", "lab-2")
    fleet.apply()
    client = Client(fleet.repo.path)
    names = {
        one.id: one.name for host in fleet.hosts if (one := client.create("profile.web", by="bob@laptop", hosts=[host]))
    }
    others = set(names)
    before = {host: lab.snapshot(host) for host in fleet.hosts}
    mine = {_ask(fleet, "create", "--profile", "profile.web", "--host", host)["id"] for host in fleet.hosts}
    assert {handle["id"] for handle in _ask(fleet, "list", "--mine")} == mine
    assert {handle["id"] for handle in _ask(fleet, "list", "--mine", "--phase", "failed")} == set()
    assert {handle["id"] for handle in _ask(fleet, "list", "--phase", "ready")} == {*mine, *others, fleet.id("web")}

    assert "Nothing was changed." in _answered(fleet, "n", "destroy", "--all", "--mine", code=1)
    own = {handle["name"] for handle in _ask(fleet, "list", "--mine") if handle["id"] in mine}
    assert len(own) == len(mine)
    output = _answered(fleet, "y", "destroy", "--all", "--mine")
    assert not any(f"{identifier}: destroyed" in output for identifier in mine)
    assert all(f"{name}: destroyed" in output for name in own)
    assert not any(name in output for name in names.values())
    assert {host: left for host in fleet.hosts if (left := lab.leaked(host, before[host]))} == {}

    ends = _ask(fleet, "destroy", "--all", "-y")
    assert {end["id"]: (end["sandbox"], end["outcome"]) for end in ends} == {
        identifier: (name, "destroyed") for identifier, name in names.items()
    }, "none of git's"
    assert {handle["name"] for handle in _ask(fleet, "list")} == {"web"}
    assert _ask(fleet, "destroy", "--all", "-y") == []


def test_the_examples_of_the_library_run(
    new_fleet: Callable[..., FleetRepo],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fleet = _fleet(new_fleet, "lab-1")
    fleet.apply()
    (tmp_path / "fleet").symlink_to(fleet.repo.path)
    monkeypatch.chdir(tmp_path)
    examples = [block.text for block in blocks(ROOT / "docs/library-reference.md") if block.language == "python"]
    printed = []
    for example in examples:
        exec(compile(example, "example", "exec"), {})
        printed.append(capsys.readouterr().out)
    assert len(printed) == 2
    assert re.fullmatch(r"web ready \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00\n", printed[0])
    assert re.fullmatch(r"web-[0-9a-f]{6} http://127\.0\.0\.1:\d+\n", printed[1])
    assert [one.name for one in Client("fleet").list()] == ["web"]


def test_the_library_extends_finds_and_follows(new_fleet: Callable[..., FleetRepo], lab: Lab) -> None:
    fleet = _fleet(new_fleet, "lab-1")
    client = Client(fleet.repo.path)
    assert client.find("try-1") is None
    before = lab.snapshot("lab-1")
    with client.create("profile.web", name="try-1", ttl="30m") as sandbox:
        assert (sandbox.phase, sandbox.host, sandbox.refresh().id) == ("ready", "lab-1", sandbox.id)
        with sandbox.forward(sandbox.reachability[0].name) as way:
            assert httpx.get(way.url, trust_env=False).status_code == 404, "its server has nothing, and answers 404"
        assert list(sandbox.logs("a", tail=0)) == []
        assert sandbox.activity().phase == "active"
        longer = sandbox.extend_ttl(timedelta(minutes=20)).handle
        assert longer.expiry_source == "extended"
        folder = f"{fleet.root}/{fleet.name}/{sandbox.id}"
        assert (
            json.loads(fleet.sh("lab-1", f"cat {folder}/record.json"))["expires_at"] == longer.to_json()["expires_at"]
        )
        with pytest.raises(UsageError, match="may live until"):
            client.extend_ttl("try-1", timedelta(hours=5))
        found = client.find("try-1")
        assert found is not None
        assert found.id == sandbox.id

        events = sandbox.events(follow=True)
        first = [next(events) for _ in range(5)]
        assert [event and event.phase for event in first] == ["requested", "provisioning", "ready", "active", None]
        events.close()
    assert client.find("try-1") is None
    assert lab.leaked("lab-1", before) == {}, "no connection of an iterator that was closed, either"


def test_names_are_completed_from_the_hosts(new_fleet: Callable[..., FleetRepo], lab: Lab) -> None:
    fleet = _fleet(new_fleet, "lab-1", "lab-2")
    fleet.apply()
    _ask(fleet, "create", "--profile", "profile.web", "--name", "try-1")
    line = f"sandboxer -C {fleet.repo.path} destroy "
    request = {"COMP_WORDS": line, "COMP_CWORD": "4", "_SANDBOXER_COMPLETE": "bash_complete"}
    assert fleet.run(env=request).split() == ["plain,try-1", "plain,web"]
    (where,) = [handle["host"] for handle in _ask(fleet, "list") if handle["name"] == "try-1"]
    (other,) = set(fleet.hosts) - {where}
    with lab.cut(other, "drop"):
        assert "plain,try-1" in fleet.run(env=request, timeout=20).split()
    assert fleet.output[-1] == ""


SLOW = {"test": ["CMD", "test", "-e", "/tmp/go"], "interval": "1s", "retries": 90}


@pytest.mark.parametrize(("host", "verb"), [("lab-1", "create"), ("lab-4", "create"), ("lab-1", "recreate")])
@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
def test_ctrl_c_leaves_what_can_be_shown_and_removed(
    new_fleet: Callable[..., FleetRepo], lab: Lab, host: str, verb: str, twice: bool
) -> None:
    """The first lets what is at work end by itself, as apply does; the second waits for nothing."""
    fleet = new_fleet(host)
    before = lab.snapshot(host)
    words = ["create", "--profile", "profile.web", "--name", "try-1"]
    profile = {"readiness": {"timeout": "100s"}}
    if verb == "recreate":
        fleet.sandbox("web", stack(a=service()), profile_spec=profile)
        fleet.commit()
        fleet.run(*words)
        words = ["recreate", "try-1"]
    # Twice: it would take longer than the test waits.
    slow = service("sh", "-c", f"sleep {80 if twice else 4}; touch /tmp/go; sleep 9999", healthcheck=SLOW)
    fleet.sandbox("web", stack(a=slow), profile_spec=profile)
    fleet.commit()
    former = set(fleet.ids(host).values())
    with fleet.start(*words) as process:
        until(lambda: set(fleet.ids(host).values()) - former, "the new container")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        left = until(lambda: "Ctrl-C again" in (line := process.stderr.readline()) and line, "what it leaves")
        if twice:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=40)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "Interrupted: finishing 1 change" in left
    assert bool(out) is not twice
    shown = _ask(fleet, "get", "try-1")
    assert shown["phase"] == ("provisioning" if twice else "ready")
    ways = f"check with `sandboxer get {shown['name']}`, remove with `sandboxer destroy {shown['name']}`"
    assert (ways in err) is twice
    fleet.run("destroy", shown["id"])
    assert lab.leaked(host, before) == {}


def test_a_destroy_that_is_interrupted_is_finished_by_the_next(new_fleet: Callable[..., FleetRepo], lab: Lab) -> None:
    fleet = new_fleet("lab-1")
    before = lab.snapshot("lab-1")
    fleet.sandbox("web", stack(**{f"s{number}": service() for number in range(4)}))
    fleet.commit()
    identifier = _ask(fleet, "create", "--profile", "profile.web")["id"]
    record = f"{fleet.root}/{fleet.name}/{identifier}/record.json"
    with fleet.start("destroy", identifier) as process:
        until(lambda: '"ready"' not in fleet.sh("lab-1", f"cat {record}", check=False), "the removal's begin")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode in (0, 130), "0 where it was over already"
    assert "Traceback" not in err
    fleet.run("destroy", identifier)
    assert lab.leaked("lab-1", before) == {}


def _answered(fleet: FleetRepo, answer: str, *words: str, code: int = 0) -> str:
    """Run the program on a terminal, and answer its prompts; return all that it wrote."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PROGRAM, "-C", str(fleet.repo.path), *words], stdin=theirs, stdout=theirs, stderr=theirs,
        env={"PATH": os.environ["PATH"], "HOME": str(fleet.repo.path), "TERM": "dumb", "COLUMNS": "150"},
    ) as process:  # fmt: skip
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        output = b""
        while part := _read(ours):
            output += part
        process.wait(timeout=60)
    os.close(ours)
    assert process.returncode == code, output.decode()
    return output.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # nobody is at the other end any more
        return b""
