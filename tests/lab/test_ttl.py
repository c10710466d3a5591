"""Time to live on real hosts: what expired stays deleted, what is extended stays, listings show the expiry."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.e2e import FleetRepo, service, stack, until

if TYPE_CHECKING:
    from tests.lab import Lab

pytestmark = pytest.mark.lab


def _ends(handle: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(handle["expires_at"])


def test_what_expired_is_pruned_and_stays_away_until_its_spec_changes(fleet: FleetRepo, lab: Lab) -> None:
    before = lab.snapshot("lab-1")
    tombstones = f"{fleet.root}/{fleet.name}/.tombstones"
    fleet.sandbox("brief", stack(a=service()), ttl="5s")
    fleet.sandbox("long", stack(a=service()))
    fleet.commit()
    fleet.apply()
    until(lambda: fleet.get("brief")["phase"] == "expired", "the end of five seconds")
    assert "brief" in fleet.run("list", "--phase", "expired", "-o", "name").split()
    assert fleet.apply().reasons == {"brief": "delete_because_expired"}
    assert set(fleet.ids("lab-1")) == {"long/a"}

    for _ in range(2):
        again = fleet.apply()
        assert again.changes == []
        assert again.plan.of("brief")["reason"] == "no_op_because_expired"
    path = fleet.repo.path / "manifests/brief.yaml"
    path.write_text(f"# a comment is no change\n{path.read_text()}")
    fleet.commit()
    assert fleet.apply().changes == []
    assert set(fleet.ids("lab-1")) == {"long/a"}

    fleet.sandbox("brief", ttl="6s")
    fleet.commit()
    assert fleet.apply().reasons == {"brief": "create_because_absent"}
    assert set(fleet.ids("lab-1")) == {"long/a", "brief/a"}
    until(lambda: fleet.get("brief")["phase"] == "expired", "the end of six seconds")
    assert fleet.prune("--expired-only").reasons == {"brief": "delete_because_expired"}
    assert fleet.exists("lab-1", f"{tombstones}/{fleet.id('brief')}.json")

    fleet.remove("brief")
    fleet.commit()
    assert fleet.apply().changes == []
    assert not fleet.exists("lab-1", tombstones)
    fleet.remove("long")
    fleet.commit()
    fleet.apply("--allow-empty")
    assert lab.leaked("lab-1", before) == {}


def test_a_life_is_extended_up_to_what_the_profile_allows(fleet: FleetRepo) -> None:
    fleet.sandbox("web", stack(a=service()), ttl="1h", profile_spec={"ttl": {"max": "3h"}})
    fleet.commit()
    fleet.apply()
    handle, ids, generation = fleet.get("web"), fleet.ids("lab-1"), fleet.record("lab-1", "web")["generation"]
    assert (handle["expiry_source"], handle["ttl"]) == ("ttl", "1h")

    longer = json.loads(fleet.run("extend-ttl", "web", "90m", "-o", "json"))
    assert _ends(longer) - _ends(handle) == timedelta(minutes=90)
    assert longer["expiry_source"] == "extended"
    record = fleet.record("lab-1", "web")
    assert (record["expires_at"], record["generation"]) == (longer["expires_at"], generation + 1)
    output = fleet.run("extend-ttl", fleet.id("web"), "30m")
    assert "in 2h5" in output  # some minutes may have passed
    fleet.run("extend-ttl", "web", "1s", code=1)
    assert "may live until" in fleet.output[-1]
    fleet.assert_synced()
    assert fleet.apply().changes == []
    assert fleet.ids("lab-1") == ids

    fleet.sandbox("web", ttl="2h", profile_spec={"ttl": {"max": "3h"}})
    fleet.commit()
    assert fleet.apply().reasons == {"web": "update_because_changed"}
    assert _ends(fleet.get("web")) - _ends(handle) == timedelta(hours=1)
    assert fleet.ids("lab-1") == ids


def test_what_is_over_and_still_there_is_extended_back_to_life(fleet: FleetRepo) -> None:
    fleet.sandbox("web", stack(a=service()), ttl="1s")
    fleet.commit()
    fleet.apply()
    until(lambda: fleet.plan().of("web")["action"] == "delete", "its end")
    assert "expired; not pruned yet" in fleet.run("get", "web")
    fleet.run("extend-ttl", "web", "1h")
    fleet.assert_synced()
    assert fleet.get("web")["phase"] == "ready"


def test_a_name_that_is_nowhere_is_refused_with_the_nearest(fleet: FleetRepo) -> None:
    fleet.sandbox("checkout", stack(a=service()))
    fleet.commit()
    fleet.apply()
    for command in (("get", "chekout"), ("extend-ttl", "chekout", "1h"), ("unlock", "chekout")):
        fleet.run(*command, code=1)
        assert "did you mean `checkout`?" in fleet.output[-1]


def test_an_emptied_folder_of_manifests_deletes_nothing_and_names_the_flag(fleet: FleetRepo) -> None:
    for name in ("one", "two"):
        fleet.sandbox(name, stack(a=service()))
    fleet.commit()
    fleet.apply()
    ids = fleet.ids("lab-1")
    for name in ("one", "two"):
        fleet.remove(name)
    fleet.commit()
    refused = fleet.apply(code=1)
    assert set(refused.reasons.values()) == {"blocked_because_guard"}
    assert all("--allow-empty" in change["message"] for change in refused.changes)
    assert fleet.ids("lab-1") == ids


def test_a_fleet_with_another_name_makes_nothing_a_second_time_and_names_the_flag(fleet: FleetRepo) -> None:
    fleet.sandbox("one", stack(a=service()))
    fleet.commit()
    fleet.apply()
    ids = fleet.ids("lab-1")
    other = f"{fleet.name}-new"
    fleet.document("sandboxer.yaml", "Fleet", other, {})
    fleet.commit()
    refused = fleet.apply(code=1)
    assert refused.reasons == {"one": "blocked_because_guard"}
    assert "--allow-rename" in refused.of("one")["message"]
    assert fleet.ids("lab-1") == ids
    assert fleet.plan("--allow-rename").actions == {"one": "create"}
    assert not fleet.exists("lab-1", f"{fleet.root}/{other}")
