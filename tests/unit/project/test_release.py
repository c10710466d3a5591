"""What the release before wrote, on hosts and in files, is read by this one, and comes to the same.

The states are real: its program made them on the lab's hosts, see ``tests/cases/release/README.md``. Here the program
of this release is run on them. A test that fails here says that a format changed: then both have to be read.
"""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.errors import PlanRefused
from tests.support import release
from tests.support.former import FormerRelease, NotInHistoryError
from tests.support.gitrepo import GitRepo, isolate
from tests.support.hubs import TAKES
from tests.support.release import TOKEN, Restored, Workshop, recorded, restored, without_the_moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STATES = recorded("fc41863")
FLEET = STATES.about["fleet"]
COMMANDS = STATES.about["commands"]
ON_BOTH = ("docker", "podman")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop.prepare(STATES, tmp_path_factory.mktemp("release"))


@pytest.fixture
def present(workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Restored]:
    """This release, on the hosts as they were left."""
    isolate(monkeypatch, tmp_path)
    for name, value in {**TOKEN, "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    with restored(workshop, tmp_path) as present:
        yield present


def documents(text: str) -> list[Any]:
    """Return the JSON of an output, a document or one a line, without what counts and times the run."""
    try:
        found = [json.loads(text)]
    except json.JSONDecodeError:
        found = [json.loads(line) for line in text.splitlines()]
    return [without_the_moment(one) for each in found for one in (each if isinstance(each, list) else [each])]


def by_path(name: str) -> Any:
    """Return a test for each recorded file of a name."""
    files = STATES.files(name)
    assert files
    return pytest.mark.parametrize("path", files.values(), ids=files)


# --- commands


READ_ONLY = sorted(name for name in COMMANDS if ".json" in name and name != "drift.json")


def test_commands_print_what_the_release_before_printed(present: Restored) -> None:
    """Plans, handles, lists and events, keys in their order: all the way from a record's bytes to the JSON."""
    for name in READ_ONLY:
        assert_printed_as_before(name, *present.run(*COMMANDS[name]["words"]))


# Messages are sentences for people, and no program depends on them: those that were reworded since.
REWORDED = {
    "as git wants it": "in sync with git",
    "as git wants it; whether APP_TOKEN changed is told when applied, for a plan reads no secret": "in sync with git; "
    "apply checks whether APP_TOKEN changed, as a plan reads no secrets",
    "asked for with --replace": "replacement requested",
    "it was left failed": "its last operation failed",
}


def reworded(document: Any) -> Any:
    """Return a document of the release before, with the messages that this release words otherwise."""
    if isinstance(document, str):
        current = document.replace("once an apply has brought it to its end", "once an apply has finished it")
        return REWORDED.get(current, current)
    if isinstance(document, dict):
        # What failed was repaired for the same reason as what was interrupted.
        failed = {"reason": "repair_because_failed"} if document.get("message") == "it was left failed" else {}
        if str(document.get("path")).startswith("spec.env."):
            return document | {"old": "a", "new": "b"}  # before: digests
        return {
            key: reworded(value) if key in ("message", "warnings") or not isinstance(value, str) else value
            for key, value in (document | failed).items()
        }
    return [reworded(one) for one in document] if isinstance(document, list) else document


def assert_printed_as_before(name: str, code: int, printed: str) -> None:
    now, then = documents(printed), reworded(documents(STATES.text(f"output/{name}")))
    assert now == then, name
    assert json.dumps(now) == json.dumps(then), f"{name}: the order of the keys"
    assert code == COMMANDS[name]["exit"], name


def test_every_state_is_there() -> None:
    """What the recording is for; else a test of it would promise less than it says."""
    plan = STATES.json("output/plan.json")
    reasons = {change["sandbox"].rpartition("-")[0]: change["reason"] for change in plan["changes"]}
    assert reasons == {
        "web": "no_op_because_synced",
        "updated": "no_op_because_synced",
        "extended": "no_op_because_synced",
        "healed": "no_op_because_synced",
        "brief": "no_op_because_expired",
        "drifted": "repair_because_drift",
        "pending": "update_because_changed",
        "torn": "repair_because_interrupted",
        "fails": "repair_because_interrupted",
    }
    handles = {handle["name"]: handle for handle in STATES.json("output/list.json")}
    for engine in ON_BOTH:
        assert handles[f"requested-{engine}"]["phase"] == "requested"
        assert (handles[f"made-{engine}"]["phase"], handles[f"made-{engine}"]["origin"]) == ("ready", "api")
        assert handles[f"torn-{engine}"]["phase"] == "provisioning"
        assert handles[f"extended-{engine}"]["expiry_source"] == "extended"
    assert STATES.files(".head.json").keys() == {"on-docker/.head.json", "on-podman/.head.json"}


# --- what lies on a host


@by_path("record.json")
def test_a_record_is_read_in_full(path: Path) -> None:
    data = path.read_bytes()
    assert release.reread_record(data, FLEET, path.parent.name) == data


@by_path("asked.json")
def test_a_request_is_read_in_full(path: Path) -> None:
    data = path.read_bytes()
    assert release.reread_request(path.parent.name, data) == data


@by_path("journal.jsonl")
def test_a_journal_is_read_in_full(path: Path) -> None:
    data = path.read_text()
    assert release.reread_events(data) == data


@pytest.mark.parametrize("host", STATES.hosts)
def test_what_the_hub_did_not_get_is_sent_from_where_it_was_left(present: Restored, host: str) -> None:
    """A journal, its cursor, and what a sandbox that is gone left."""
    expected: dict[str, list[int]] = {}
    for name, path in STATES.files("*.jsonl").items():
        if not name.startswith(f"{host}/"):
            continue
        events = [json.loads(line) for line in path.read_text().splitlines()]
        acked = path.with_name("journal.acked")
        cursor = int(acked.read_text().split()[1]) if path.name == "journal.jsonl" and acked.exists() else 0
        life = f"{events[0]['sandbox_id']} {events[0]['uid']}"
        expected[life] = [event["number"] for event in events if event["number"] > cursor]
    assert release.lives(present, host) == expected
    assert sum(map(len, expected.values())) > 5


def test_a_lock_names_who_held_it() -> None:
    held = [path for name, path in STATES.files("[0-9a-f]*").items() if "/.locks/" in name]
    assert len(held) > 10
    whole = re.compile("recorder@[a-z0-9.-]+, commit [0-9a-f]{12}, since [0-9:]{8}Z")
    assert [path for path in held if not whole.fullmatch(release.holder(path.read_bytes()))] == []


@pytest.mark.parametrize(("words", "reason"), [((), "blocked_because_stale"), (("--allow-rollback",), "update")])
def test_a_head_keeps_an_older_commit_from_being_applied(
    present: Restored, words: tuple[str, ...], reason: str
) -> None:
    _, printed = present.run("plan", "--ref", "HEAD~3", "-o", "json", *words)
    reasons = {change["sandbox"]: change["reason"] for change in json.loads(printed)["changes"]}
    assert all(reasons[f"updated-{engine}"].startswith(reason) for engine in ON_BOTH)


def test_a_fleet_whose_name_changed_is_known_by_what_it_left(present: Restored, tmp_path: Path) -> None:
    present.repo.git("clone", "-q", str(present.repo.path), str(tmp_path / "renamed"))
    repo = GitRepo(tmp_path / "renamed", commits=100)
    repo.commit({"sandboxer.yaml": (repo.path / "sandboxer.yaml").read_text().replace(FLEET, "renamed")})
    _, printed = replace(present, repo=repo).run("plan", "-o", "json")
    reasons = {change["sandbox"]: change["reason"] for change in json.loads(printed)["changes"]}
    assert {reasons[f"web-{engine}"] for engine in ON_BOTH} == {"blocked_because_guard"}
    assert FLEET in printed


def test_drift_that_is_over_takes_its_note_along(present: Restored) -> None:
    def notes() -> dict[str, str]:
        paths = [path for host in present.transports.values() for path in host.home.rglob("drift.json")]
        return {json.loads((path.parent / "record.json").read_text())["name"]: path.read_text() for path in paths}

    before = notes()
    assert sorted(before) == [f"{name}-{engine}" for name in ("drifted", "healed") for engine in ON_BOTH]
    code, printed = present.run("drift", "-o", "json")
    assert_printed_as_before("drift.json", code, printed)
    assert sorted(one["sandbox"] for one in json.loads(printed)["resolved"]) == ["healed-docker", "healed-podman"]
    assert notes() == {name: note for name, note in before.items() if name.startswith("drifted-")}
    _, printed = present.run("events", "healed-podman", "-o", "json")
    *_, detected, resolved = documents(printed)
    assert detected["type"] == "dev.sandboxer.drift.detected"
    assert resolved["type"] == "dev.sandboxer.drift.resolved"
    assert resolved["data"]["number"] == detected["data"]["number"] + 1


# --- State Hub


def test_the_hub_is_sent_the_same(present: Restored) -> None:
    with release.hub_at_the_recorded_port(TAKES) as hub:
        code, printed = present.run("hub", "flush")
    assert (code, printed) == (COMMANDS["flush.txt"]["exit"], STATES.text("output/flush.txt"))
    assert release.received_by_the_hub(hub.requests) == STATES.requests()
    assert {request.headers["authorization"] for request in hub.requests} == {f"Bearer {TOKEN['STATE_HUB_TOKEN']}"}
    assert not [path for host in present.transports.values() for path in host.home.rglob(".journals/*.jsonl")]
    with release.hub_at_the_recorded_port(TAKES) as hub:
        present.run("hub", "flush")
    assert [one for one in release.received_by_the_hub(hub.requests) if one["method"] == "POST"] == [], (
        "each is sent once"
    )


# --- saved plans


def test_a_saved_plan_approves_what_it_approved(present: Restored, tmp_path: Path) -> None:
    decided = present.approved(STATES.text("saved-plan.json").encode())
    assert {change.sandbox: change.reason.value for change in decided.changes} == {
        change["sandbox"]: change["reason"] for change in reworded(STATES.json("saved-plan.json"))["changes"]
    }
    again = tmp_path / "again.json"
    present.run("plan", "--out", str(again))
    (then,), (now,) = reworded(documents(STATES.text("saved-plan.json"))), documents(again.read_text())
    checksums = then.pop("checksum"), now.pop("checksum")
    assert now == then
    assert all(checksums)


def test_a_saved_plan_of_what_has_changed_since_approves_it_no_more(present: Restored) -> None:
    (host,) = [host for name, host in present.transports.items() if name == "on-docker"]
    for path in host.home.rglob("record.json"):
        path.write_text(re.sub('"generation":[0-9]+', '"generation":99', path.read_text()))
    decided = present.approved(STATES.text("saved-plan.json").encode())
    reasons = {change.sandbox: change.reason.value for change in decided.changes}
    assert reasons["pending-docker"] == "blocked_because_stale"
    assert reasons["pending-podman"] == "update_because_changed"


def test_a_saved_plan_that_was_changed_is_refused(present: Restored) -> None:
    forged = STATES.text("saved-plan.json").replace("pending-docker", "pending-dockes")
    with pytest.raises(PlanRefused):
        present.approved(forged.encode())


# --- the recording itself


def test_the_recording_holds_no_secret_and_is_small() -> None:
    files = [path for path in STATES.folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 300 * 1024
    values = [value for name, value in TOKEN.items()]
    found = subprocess.run(
        ["grep", "-rlE", "|".join(["PRIVATE KEY", *values]), str(STATES.folder)], capture_output=True, check=False
    )
    assert found.stdout == b""


def test_a_release_that_a_shallow_clone_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotInHistoryError, match="the commit 000000000000 is not in this clone"):
        FormerRelease.install(tmp_path, "0" * 40)
