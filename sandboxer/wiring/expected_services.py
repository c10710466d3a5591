"""What an apply is expected to do with the services of the sandboxes that a plan changes, for those who review it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.errors import ExtensionError, InputUnavailable
from sandboxer.extensions.capabilities import ExpectRequest, SupportsExpectedServices
from sandboxer.model.lifecycle import Action
from sandboxer.model.service_operation import ExpectedServices
from sandboxer.profiles.applied import NotAsAppliedError, as_applied, workspace_path

if TYPE_CHECKING:
    from sandboxer.adapters.local import LocalTransport
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.plan import Change
    from sandboxer.model.protocols import InputTree
    from sandboxer.model.record import Record
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox
    from sandboxer.wiring.planning import Planned
    from sandboxer.wiring.source import FleetSource

_ACTIONS = (Action.UPDATE, Action.REPLACE, Action.REPAIR)
_AT_ONCE = 4
_LOCAL = "this machine"


def with_expected_services(planned: Planned, source: FleetSource) -> Planned:
    """Return the plan with what an apply is expected to do with each service of what it updates, replaces or repairs.

    Read git; a backend may also run its own tool on this machine, where it can be confined. Raise nothing: where
    nothing is known, the plan has the reason.
    """
    from sandboxer.adapters.local import LocalTransport

    changes = planned.plan.changes
    if not any(change.action in _ACTIONS for change in changes):
        return planned
    with closing(LocalTransport(_LOCAL)) as local, ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="expect") as pool:
        return planned.with_changes(pool.map(lambda change: _with_services(change, planned, source, local), changes))


def _with_services(change: Change, planned: Planned, source: FleetSource, local: LocalTransport) -> Change:
    observed = planned.observations.sandbox(change.from_host or change.host or "", change.id)
    desired = planned.observations.fleet.sandboxes.get(change.sandbox)
    if change.action not in _ACTIONS or observed is None or desired is None or desired.id != change.id:
        return change
    try:
        extension = source.registry().get(desired.profile.spec.extension)
    except ExtensionError:
        return change
    if observed.record is None or desired.tree is None or not isinstance(extension, SupportsExpectedServices):
        return change
    handed_over = observed.record.extension != desired.profile.spec.extension
    request = ExpectRequest(
        former=None,
        desired=desired,
        observed=observed,
        inputs=source.inputs(),
        elsewhere=change.from_host is not None or handed_over,
        local=local,
    )
    try:
        if change.action is not Action.REPLACE:
            request = replace(request, former=_former(observed, observed.record, desired, desired.tree, source))
    except (InputUnavailable, NotAsAppliedError) as error:
        hint = error.hint if isinstance(error, InputUnavailable) else ""
        return replace(change, expected=ExpectedServices(unknown=str(error), hint=hint))
    return replace(change, expected=extension.expected_services(request))


def _former(
    observed: ObservedSandbox, record: Record, desired: DesiredSandbox, tree: InputTree, source: FleetSource
) -> DesiredSandbox:
    """Return the sandbox as applied. Raise InputUnavailable or NotAsAppliedError if that is not known."""
    if record.inputs is None:
        raise NotAsAppliedError("no files of the applied version are on record")
    for container in observed.containers:
        service = record.services.get(container.service)
        if service is not None and not container.one_off and container.config_hash != service.config_hash:
            raise NotAsAppliedError("containers are not as the last successful apply left them")
    return as_applied(record, desired, source.inputs().at(tree, record.inputs.commit, workspace_path(record)))
