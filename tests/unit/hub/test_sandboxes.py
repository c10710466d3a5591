"""What events and registrations add up to."""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandboxer.hub.incoming import event_of
from sandboxer.hub.store import Store
from tests.support.handles import UID
from tests.support.problems import assert_problem
from tests.unit.hub.hubs import SANDBOX, RunningHub, event, registration

LATER = {"uid": "b" * 32}
# A store waits for its disk with each event; hundreds of stores that nobody reads again need none.
IN_MEMORY = Path("/dev/shm")
LIFE = [
    event(1, "sandbox.requested"),
    event(2, "sandbox.provisioning"),
    event(3, "sandbox.ready", expires_at="2026-11-24T14:00:00Z"),
    event(4, "drift.detected", drift=[{"path": "services.web", "old": 1, "new": 0}, {"path": "x", "old": 1, "new": 2}]),
    event(5, "drift.detected", drift=[{"path": "services.web", "old": 1, "new": 0}]),
    event(6, "sandbox.provisioning", expires_at="2026-11-24T15:00:00Z", commit="f" * 40, input_commit="1" * 40),
    event(7, "sandbox.failed", error={"code": "port-in-use", "message": "port 8080 is in use"}),
]
NEXT_LIFE = [event(1, "sandbox.requested", minute=30, **LATER), event(2, "sandbox.failed", minute=31, **LATER)]


def test_a_life_is_shown_as_its_last_event_left_it(hub: RunningHub) -> None:
    hub.take(*LIFE[:3])
    assert hub.sandboxes() == [
        {
            "id": SANDBOX,
            "fleet": "acme",
            "name": "web",
            "host": "lab-1",
            "uid": UID,
            "phase": "ready",
            "health": None,
            "sync": None,
            "expires_at": "2026-11-24T14:00:00Z",
            "consumer": "checkout",
            "profile": "profile.web",
            "last_event_at": "2026-11-24T12:03:00Z",
            "reason": "reason_3",
            "error": None,
            "commit": "c0ffee00" * 5,
            "inputs": None,
            "services": None,
            "labels": None,
            "drift": [],
            "since": None,
            "registered_at": None,
            "handle": None,
        }
    ]


def test_an_event_that_comes_late_takes_no_later_ones_place(hub: RunningHub) -> None:
    hub.take(LIFE[2], LIFE[0], LIFE[1])
    (row,) = hub.sandboxes()
    assert (row["phase"], row["reason"], row["last_event_at"]) == ("ready", "reason_3", "2026-11-24T12:03:00Z")


def test_drift_is_open_until_it_is_resolved_and_changes_no_phase(hub: RunningHub) -> None:
    hub.take(*LIFE[:5])
    (row,) = hub.sandboxes()
    assert row["drift"] == [{"path": "services.web", "old": 1, "new": 0}]
    assert row["since"] == "2026-11-24T12:04:00Z"
    assert (row["phase"], row["reason"]) == ("ready", "reason_3")
    assert row["last_event_at"] == "2026-11-24T12:05:00Z"
    hub.take(event(6, "drift.resolved"))
    (row,) = hub.sandboxes()
    assert (row["drift"], row["since"]) == ([], None)


def test_a_resolution_may_name_what_is_over(hub: RunningHub) -> None:
    hub.take(*LIFE[:4], event(5, "drift.resolved", drift=[{"path": "x"}]))
    assert [one["path"] for one in hub.sandboxes()[0]["drift"]] == ["services.web"]


def test_a_resolution_that_comes_before_its_detection_still_resolves_it(hub: RunningHub) -> None:
    hub.take(event(5, "drift.resolved", drift=None), *LIFE[:4])
    assert hub.sandboxes()[0]["drift"] == []


def test_a_new_life_takes_the_old_ones_place_whatever_comes_late(hub: RunningHub) -> None:
    hub.take(*LIFE[:4], *NEXT_LIFE)
    hub.take(event(7, "sandbox.destroyed", minute=29))
    (row,) = hub.sandboxes()
    assert (row["uid"], row["phase"], row["drift"]) == (LATER["uid"], "failed", [])


def test_the_order_of_arrival_does_not_count() -> None:
    events = [LIFE[0], LIFE[2], LIFE[3], NEXT_LIFE[0]]
    expected = projected(events)
    assert all(projected(order) == expected for order in itertools.permutations(events))


@settings(max_examples=60, deadline=None)
@given(st.permutations([*LIFE, event(8, "drift.resolved"), event(9, "sandbox.destroying"), *NEXT_LIFE]), st.data())
def test_neither_order_nor_repetition_counts(events: list[dict[str, Any]], data: st.DataObject) -> None:
    part = events[: data.draw(st.integers(1, len(events)))]
    again = data.draw(st.lists(st.sampled_from(part), max_size=4))
    in_order = sorted(part, key=lambda one: (one["data"]["uid"], one["data"]["number"]))
    assert projected([*part, *again]) == projected(in_order)


def projected(events: Any) -> list[dict[str, Any]]:
    """Return what a store of its own makes of these events."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        store = Store(Path(folder) / "hub.sqlite")
        try:
            for one in events:
                store.add(event_of(json.dumps(one).encode()))
            return [life.row(key) for key, life in store.sandboxes(over=True)]
        finally:
            store.close()


def test_what_is_destroyed_is_listed_only_on_request(hub: RunningHub) -> None:
    other = {"sandbox_id": "0" * 8, "name": "other", "uid": "c" * 32}
    hub.take(*LIFE[:4], event(8, "sandbox.destroyed"), event(1, "sandbox.requested", **other))
    assert [row["name"] for row in hub.sandboxes()] == ["other"]
    (gone,) = hub.sandboxes(phase="destroyed")
    assert (gone["name"], gone["drift"], gone["since"]) == ("web", [], None)
    assert [row["name"] for row in hub.sandboxes(all=1)] == ["other", "web"]


def test_a_sandbox_that_moves_is_on_both_hosts_until_the_old_one_is_gone(hub: RunningHub) -> None:
    hub.take(*LIFE[:3], event(1, "sandbox.requested", minute=20, host="lab-2", **LATER))
    assert [(row["host"], row["phase"]) for row in hub.sandboxes()] == [("lab-1", "ready"), ("lab-2", "requested")]
    hub.take(event(7, "sandbox.destroyed"))
    assert [row["host"] for row in hub.sandboxes()] == ["lab-2"]


def test_sandboxes_are_filtered_by_fleet_host_and_phase(hub: RunningHub) -> None:
    other = {"sandbox_id": "0" * 8, "name": "other", "uid": "c" * 32, "fleet": "other", "host": "lab-2"}
    hub.take(*LIFE[:3], event(1, "sandbox.failed", **other))
    for query in ({"fleet": "other"}, {"host": "lab-2"}, {"phase": "failed"}):
        assert [row["name"] for row in hub.sandboxes(**query)] == ["other"]
    assert [row["name"] for row in hub.sandboxes(sandbox="0" * 8)] == ["other"]
    both = hub.client.get("/sandboxes", params={"sandbox": [SANDBOX, "0" * 8]}).json()["sandboxes"]
    assert [row["name"] for row in both] == ["web", "other"]
    assert_problem(hub.client.get("/sandboxes", params={"sandbox": "web"}), 400, "sandbox.0")
    assert_problem(hub.client.get("/sandboxes", params={"phase": "well"}), 400, "phase")


def test_a_journal_continues_from_the_event_of_its_loss(hub: RunningHub) -> None:
    hub.take(LIFE[2], event(1795541698, "journal.gap", minute=40), event(1795541699, "sandbox.expired", minute=40))
    assert hub.sandboxes()[0]["phase"] == "expired"


def test_a_registration_adds_what_no_event_has(hub: RunningHub) -> None:
    hub.take(*LIFE[:3])
    answer = hub.put(registration())
    assert answer.status_code == 201
    assert answer.json() == {"id": SANDBOX, "host": "lab-1", "uid": UID, "status": "registered"}
    (row,) = hub.sandboxes()
    assert (row["sync"], row["health"], row["phase"]) == ("Synced", "Healthy", "ready")
    assert row["handle"] == {name: value for name, value in registration().items() if name not in ("uid", "fleet")}
    later = hub.put(registration(health="Degraded", phase="failed", expires_at="2026-11-24T16:00:00Z"))
    assert (later.status_code, later.json()["status"]) == (200, "updated")
    (row,) = hub.sandboxes()
    assert (row["health"], row["phase"], row["expires_at"]) == ("Degraded", "ready", "2026-11-24T16:00:00Z")


def test_a_registration_alone_is_a_sandbox_and_removed_is_none(hub: RunningHub) -> None:
    hub.put(registration())
    (row,) = hub.sandboxes()
    assert (row["phase"], row["consumer"], row["profile"], row["reason"]) == ("ready", "checkout", "profile.web", None)
    where = {"host": "lab-1", "uid": UID}
    assert hub.client.delete(f"/sandboxes/{SANDBOX}", params=where).status_code == 204
    assert hub.sandboxes(all=1) == []
    assert hub.client.delete(f"/sandboxes/{SANDBOX}", params=where).status_code == 204


def test_only_the_life_that_is_named_is_unregistered(hub: RunningHub) -> None:
    hub.take(*LIFE[:3])
    hub.put(registration())
    for where in ({"host": "lab-2", "uid": UID}, {"host": "lab-1", **LATER}):
        assert hub.client.delete(f"/sandboxes/{SANDBOX}", params=where).status_code == 204
        assert hub.sandboxes()[0]["handle"] is not None
    hub.client.delete(f"/sandboxes/{SANDBOX}", params={"host": "lab-1", "uid": UID})
    (row,) = hub.sandboxes()
    assert (row["handle"], row["health"], row["phase"]) == (None, None, "ready")


def test_the_registration_of_an_old_life_is_not_that_of_the_new_one(hub: RunningHub) -> None:
    hub.take(*LIFE[:3], *NEXT_LIFE)
    hub.put(registration())
    (row,) = hub.sandboxes()
    assert (row["uid"], row["handle"], row["health"]) == (LATER["uid"], None, None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": "00000000"}, "id"),
        ({"uid": None}, "uid"),
        ({"host": ""}, "host"),
        ({"phase": "well"}, "phase"),
        ({"expires_at": "soon"}, "expires_at"),
        ({"reachability": ["http://x"]}, "reachability.0"),
    ],
)
def test_a_registration_that_does_not_fit_is_refused(
    refusing_hub: RunningHub, change: dict[str, Any], field: str
) -> None:
    answer = refusing_hub.client.put(f"/sandboxes/{SANDBOX}", json=registration(**change))
    assert_problem(answer, 400, field)
    assert refusing_hub.sandboxes() == []


def test_an_address_that_is_no_sandboxs_is_refused(refusing_hub: RunningHub) -> None:
    assert_problem(refusing_hub.client.put("/sandboxes/web", json=registration()), 400, "identifier")
    assert_problem(refusing_hub.client.delete("/sandboxes/web", params={"host": "a", "uid": "b"}), 400, "identifier")
    assert_problem(refusing_hub.client.delete(f"/sandboxes/{SANDBOX}", params={"host": "a"}), 400, "uid")
    assert_problem(refusing_hub.client.put(f"/sandboxes/{SANDBOX}", content="{}"), 415, "Content-Type")


def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    with RunningHub(tmp_path / "hub.sqlite") as first:
        first.take(*LIFE)
        first.put(registration())
        before = first.sandboxes(), first.events()
        page = first.client.get("/events", params={"limit": 2}).json()
    with RunningHub(tmp_path / "hub.sqlite") as second:
        assert (second.sandboxes(), second.events()) == before
        assert second.post(LIFE[0]).json()["status"] == "duplicate"
        assert second.events(after=page["next"]) == LIFE[2:]
