"""The parts of a record that are read from the running stack; ``extensions/records.py`` has the rest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sandboxer.model.observed import ObservedDirectory
from sandboxer.model.record import Record, Service, WorkspaceFiles
from sandboxer.reconcile.drift import drift
from sandboxer.reconcile.observed_sandbox import ObservedSandbox

_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
_ABSURD = 10**15  # a record's numbers have at most 16 digits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandboxer.extensions.compose_ssh.policy import Service as DesiredService
    from sandboxer.extensions.compose_ssh.workspace import Workspace
    from sandboxer.model.observed import Container, FileSums, Resource


def anonymous_volumes(containers: Iterable[Container]) -> frozenset[str]:
    """Return the volumes of these containers that have no name of ours, and so no label either."""
    return frozenset(name for container in containers for name in container.volumes if _ANONYMOUS.fullmatch(name))


def what_runs(
    project: str,
    desired: Iterable[DesiredService],
    containers: Iterable[Container],
    *,
    former_volumes: frozenset[str] = frozenset(),
) -> Mapping[str, Any]:
    """Return the parts of a record that are read from the containers after an apply.

    Later observations are compared with them. Networks and volumes are those that the containers use: no engine creates
    others, and to list them takes two calls. ``former_volumes`` are anonymous ones that may no longer be in use: they
    are deleted with the sandbox, as all volumes are, and no label identifies them.
    """
    by_service: dict[str, list[Container]] = {}
    for container in containers:
        if not container.one_off:
            by_service.setdefault(container.service, []).append(container)
    services = {}
    for service in desired:
        own = by_service.get(service.name, [])
        done = bool(own) and all(c.state == "exited" and c.exit_code == 0 for c in own)
        services[service.name] = Service(
            config_hash=own[0].config_hash if own else "",
            image_id=own[0].image_id if own else "",
            replicas=len(own),
            one_shot=service.one_shot,
            completed=done,
        )
    used = [container for own in by_service.values() for container in own]
    networks = {name for container in used for name in container.networks if name.startswith(f"{project}_")}
    volumes = {name for container in used for name in container.volumes}
    anonymous = anonymous_volumes(used)
    return {
        "services": services,
        "networks": tuple(sorted(networks)),
        "volumes": tuple(sorted(volumes - anonymous)),
        "anonymous_volumes": tuple(sorted(anonymous | former_volumes)),
    }


def delivered(sums: FileSums | None) -> WorkspaceFiles | None:
    """Return the delivered files as a record holds them.

    Return None if they are unknown, or if somebody set absurd times.
    """
    if sums is None or max(abs(sums.bytes), abs(sums.seconds)) >= _ABSURD:
        return None
    return WorkspaceFiles(files=sums.files, bytes=sums.bytes, seconds=sums.seconds)


def undisturbed(
    record: Record, containers: tuple[Container, ...], resources: tuple[Resource, ...], *, workspace: Workspace
) -> bool:
    """Return whether what runs matches the record; call under the lock."""
    there = record.inputs is None or record.inputs.digest.removeprefix("sha256:") in workspace.trees
    found = ObservedDirectory(record.id, record, has_workspace=there, files=workspace.total)
    return not drift(ObservedSandbox(record.host, record.id, found, containers, resources))
