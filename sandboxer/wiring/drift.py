"""Drift, for the hosts of a fleet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.model.run_events import DriftCompared, EventWritten, fan_out
from sandboxer.wiring import clock
from sandboxer.wiring.planning import resolved

if TYPE_CHECKING:
    from sandboxer.model.drift import DriftReport
    from sandboxer.model.protocols import InputSource
    from sandboxer.reconcile.options import Options
    from sandboxer.wiring.fleet_hosts import FleetHosts
    from sandboxer.wiring.reporting import Reporter


def compare(hosts: FleetHosts, options: Options, reporter: Reporter, inputs: InputSource | None = None) -> DriftReport:
    """Observe the hosts, and compare what runs with the records; with ``inputs`` the delivered files' contents too.

    Reported drift is noted on the hosts, so that the next run detects what is resolved. Raise what ``plan_fleet``
    raises.
    """
    observations = hosts.observe()
    from sandboxer.lifecycle.drift import find_drift
    from sandboxer.reconcile.fleet_state import fleet_state_of

    options = resolved(options, observations)
    fleet = observations.fleet
    fleet_state = fleet_state_of(fleet, observations.by_host, clock.now(), options.forgotten)
    reporter.begin(observations)
    emit = fan_out(hosts.emit, reporter)
    registry, written = hosts.source.registry(), lambda host, event: emit(EventWritten(host, event))
    found = find_drift(fleet_state, options, hosts.transport, inputs, registry, written)
    report = replace(found, plan=replace(found.plan, stats=hosts.stats()))
    emit(DriftCompared(report))
    return report
