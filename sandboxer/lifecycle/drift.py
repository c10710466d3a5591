"""Drift: observations compared with the records, on request contents with git, and the reported drift noted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.errors.remedy import Notice
from sandboxer.hosts.notes import DriftNotes
from sandboxer.lifecycle.compare import Comparer
from sandboxer.reconcile.drift_report import Comparison

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.extensions.registry import Registry
    from sandboxer.model.drift import DriftReport
    from sandboxer.model.event import Event
    from sandboxer.model.protocols import HostTransport, InputSource
    from sandboxer.reconcile.fleet_state import FleetState
    from sandboxer.reconcile.options import Options


def find_drift(
    fleet_state: FleetState,
    options: Options,
    transport: Callable[[str], HostTransport],
    inputs: InputSource | None = None,
    registry: Registry | None = None,
    on_event: Callable[[str, Event], None] = lambda _host, _event: None,
) -> DriftReport:
    """Return the drift on the hosts of ``fleet_state``, and the drift that is resolved since it was reported.

    With ``inputs`` and the ``registry`` of extensions, contents are compared file by file. Reported drift is noted on
    the hosts and in the journals, under each sandbox's lock; a note that fails is a warning. ``on_event`` receives the
    host and the event once it is in a journal there. Errors of a host are part of the report.
    """
    roots = {name: host.spec.root for name, host in fleet_state.fleet.hosts.items()}
    comparison, contents = Comparison(fleet_state, options), {}
    if inputs is not None and registry is not None:
        comparer = Comparer(fleet_state.fleet.name, roots, transport, inputs, registry)
        contents = comparer.compare(comparison.comparable())
    report = comparison.report(contents)
    problems = DriftNotes(fleet_state.fleet.name, roots, transport, on_event).write(report.notes)
    return replace(report, plan=replace(report.plan, warnings=(*report.plan.warnings, *map(Notice, problems))))
