"""What changed in the files of the sandboxes that a plan changes, looked up in git for those who review it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.model.input_change import FormerInput
from sandboxer.profiles.applied import workspace_path

if TYPE_CHECKING:
    from sandboxer.adapters.git_inputs import GitInputs
    from sandboxer.model.plan import Change, Plan
    from sandboxer.wiring.planning import Planned

_AT_ONCE = 8  # git processes, beside which a plan has nothing else to do


def with_input_changes(planned: Planned, inputs: GitInputs, *, diff: bool = False) -> Plan:
    """Return the plan with what changed in the input of each sandbox that an apply changes, if commit or files differ.

    With ``diff`` it has the text of the files. Read only git, and raise nothing: if git cannot compare two commits, the
    plan has the reason.
    """

    def compared(change: Change) -> Change:
        observed = planned.observations.sandbox(change.from_host or change.host or "", change.id)
        desired = planned.observations.fleet.sandboxes.get(change.sandbox)
        record = observed.record if observed else None
        applied = record.inputs if record else None
        tree = desired.tree if desired else None
        if not change.acts or desired is None or tree is None or record is None or applied is None:
            return change
        if (applied.commit, applied.digest) == (tree.commit, f"sha256:{tree.digest}"):
            return change
        former = FormerInput(applied.repo, applied.commit, workspace_path(record))
        return replace(change, input=inputs.compare(tree, former, diff=diff, sensitive=desired.sensitive))

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="compare") as pool:
        return replace(planned.plan, changes=tuple(pool.map(compared, planned.plan.changes)))
