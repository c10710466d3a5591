"""The comparison of live with record: a sandbox's health, and its drift since the last apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandboxer.model.lifecycle import Health, Phase
from sandboxer.model.plan import FieldChange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.model.observed import Container, FileSums, ObservedDirectory
    from sandboxer.model.record import Record, Service, WorkspaceFiles
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox


def state_of(container: Container) -> str:
    """Return a container's state in words: ``running``, ``running (unhealthy)``, ``exited (137)``."""
    if container.state == "exited":
        return f"exited ({container.exit_code})"
    if container.state == "running" and container.health in ("unhealthy", "starting"):
        return f"running ({container.health})"
    return container.state


def drift(observed: ObservedSandbox) -> tuple[FieldChange, ...]:
    """Return the differences from the record: old is recorded, new is observed. Without a record: a lost directory."""
    if observed.record is None:
        return (FieldChange("directory", "present", "missing"),) if observed.containers or observed.resources else ()
    return tuple(_drift(observed, observed.record))


def _drift(observed: ObservedSandbox, record: Record) -> Iterator[FieldChange]:
    if observed.found and not observed.found.has_workspace and record.inputs is not None:
        yield FieldChange("workspace", "present", "missing")
    elif observed.found and observed.is_ready and (change := _files_drift(observed.found, record.workspace_files)):
        yield change
    by_service: dict[str, list[Container]] = {}
    for container in observed.containers:
        if not container.one_off:
            by_service.setdefault(container.service, []).append(container)
    for name, service in sorted(record.services.items()):
        yield from _service_drift(f"services.{name}", service, by_service.pop(name, []))
    for name in sorted(by_service):
        yield FieldChange(f"services.{name}", None, "extra")
    # A resource beyond the record, such as a volume that an update left, does no harm, and no repair removes it.
    for kind, recorded in (("network", record.networks), ("volume", record.volumes)):
        present = {resource.name for resource in observed.resources if resource.kind == kind}
        for name in sorted(set(recorded) - present):
            yield FieldChange(f"{kind}s.{name}", "present", "missing")


def _files_drift(found: ObservedDirectory, recorded: WorkspaceFiles | None) -> FieldChange | None:
    """Return the drift of the delivered files, by their number and the sums of their sizes and times.

    None where they are unchanged, or either side is unknown.
    """
    seen = found.files
    if recorded is None or seen is None:
        return None
    old, new = _files(recorded), _files(seen)
    if old == new and recorded.seconds != seen.seconds:
        new += ", changed since"
    return FieldChange("workspace.files", old, new) if old != new else None


def _files(sums: FileSums | WorkspaceFiles) -> str:
    return f"{sums.files} file{'' if sums.files == 1 else 's'}, {sums.bytes} bytes"


def _service_drift(path: str, service: Service, containers: list[Container]) -> Iterator[FieldChange]:
    if not containers and service.completed:
        return  # it has finished, and no longer needs a container
    if not containers and service.replicas:
        yield FieldChange(path, "present", "missing")
    elif len(containers) != service.replicas:
        yield FieldChange(path, _count(service.replicas), _count(len(containers)))
    expected = "exited (0)" if service.completed else "running"
    for state in sorted({state_of(container) for container in containers if not _as_recorded(container, service)}):
        yield FieldChange(f"{path}.state", expected, state)
    for config in sorted({container.config_hash for container in containers} - {service.config_hash}):
        yield FieldChange(f"{path}.config", service.config_hash[:12], config[:12] or None)
    for image in sorted({container.image_id for container in containers} - {service.image_id}):
        yield FieldChange(f"{path}.image", service.image_id[:12], image[:12])


def _count(containers: int) -> str:
    return f"{containers} container{'' if containers == 1 else 's'}"


def _as_recorded(container: Container, service: Service) -> bool:
    if service.one_shot or service.completed:
        return container.state == "running" or (container.state == "exited" and container.exit_code == 0)
    # A health check in progress is not drift; only its verdict is.
    return container.state == "running" and container.health != "unhealthy"


def health(observed: ObservedSandbox, *, suspended: bool = False) -> Health:
    """Return the health of the containers compared with the record."""
    if suspended:
        return Health.SUSPENDED
    if observed.conflict or observed.engine_error or observed.unreadable:
        return Health.UNKNOWN
    record = observed.record
    if record is None:
        return Health.DEGRADED if observed.containers else Health.MISSING
    if record.phase in (Phase.REQUESTED, Phase.PROVISIONING, Phase.DESTROYING):
        return Health.PROGRESSING
    if not observed.containers and not all(service.completed for service in record.services.values()):
        return Health.MISSING
    if record.phase is Phase.FAILED or any(change.path.startswith("services.") for change in drift(observed)):
        return Health.DEGRADED
    if any(container.health == "starting" for container in observed.containers):
        return Health.PROGRESSING
    return Health.HEALTHY
