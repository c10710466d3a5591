"""The operation for one change on one host, from the run's knowledge of both."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sandboxer.errors import SandboxerError
from sandboxer.extensions.base import Operation, Provenance, Target
from sandboxer.model.lifecycle import Action
from sandboxer.model.observed import Reachable
from sandboxer.wiring.hosts import compose_command_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.model.observed import Engine, HostObservation
    from sandboxer.model.plan import Change
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox
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
    engine = _engine(run, change, observed, observation)
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


def _engine(run: Run, change: Change, observed: ObservedSandbox | None, observation: Reachable) -> Engine | None:
    """Return the engine that has the sandbox; of a new life the host's, or none if its extension needs none.

    None means that one is needed, and the host has none.
    """
    if observed and observed.engine is not None and change.action is not Action.REPLACE:
        return observed.engine
    desired = next((one for one in run.fleet.sandboxes.values() if one.id == change.id), None)
    extension = desired.profile.spec.extension if desired else run.registry.first
    return observation.engine if run.registry.needs_engine(extension) else ""
