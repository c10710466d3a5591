"""Why a sandbox failed, what runs in it and from which commit: by events, registrations, and after an upgrade."""

from __future__ import annotations

import itertools
import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from sandboxer.hub import migration
from sandboxer.hub.models import ListedSandbox
from sandboxer.model.event import Event
from sandboxer.model.failure import MOST_HINT, MOST_SERVICE, MOST_STEP
from sandboxer.model.hub import Registration, cloud_event
from tests.unit.hub.hubs import RunningHub, event, registration
from tests.unit.hub.test_events import assert_problem
from tests.unit.hub.test_sandboxes import projected

if TYPE_CHECKING:
    from pathlib import Path

CAUSE = {
    "code": "service-exited",
    "message": "service web exited (3)\nno such file: /app/main",
    "hint": "read its output: `sandboxer logs web`",
    "at": "2026-11-24T12:02:00Z",
    "step": "start",
    "service": "web",
}
INPUTS = {"repo": "../shop", "ref": "main", "commit": "36cd213f" * 5}
SERVICES = [
    {"name": "web", "state": "exited", "health": None, "image": "shop", "restarts": 2, "exit_code": 3},
    {"name": "db", "state": "running", "health": "healthy", "image": "db:1", "restarts": 0, "exit_code": None},
]


def failed(number: int, **more: Any) -> dict[str, Any]:
    return event(number, "sandbox.failed", **{"error": CAUSE, **more})


def test_a_cause_stands_until_a_success(hub: RunningHub) -> None:
    hub.take(event(1, "sandbox.provisioning"), failed(2))
    assert hub.sandboxes()[0]["error"] == CAUSE
    hub.take(event(3, "drift.detected", drift=[{"path": "services.web"}]), event(4, "sandbox.provisioning"))
    assert hub.sandboxes()[0]["error"] == CAUSE, "neither drift nor a new attempt is a success"
    hub.take(event(5, "journal.gap"))
    assert hub.sandboxes()[0]["error"] == CAUSE, "nor is a loss of the journal, whatever phase it has"
    hub.take(event(6))
    assert hub.sandboxes()[0]["error"] is None
    hub.take(failed(7, error={"code": "timeout", "message": "not ready after 120 s"}))
    assert hub.sandboxes()[0]["error"] == {"code": "timeout", "message": "not ready after 120 s"}


def test_the_order_of_arrival_does_not_decide_about_causes() -> None:
    events = [failed(2), event(3, "sandbox.provisioning"), event(4), failed(5, error={"message": "again"})]
    expected = projected(events)
    assert expected[0]["error"] == {"message": "again"}
    assert all(projected(order) == expected for order in itertools.permutations(events))


def test_a_failure_without_a_cause_does_not_keep_an_earlier_one(hub: RunningHub) -> None:
    hub.take(failed(2), event(3, "sandbox.failed"))
    assert hub.sandboxes()[0]["error"] is None


def test_a_destroyed_sandbox_has_no_cause(hub: RunningHub) -> None:
    hub.take(failed(2), event(3, "sandbox.destroyed"))
    assert hub.sandboxes(all=1)[0]["error"] is None


def test_a_registration_has_the_cause_that_no_event_reported(hub: RunningHub) -> None:
    hub.put(registration(error=CAUSE, phase="failed"))
    assert hub.sandboxes()[0]["error"] == CAUSE
    hub.take(event(2, "sandbox.failed"))
    assert hub.sandboxes()[0]["error"] == CAUSE
    hub.take(event(3))
    assert hub.sandboxes()[0]["error"] is None, "the registration is older than the success"


def test_services_labels_input_and_commit_come_from_the_registration(hub: RunningHub) -> None:
    labels = {"team": "payments"}
    hub.put(registration(services=SERVICES, inputs=INPUTS, commit="d" * 40, labels=labels))
    (row,) = hub.sandboxes()
    assert (row["services"], row["inputs"], row["commit"], row["labels"]) == (SERVICES, INPUTS, "d" * 40, labels)
    assert row["registered_at"] is not None
    hub.take(event(3, commit="e" * 40, input_commit="4fa1b220" * 5))
    (row,) = hub.sandboxes()
    assert (row["inputs"], row["commit"]) == ({**INPUTS, "commit": "4fa1b220" * 5}, "e" * 40)
    hub.take(event(1, commit="f" * 40, input_commit="f" * 40))
    assert hub.sandboxes()[0]["inputs"] == row["inputs"], "an event that comes late has an earlier number"


def test_it_takes_what_sandboxer_sends(hub: RunningHub) -> None:
    failure = {**CAUSE, "message": "service web exited (3)", "service": "s" * MOST_SERVICE}
    failure |= {"hint": "h" * MOST_HINT, "step": "b" * MOST_STEP, "code": "c" * 40}
    data = event(2, "sandbox.failed", error=failure, input_commit="1" * 40)["data"]
    hub.take(cloud_event(Event.model_validate({**data, "type": "dev.sandboxer.sandbox.failed"})).to_json())
    given = registration(services=SERVICES, inputs=INPUTS, error=failure, commit="d" * 40, reachability=[])
    assert hub.put(Registration.model_validate(given).to_json()).status_code == 201
    (row,) = hub.sandboxes()
    assert (row["error"], row["services"]) == (failure, SERVICES)
    assert row["inputs"] == {**INPUTS, "commit": "1" * 40}


def test_a_row_is_as_the_openapi_document_says(hub: RunningHub) -> None:
    hub.put(registration(services=SERVICES, inputs=INPUTS, commit="d" * 40, error=CAUSE))
    hub.take(failed(2))
    (row,) = hub.sandboxes()
    assert set(row) == set(ListedSandbox.model_fields)
    assert ListedSandbox.model_validate(row).error is not None
    document = hub.client.get("/openapi.json").json()
    answer = document["paths"]["/sandboxes"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/SandboxList"}
    assert set(document["components"]["schemas"]["Failure"]["properties"]) == set(CAUSE)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"error": "full disk"}, "data.error"),
        ({"error": {"message": 3}}, "data.error.message"),
        ({"input_commit": []}, "data.input_commit"),
    ],
)
def test_a_cause_that_does_not_fit_is_refused(refusing_hub: RunningHub, change: dict[str, Any], field: str) -> None:
    assert_problem(refusing_hub.post(failed(2, **change)), 400, field)


def test_a_database_of_version_1_gets_the_causes_of_its_events(tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite"
    with RunningHub(path) as hub:
        hub.take(event(1), failed(2, input_commit="36cd213f" * 5))
        hub.put(registration(services=SERVICES, labels={"team": "payments"}))
        before = hub.sandboxes(), hub.events()
    _as_version_1(path)
    with RunningHub(path) as hub:
        (row,) = hub.sandboxes()
        assert ([{**row, "registered_at": before[0][0]["registered_at"]}], hub.events()) == before
        assert row["registered_at"] is None, "version 1 did not store it"
        hub.take(event(3))
        assert hub.sandboxes()[0]["error"] is None


def test_an_upgrade_drops_what_version_1_did_not_check(tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite"
    with RunningHub(path) as hub:
        hub.take(failed(2))
        hub.put(registration(services=SERVICES))
    _as_version_1(path, services="many", commit=7, error="full disk")
    with RunningHub(path) as hub:
        (row,) = hub.sandboxes()
        assert (row["services"], row["error"]["code"], row["commit"]) == (None, "service-exited", "c0ffee00" * 5)
        assert row["handle"]["name"] == "web"


def test_an_interrupted_upgrade_leaves_the_database_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hub.sqlite"
    with RunningHub(path) as hub:
        hub.take(failed(2))
    _as_version_1(path)

    def fails(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM lives")
        raise sqlite3.OperationalError("disk I/O error")

    from sandboxer.errors import SandboxerError
    from sandboxer.hub.store import Store

    with monkeypatch.context() as patch:
        patch.setitem(migration.MIGRATIONS, 1, fails)  # type: ignore[arg-type]
        with pytest.raises(SandboxerError, match="disk I/O error"):
            Store(path)
    with RunningHub(path) as hub:
        assert hub.sandboxes()[0]["error"] == CAUSE


def _as_version_1(path: Path, **handle: Any) -> None:
    """Make of a database what version 1 stored: lives without the fields that it did not know."""
    known = (
        *("uid", "begun", "name", "number", "profile", "consumer", "last_event_at", "phase", "reason", "phase_number"),
        *("expires_at", "expires_number", "drift", "since", "handle"),
    )
    connection = sqlite3.connect(path)
    for rowid, text in connection.execute("SELECT rowid, life FROM lives").fetchall():
        life = {name: value for name, value in json.loads(text).items() if name in known}
        if life["handle"]:
            life["handle"] |= handle
        connection.execute("UPDATE lives SET life = ? WHERE rowid = ?", (json.dumps(life), rowid))
    connection.execute("DROP INDEX lives_of_sandbox")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
