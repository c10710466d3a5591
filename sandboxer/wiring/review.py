"""What a plan shows to those who review it, beyond what it decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.wiring.expected_services import with_expected_services
from sandboxer.wiring.input_changes import with_input_changes

if TYPE_CHECKING:
    from sandboxer.model.plan import Plan
    from sandboxer.wiring.planning import Planned
    from sandboxer.wiring.source import FleetSource


def for_review(planned: Planned, source: FleetSource) -> Plan:
    """Return the plan with what changed in the files of each sandbox, and what happens to its services.

    Raise nothing, and change nothing: no decision depends on it.
    """
    return with_input_changes(with_expected_services(planned, source), source.inputs())
