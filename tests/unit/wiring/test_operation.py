"""The operation of a change: what it reports has none of the sandbox's secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandboxer.extensions.registry import build_registry
from sandboxer.model.run_events import ServiceProgressed
from sandboxer.reconcile.planner import plan
from sandboxer.wiring.apply_options import ApplyOptions
from sandboxer.wiring.observations import FleetObservations
from sandboxer.wiring.operation import Operations
from tests.support.planning import NOW, fleet_of, observations_of

if TYPE_CHECKING:
    from sandboxer.model.run_events import RunEvent


def test_a_step_of_a_build_that_names_a_secret_is_shown_without_it() -> None:
    case: dict[str, Any] = {
        "sandboxes": {"web": {"secretRefs": [{"name": "DB", "from": "env:DB"}]}},
        "secrets": {"DB": "hunter2-hunter2"},
        "found": {"lab-1": {"copies": []}},
    }
    fleet, by_host = fleet_of(case), observations_of(case)
    (change,) = plan(fleet, by_host, NOW).changes
    events: list[RunEvent] = []
    operations = Operations(lambda _host: None, None, False, build_registry({}), ApplyOptions(), events.append)  # type: ignore[arg-type, return-value]
    operation = operations.of(change, "lab-1", FleetObservations(fleet, by_host))
    operation.service_state("web", "building", "2/3 WORKDIR /srv/hunter2-hunter2")
    assert events == [ServiceProgressed(change, "web", "building", "2/3 WORKDIR /srv/(hidden)")]
