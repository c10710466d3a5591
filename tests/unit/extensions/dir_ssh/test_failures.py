"""A failure is kept on its host, with its cause and its whole text, until a success clears both."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer import Client
from sandboxer.model.run_events import ChangeEnded

if TYPE_CHECKING:
    from pathlib import Path

    from sandboxer.model.outcome import Outcome
    from sandboxer.model.run_events import RunEvent
    from tests.unit.extensions.dir_ssh.local_fleet import LocalFleet

SECRET = "s3cr3t-value-nobody-may-see"
TEXT = "last-error.txt"


@pytest.fixture
def failed(fleet: LocalFleet) -> LocalFleet:
    """Return a fleet whose sandbox failed: its secret is gone from the host, and this machine has no value."""
    fleet.document("sandboxer.yaml", "Fleet", "acme", {"secrets": {"allow": ["env:TOKEN"]}})
    fleet.declare(secretRefs=[{"name": "TOKEN", "from": "env:TOKEN"}])
    fleet.apply(env={"TOKEN": SECRET})
    assert fleet.now["phase"] == "ready"
    assert "error" not in fleet.now
    shutil.rmtree(fleet.directory / "secrets")
    fleet.declare(secretRefs=[{"name": "TOKEN", "from": "env:TOKEN"}], env={"LEVEL": "debug"})
    fleet.apply(code=1)
    return fleet


def events(fleet: LocalFleet) -> list[dict[str, Any]]:
    return [json.loads(line)["data"] for line in fleet.run("events", "work", "-o", "json").splitlines()]


def test_the_cause_stands_everywhere_until_a_success_clears_it(failed: LocalFleet) -> None:
    record = failed.now
    error = record["error"]
    assert record["phase"] == "failed"
    assert (error["code"], error["step"], error["service"]) == ("secret-missing", "secrets", None)
    assert error["message"] == "the secret TOKEN (from env:TOKEN) has no value"
    assert error["hint"] == "set the secret in `env:TOKEN`"
    assert failed.get("work")["error"] == error
    (listed,) = json.loads(failed.run("list", "-o", "json"))
    assert listed["error"] == error
    for command in (["get", "work"], ["list", "-o", "wide"], ["events", "work"], ["plan"]):
        assert error["message"] in failed.run(*command, code=None), command
    *_, provisioning, last = events(failed)
    assert (last["phase"], last["error"], last["reason"]) == ("failed", error, "update_because_changed")
    assert "error" not in provisioning
    text = failed.directory / TEXT
    assert text.stat().st_mode & 0o777 == 0o600
    assert "neither on this machine nor on the host" in text.read_text()
    assert "neither on this machine nor on the host" in failed.run("get", "work")

    failed.apply(env={"TOKEN": SECRET})
    assert (failed.now["phase"], failed.now.get("error"), text.exists()) == ("ready", None, False)
    assert failed.get("work")["error"] is None
    assert "secret-missing" not in failed.run("list", "-o", "wide")
    assert [one["phase"] for one in events(failed)][-3:] == ["failed", "provisioning", "ready"]
    assert all(SECRET not in output for output in failed.output)


def test_a_text_of_another_failure_is_not_shown(failed: LocalFleet) -> None:
    text = failed.directory / TEXT
    first, rest = text.read_text().split("\n", 1)
    text.write_text(f"{first}, but another one\n{rest}")
    shown = failed.run("get", "work")
    assert "neither on this machine nor on the host" not in shown
    assert "secret-missing" in shown
    text.unlink()
    text.symlink_to("/etc/passwd")
    assert "root:" not in failed.run("get", "work")


def test_an_attempt_keeps_the_cause_until_it_ends(failed: LocalFleet) -> None:
    first = failed.now["error"]
    failed.apply(code=1)
    second = failed.now
    assert second["error"] | {"at": ""} == first | {"at": ""}
    assert [one["phase"] for one in events(failed)][-3:] == ["failed", "provisioning", "failed"]


def test_a_removal_that_fails_is_kept_too(fleet: LocalFleet) -> None:
    fleet.apply()
    trash = fleet.directory.parent / f".trash-{fleet.now['uid']}"
    trash.write_text("in the way")
    fleet.remove("work")
    fleet.commit()
    fleet.apply("--allow-empty", code=1)
    record = fleet.now
    assert (record["phase"], record["error"]["step"], record["error"]["code"]) == ("destroying", "destroy", "failed")
    assert "cannot be removed" in fleet.get("work")["error"]["message"]
    assert (fleet.directory / TEXT).exists()
    trash.unlink()
    fleet.apply("--allow-empty")
    assert not fleet.directory.exists()


def test_a_create_that_nobody_waits_for_is_requested_and_not_created(fleet: LocalFleet) -> None:
    ended: list[Outcome] = []

    def receive(event: RunEvent) -> None:
        if isinstance(event, ChangeEnded):
            ended.append(event.outcome)

    client = Client(fleet.repo.path, on_event=receive)
    request = client.create("scratch", name="later", wait=False)
    assert request.phase == "requested"
    assert [(outcome.word, outcome.ok) for outcome in ended] == [("requested", True)]
    assert ended[0].to_json()["outcome"] == "requested"
    assert client.resume("later").phase == "ready"
    assert [outcome.word for outcome in ended] == ["requested", "repaired"]
    client.destroy("later")


@pytest.fixture
def refused(fleet: LocalFleet) -> LocalFleet:
    """Return a fleet with a ready sandbox whose change cannot begin: this machine has no value of a secret."""
    fleet.document("sandboxer.yaml", "Fleet", "acme", {"secrets": {"allow": ["env:TOKEN"]}})
    fleet.declare()
    fleet.apply()
    fleet.declare(secretRefs=[{"name": "TOKEN", "from": "env:TOKEN"}])
    return fleet


def test_a_change_that_could_not_begin_is_on_record_and_touches_nothing(refused: LocalFleet) -> None:
    before = refused.now
    assert refused.apply(code=1).reasons == {"work": "blocked_because_secret_missing"}
    after = refused.now
    error = after.pop("error")
    assert after == before
    assert (error["code"], error["step"]) == ("secret-missing", "plan")
    assert "TOKEN (from env:TOKEN)" in error["message"]
    assert refused.get("work")["error"] == error
    assert refused.plan(code=1).of("work")["error"] == error
    record = (refused.directory / "record.json").read_bytes()
    refused.apply(code=1)
    assert (refused.directory / "record.json").read_bytes() == record
    refused.apply(env={"TOKEN": SECRET})
    assert "error" not in refused.now


def test_the_cause_of_a_change_that_git_takes_back_is_gone_with_the_next_apply(refused: LocalFleet) -> None:
    refused.apply(code=1)
    assert refused.now["error"]["code"] == "secret-missing"
    refused.declare()
    assert refused.plan().reasons == {"work": "no_op_because_synced"}
    assert refused.apply().changes == []
    assert "error" not in refused.now


def test_an_approval_outlives_a_cause_that_is_written_meanwhile(refused: LocalFleet, tmp_path: Path) -> None:
    saved = str(tmp_path / "plan.json")
    refused.run("plan", "--out", saved, env={"TOKEN": SECRET})
    refused.apply(code=1)
    assert "error" in refused.now
    assert refused.apply(saved, env={"TOKEN": SECRET}).reasons == {"work": "update_because_changed"}
    assert "error" not in refused.now


def test_what_is_given_up_says_why(fleet: LocalFleet) -> None:
    client = Client(fleet.repo.path)
    client.create("scratch", name="later", wait=False)
    client.give_up("later", "nobody can create it")
    error = client.get("later").handle.error
    assert error is not None
    assert (error.code, error.message) == ("failed", "nobody can create it")
    client.destroy("later")
