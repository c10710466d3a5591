"""Observations and plans of a fleet of three hosts, one of which is down."""

from __future__ import annotations

from typing import Any

from sandboxer.reconcile.planner import plan
from sandboxer.wiring.observations import FleetObservations
from sandboxer.wiring.planning import Planned
from tests.support.planning import NOW, fleet_of, observation


def observations_of(copies: dict[str, list[Any]], *, down: str = "") -> FleetObservations:
    """Return the observations of the hosts with these copies, and of one that is ``down``; git has `web` alone."""
    case: dict[str, Any] = {"hosts": {host: {} for host in (*copies, *filter(None, [down]))}, "sandboxes": {"web": {}}}
    fleet = fleet_of(case)
    by_host = {host: observation(case, host, {"copies": given}) for host, given in copies.items()}
    by_host |= {down: observation(case, down, {"unreachable": "timed out"})} if down else {}
    return FleetObservations(fleet, {host: seen for host, seen in by_host.items() if seen is not None})


def planned_of(copies: dict[str, list[Any]], *, down: str = "") -> Planned:
    """Return the plan on these observations."""
    observations = observations_of(copies, down=down)
    return Planned(plan(observations.fleet, observations.by_host, NOW), observations)
