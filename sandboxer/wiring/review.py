"""What a plan has for those who review it, beyond what the planner decided: read from git, once it is made.

``sandboxer plan``, the question of an apply, and the library's plan call it. Nothing is decided by what it adds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.wiring.environment import with_environment
from sandboxer.wiring.expected_services import with_expected_services
from sandboxer.wiring.input_changes import with_input_changes

if TYPE_CHECKING:
    from sandboxer.wiring.planning import Planned
    from sandboxer.wiring.source import FleetSource


def for_review(planned: Planned, source: FleetSource, *, diff: bool = False) -> Planned:
    """Return the same with a plan that shows what changes in each sandbox's input, environment and services.

    With ``diff`` it has the text of the files that changed. Raise nothing: where something is not known, the plan has
    the reason.
    """
    seen = replace(planned, plan=with_input_changes(planned, source.inputs(), diff=diff))
    seen = replace(seen, plan=with_environment(seen, source.repository()))
    return with_expected_services(seen, source)
