"""Decides what happens to each service of a stack, and why: pure functions of what exists and what is desired.

``Stack`` runs the list and decides nothing. The rules are those of `docker compose up`, which compares a definition's
hash and an image's ID, and those that Compose does not know: a mount that holds a removed file, a service that runs and
is unhealthy, a one-shot that ended well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.labels import COMPOSE_IMAGE, LABEL_CONFIG, LABEL_INPUTS
from sandboxer.model.jsontypes import canonical
from sandboxer.model.service_operation import ServiceOperation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandboxer.extensions.compose_ssh.policy import Hardened
    from sandboxer.model.observed import Container
    from sandboxer.model.record import Record

_CONTENT = re.compile(r"/workspace/(?:bind|bind-rw|bind-as|context|dockerfile)/[0-9a-f]{64}/")
_STOPPED = ("created", "exited", "restarting")
_DEAD = ("dead", "removing")


@dataclass(frozen=True, slots=True)
class DesiredService:
    """A service as it should be. ``image_id`` is what its image's name stands for on the host; empty if not known.

    ``shares`` are the services whose network, processes or volumes it uses: new containers there need new ones here.
    ``restarts_with`` are those whose recreation stops it and starts it again.
    """

    name: str
    config: str
    image_id: str = ""
    replicas: int = 1
    one_shot: bool = False
    shares: frozenset[str] = frozenset()
    restarts_with: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ObservedStack:
    """What exists under the lock. ``recorded`` are the services of the record, ``unpaused`` IDs of containers.

    ``put_back`` are services with a mounted file that was missing, and ``changed`` says what about a service changed
    since the last apply, where that is known. ``replaced`` says that all containers were removed for a new life.
    """

    containers: tuple[Container, ...]
    recorded: frozenset[str] = frozenset()
    unpaused: frozenset[str] = frozenset()
    put_back: frozenset[str] = frozenset()
    changed: Mapping[str, str] = field(default_factory=dict)
    replaced: bool = False


def plan_services(observed: ObservedStack, desired: Iterable[DesiredService]) -> tuple[ServiceOperation, ...]:
    """Return what happens to each service that is there or desired, by name."""
    services = {service.name: service for service in desired}
    there = by_service(observed.containers)
    operations = {name: _operation(one, there.get(name, []), observed) for name, one in services.items()}
    _follow(operations, services)
    undesired = {name: ServiceOperation(name, "remove", "undesired") for name in there.keys() - services.keys()}
    return tuple(operation for _, operation in sorted((operations | undesired).items()))


def kept_services(record: Record) -> tuple[ServiceOperation, ...]:
    """Return what happens to the services of a record where only the record itself changes: nothing."""
    return tuple(
        ServiceOperation(name, "keep", "finished" if service.completed else "unchanged")
        for name, service in sorted(record.services.items())
    )


def by_service(containers: Iterable[Container]) -> dict[str, list[Container]]:
    """Return the containers of each service, without one-off containers that a person runs beside them."""
    found: dict[str, list[Container]] = {}
    for container in containers:
        if not container.one_off:
            found.setdefault(container.service, []).append(container)
    return found


def finished(service: DesiredService, containers: Iterable[Container]) -> bool:
    """Return whether a one-shot service ended well and did not change: to start it would run it again."""
    return service.one_shot and any(
        (c.state, c.exit_code) == ("exited", 0) and c.labels.get(LABEL_CONFIG) == service.config for c in containers
    )


def _operation(service: DesiredService, containers: list[Container], observed: ObservedStack) -> ServiceOperation:
    def operation(action: Any, cause: str) -> ServiceOperation:
        return ServiceOperation(service.name, action, cause)

    if not service.replicas:
        return operation("remove", "replicas") if containers else operation("keep", "unchanged")
    if observed.replaced and containers:
        return operation("recreate", "replace")
    if not containers:
        return operation("create", "missing" if service.name in observed.recorded else "new")
    if finished(service, containers):
        return operation("keep", "finished")
    if stale := _stale(service, containers, observed):
        return operation("recreate", stale)
    if len(containers) != service.replicas:
        return operation("create" if len(containers) < service.replicas else "remove", "replicas")
    stopped = next((container.state for container in containers if container.state in _STOPPED), None)
    if stopped is not None:
        return operation("start", stopped)
    if any(container.id in observed.unpaused for container in containers):
        return operation("start", "paused")
    return operation("keep", "unchanged")


def _stale(service: DesiredService, containers: list[Container], observed: ObservedStack) -> str:
    """Return why a service's containers cannot stay; empty if they can."""
    changed = observed.changed.get(service.name, "")
    if any(service.image_id and _image_of(c) not in ("", service.image_id) for c in containers):
        return "image"
    if any(container.labels.get(LABEL_CONFIG) != service.config for container in containers):
        return changed if changed and changed != "network" else "config"
    if changed == "network":
        return "network"
    if any(container.state in _DEAD for container in containers):
        return "dead"
    if any(container.health == "unhealthy" for container in containers):
        return "unhealthy"
    return "mount" if service.name in observed.put_back else ""


def _image_of(container: Container) -> str:
    return container.labels.get(COMPOSE_IMAGE, container.image_id).removeprefix("sha256:")


def _follow(operations: dict[str, ServiceOperation], services: Mapping[str, DesiredService]) -> None:
    """Recreate what shares something with recreated containers, and restart what is to restart with them."""
    made = {
        name for name, one in operations.items() if one.action in ("create", "recreate") and one.cause != "replicas"
    }
    while True:
        dependents = {name for name, one in services.items() if one.shares & made and _leaves(operations[name], one)}
        if not dependents:
            break
        made |= dependents
        operations.update({name: ServiceOperation(name, "recreate", "dependency") for name in dependents})
    recreated = {name for name, one in operations.items() if one.action == "recreate"}
    for name, service in services.items():
        if service.restarts_with & recreated and operations[name] == ServiceOperation(name, "keep", "unchanged"):
            operations[name] = ServiceOperation(name, "start", "dependency")


def _leaves(operation: ServiceOperation, service: DesiredService) -> bool:
    """Return whether the operation leaves containers as they are that would run."""
    stays = operation.action in ("keep", "start") or operation.cause == "replicas"
    return stays and operation.cause != "finished" and service.replicas > 0


def after_refusal(
    operations: Sequence[ServiceOperation], before: Iterable[Container], now: Iterable[Container]
) -> tuple[ServiceOperation, ...] | None:
    """Return the list after Docker refused to start containers; None if it stays the same.

    The network that an old container refers to may be gone: those that do not run are recreated.
    """
    old = {container.id for container in before}
    stuck = {c.service for c in now if c.id in old and c.state != "running" and not c.one_off}
    again = tuple(
        replace(one, action="recreate", cause="refused")
        if one.service in stuck and one.action in ("keep", "start", "recreate") and one.cause != "finished"
        else one
        for one in operations
    )
    return again if again != tuple(operations) else None


# --- what is desired, and what changed


def desired_services(hardened: Hardened, images: Mapping[str, str]) -> tuple[DesiredService, ...]:
    """Return the services of a stack; ``images`` maps the names of the host's images to their IDs."""
    models = hardened.model["services"]
    return tuple(
        DesiredService(
            service.name,
            models[service.name]["labels"].get(LABEL_CONFIG, ""),
            images.get(str(models[service.name].get("image")), "").removeprefix("sha256:"),
            service.replicas,
            service.one_shot,
            service.shares,
            service.restarts_with,
        )
        for service in hardened.services
    )


def what_changed(former: Any, model: Mapping[str, Any], *, networks: bool) -> dict[str, str]:
    """Return what changed about each service between two compose files of ours: the cause, by the service's name.

    ``former`` is the file of the last apply, read from the host, and may be anything. ``networks`` says that Compose
    recreates a network whose definition changed.
    """
    services, changed = _mapping(_mapping(former).get("services")), {}
    for name, service in model["services"].items():
        before = _mapping(services.get(name))
        if not before:
            continue
        if definition(before) != definition(service):
            changed[name] = "config"
        elif _secrets(former, before) != _secrets(model, service):
            changed[name] = "secret"
        elif canonical(_unmarked(before)) != canonical(_unmarked(service)) or _label(before) != _label(service):
            changed[name] = "files"
        elif networks and any(
            _named(former, "networks", one) not in ({}, _named(model, "networks", one))
            for one in service.get("networks") or ()
        ):
            changed[name] = "network"
    return changed


def definition(service: Mapping[str, Any]) -> dict[str, Any]:
    """Return a service as it is defined, whatever the content of the files that it uses."""
    found: dict[str, Any] = json.loads(_CONTENT.sub("/", canonical(_unmarked(service)).decode()))
    return found


def _unmarked(service: Mapping[str, Any]) -> dict[str, Any]:
    labels = {
        key: value for key, value in _mapping(service.get("labels")).items() if key not in (LABEL_CONFIG, LABEL_INPUTS)
    }
    return {**service, "labels": labels}


def _label(service: Mapping[str, Any]) -> Any:
    return _mapping(service.get("labels")).get(LABEL_INPUTS)


def _secrets(model: Any, service: Mapping[str, Any]) -> list[Any]:
    given = service.get("secrets")
    names = [_mapping(one).get("source") for one in given] if isinstance(given, list) else []
    return [_named(model, "secrets", name) for name in names]


def _named(model: Any, kind: str, name: Any) -> Mapping[str, Any]:
    section = _mapping(_mapping(model).get(kind))
    return _mapping(section.get(name)) if isinstance(name, str) else {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
