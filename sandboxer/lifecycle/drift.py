"""Drift: the looks compared with the records, the contents with git where that is asked for, and what is told noted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.lifecycle.compare import Comparer
from sandboxer.lifecycle.notes import DriftNotes
from sandboxer.reconcile.drift_report import Comparison

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.model.drift import DriftReport
    from sandboxer.model.event import Event
    from sandboxer.model.protocols import HostTransport, InputSource
    from sandboxer.reconcile.fleet_state import FleetState
    from sandboxer.reconcile.options import Options


def find_drift(
    fleet_state: FleetState,
    options: Options,
    transport: Callable[[str], HostTransport],
    holder: str,
    inputs: InputSource | None = None,
    told: Callable[[str, Event], None] = lambda _host, _event: None,
) -> DriftReport:
    """Return what drifted on the hosts of ``fleet_state``, with ``inputs`` file by file, and what is over since it was
    told.

    What is told is noted on the hosts and in the journals, for which ``holder`` takes each sandbox's lock for a moment;
    what cannot be noted is a warning. ``told`` gets the host and the event that is in a journal there by now.
    Raises nothing of a host's.
    """
    roots = {name: host.spec.root for name, host in fleet_state.fleet.hosts.items()}
    comparison, contents = Comparison(fleet_state, options), {}
    if inputs is not None:
        contents = Comparer(fleet_state.fleet.name, roots, transport, inputs).compare(comparison.comparable())
    report = comparison.report(contents)
    problems = DriftNotes(fleet_state.fleet.name, roots, transport, holder, told).write(report.notes)
    return replace(report, plan=replace(report.plan, warnings=(*report.plan.warnings, *problems)))
