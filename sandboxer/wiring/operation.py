"""The operation for one change on one host, from the run's knowledge of both."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sandboxer.errors import SandboxerError
from sandboxer.extensions.base import Operation, Provenance, Target
from sandboxer.model.observed import Reachable
from sandboxer.wiring.hosts import compose_command_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.model.observed import HostObservation
    from sandboxer.model.plan import Change
    from sandboxer.wiring.apply_options import ApplyOptions
    from sandboxer.wiring.run import Run


def operation_for(
    run: Run,
    change: Change,
    host: str,
    observation: HostObservation,
    progress: Callable[[str], None],
    how: ApplyOptions,
) -> Operation:
    """Return the operation for ``change`` on a host, by its ``observation``.

    Raise SandboxerError if none is possible.
    """
    manifest = run.fleet.hosts[host]
    if not isinstance(observation, Reachable):
        raise SandboxerError(f"{host} was not seen")
    observed = run.observed(host, change.id, {host: observation})
    engine = (observed.engine if observed and change.action != "replace" else None) or observation.engine
    if engine is None:
        raise SandboxerError(f"{host} has no engine", hint=f"see `sandboxer doctor {host}`")
    target = Target(
        host=host,
        root=manifest.spec.root,
        transport=run.transport(host),
        engine=engine,
        compose_command=compose_command_of(manifest),
        cpus=observation.cpus,
        memory_bytes=observation.memory_bytes,
        holder=run.holder,
        lock_timeout=how.lock_timeout,
        capacity=manifest.spec.capacity.sandboxes,
    )
    return Operation(
        target=target,
        fleet=run.fleet.name,
        id=change.id,
        name=change.sandbox,
        reason=change.reason.value,
        expected_generation=observed.generation if observed else 0,
        expected_uid=observed.uid if observed else "",
        inputs=run.inputs,
        provenance=Provenance(run.fleet.root_commit, run.fleet.commit, run.fleet.committed_at),
        progress=progress,
        clock=lambda: run.now().replace(microsecond=0),
        told=partial(run.reporter.told, host),
        keeps_journal=run.has_hub,
        only_requested=how.only_requested,
        lives=tuple(sorted({owner.uid for owner in observed.owners()})) if observed and not observed.record else (),
    )
