"""One-shot services: a stack with a migration is ready, has no drift, and runs it again only where it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.e2e import FleetRepo, service

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.lab


def _compose(schema: int = 1, mode: str = "old") -> dict[str, Any]:
    migrate = f"echo {schema} >>/data/runs"
    return {
        "services": {
            "migrate": service("sh", "-c", migrate, volumes=["data:/data"], restart="no"),
            "web": service(
                volumes=["data:/data:ro"],
                environment={"MODE": mode},
                depends_on={"migrate": {"condition": "service_completed_successfully"}},
            ),
        },
        "volumes": {"data": None},
    }


@pytest.mark.parametrize("host", ["lab-1", "lab-4"])
def test_a_migration_runs_once_and_again_only_when_it_changes(new_fleet: Callable[..., FleetRepo], host: str) -> None:
    fleet = new_fleet(host)
    fleet.sandbox("one", _compose())
    fleet.commit()

    def runs() -> list[str]:
        return fleet.inside(host, "one", "web", "cat", "/data/runs").split()

    fleet.apply()
    assert runs() == ["1"]
    record = fleet.record(host, "one")
    assert record["services"]["migrate"]["completed"] is True
    assert record["phase"] == "ready"
    fleet.assert_synced()
    assert fleet.get("one")["health"] == "Healthy"
    assert fleet.apply().changes == []
    assert runs() == ["1"]

    fleet.sandbox("one", _compose(mode="new"))
    fleet.commit()
    before = fleet.ids(host, "one")
    fleet.apply()
    after = fleet.ids(host, "one")
    assert runs() == ["1"]
    assert after["migrate"] == before["migrate"]
    assert after["web"] != before["web"]

    fleet.sandbox("one", _compose(schema=2, mode="new"))
    fleet.commit()
    fleet.apply()
    assert runs() == ["1", "2"]
    fleet.assert_synced()

    fleet.engine(host, "rm", "-f", fleet.ids(host, "one")["web"])
    fleet.apply(drifts=True)
    assert runs() == ["1", "2"]
    fleet.assert_synced()
