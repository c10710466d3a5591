"""The work for one change on one host, from what a run knows of both."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sandboxer.errors import SandboxerError
from sandboxer.extensions.base import Place, Provenance, Work
from sandboxer.model.observed import Reachable
from sandboxer.wiring.hosts import compose_command_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandboxer.model.observed import Look
    from sandboxer.model.plan import Change
    from sandboxer.wiring.run import ApplyOptions, Run


def work_on(
    run: Run, change: Change, host: str, look: Look, progress: Callable[[str], None], how: ApplyOptions
) -> Work:
    """The work for ``change`` on a host, as ``look`` showed it. Raises SandboxerError where none can be done."""
    manifest = run.fleet.hosts[host]
    if not isinstance(look, Reachable):
        raise SandboxerError(f"{host} was not seen")
    sight = run.sight(host, change.id, {host: look})
    engine = (sight.engine if sight and change.action != "replace" else None) or look.engine
    if engine is None:
        raise SandboxerError(f"{host} has no engine", hint=f"see `sandboxer doctor {host}`")
    place = Place(
        host=host,
        root=manifest.spec.root,
        transport=run.transport(host),
        engine=engine,
        compose_command=compose_command_of(manifest),
        cpus=look.cpus,
        memory_bytes=look.memory_bytes,
        holder=run.holder,
        lock_timeout=how.lock_timeout,
        capacity=manifest.spec.capacity.sandboxes,
    )
    return Work(
        place=place,
        fleet=run.fleet.name,
        id=change.id,
        name=change.sandbox,
        reason=change.reason.value,
        expected_generation=sight.generation if sight else 0,
        expected_uid=sight.uid if sight else "",
        inputs=run.inputs,
        provenance=Provenance(run.fleet.root_commit, run.fleet.commit, run.fleet.committed_at),
        progress=progress,
        clock=lambda: run.now().replace(microsecond=0),
        told=partial(run.reporter.told, host),
        keeps_journal=run.has_hub,
        only_requested=how.only_requested,
        lives=tuple(sorted({owner.uid for owner in sight.owners()})) if sight and not sight.record else (),
    )
