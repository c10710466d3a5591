"""Hardens a compose model: refuses what no sandbox may have, and removes or closes what would clash or escape.

A pure function: the same model and policy give the same result, byte for byte, so Compose's own hashes show exactly
what changed.
"""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh import ceilings, limits, networks
from sandboxer.extensions.compose_ssh.delivery import Delivery
from sandboxer.extensions.compose_ssh.findings import Findings
from sandboxer.extensions.compose_ssh.grammar import too_large, too_many, whole
from sandboxer.extensions.compose_ssh.images import Images, image_keys, images_of
from sandboxer.extensions.compose_ssh.labels import LABEL_CONFIG, LABEL_INPUTS
from sandboxer.extensions.compose_ssh.logs import logging
from sandboxer.extensions.compose_ssh.mounts import Mounts, written_to
from sandboxer.extensions.compose_ssh.names import labels, valid_name
from sandboxer.extensions.compose_ssh.policy import MAX_REPLICAS, Hardened, Service
from sandboxer.extensions.compose_ssh.process import restart_policy
from sandboxer.extensions.compose_ssh.rules import CHECKED, DROPPED, FORMS, REFUSED, plain_keys
from sandboxer.extensions.compose_ssh.scope import Scope
from sandboxer.model.jsontypes import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.extensions.compose_ssh.policy import Policy

_TOP = ("configs", "name", "networks", "secrets", "services", "version", "volumes")
_DEPLOY = ("endpoint_mode", "labels", "mode", "placement", "replicas", "resources", "restart_policy",
           "rollback_config", "update_config")  # fmt: skip
_HANDLED = frozenset({
    "build", "configs", "deploy", "env_file", "image", "labels", "networks", "scale", "secrets", "volumes",
    "volumes_from", *ceilings.KEYS,
})  # fmt: skip
# Every key that a service may have for Compose, also those that a sandbox refuses.
SERVICE_KEYS = FORMS.keys() | CHECKED.keys() | REFUSED.keys() | DROPPED | _HANDLED


def harden(model: Mapping[str, Any], policy: Policy, findings: Findings | None = None) -> Hardened:
    """Return the hardened form of a normalised compose model.

    Raise ComposeRefused with every finding; ``findings`` collects them for the caller too.
    """
    findings = Findings(policy.sandbox) if findings is None else findings
    root = Scope("", policy, findings)
    top = root.only(dict(model), _TOP)
    services = _services(top, root)
    root = replace(root, services=frozenset(services))
    delivery = Delivery(policy, services)
    delivery.copy_for_writing(written_to(services, delivery), root.at("services"))
    mounts = Mounts(top, root, delivery)
    images = images_of(services)
    published = _published(services, root)
    result = {
        name: _service(name, service, images, mounts, root.at("services").at(name)) | published.get(name, {})
        for name, service in services.items()
    }
    stack = _stack(top, result, mounts, root)
    delivery.check_copies(root.at("services"))
    findings.raise_any()
    too_large(limits.STACK, len(canonical(stack)), root.at("services"))
    findings.raise_any()
    _share_inputs(services, images.built, delivery)
    inputs = {name: digest for name in result if (digest := delivery.inputs(name)) is not None}
    for name, digest in inputs.items():
        result[name]["labels"][LABEL_INPUTS] = digest
    for service in result.values():
        service["labels"][LABEL_CONFIG] = _config_digest(service)
    hardened_services = tuple(_traits(name, service, result, podman=policy.podman) for name, service in result.items())
    if policy.podman:
        # Podman ties a container to those that podman-compose says it depends on, and would start each that has ended
        # again: a migration would run twice. So the caller that starts services keeps the order.
        for service in result.values():
            service.pop("depends_on", None)
    return Hardened(
        stack,
        delivery.binds(),
        hardened_services,
        inputs,
        delivery.secret_files(),
        tuple(sorted(images.named)),
        frozenset(images.bases),
        images.files,
    )


def _services(top: dict[str, Any], root: Scope) -> dict[str, dict[str, Any]]:
    here = root.at("services")
    given = here.mapping(top.get("services"))
    if not given:
        here.refuse("no services; define at least one")
    if too_many(limits.SERVICES, len(given), here):
        root.findings.raise_any()
    names = [name for name in sorted(given) if valid_name(name, here.at(name))]
    return {name: here.at(name).mapping(given[name]) for name in names}


def _service(name: str, service: dict[str, Any], images: Images, mounts: Mounts, scope: Scope) -> dict[str, Any]:
    service = service | mounts.environment(service, scope)
    result = {"logging": logging(None, scope)} | plain_keys(service, scope, _HANDLED)
    result |= image_keys(name, service, images, mounts, scope)
    if "build" in result:  # for the host's platform, whose base images are the ones that were checked
        result.pop("platform", None)
    result |= mounts.of(name, service, scope)
    joined = networks.membership(service, scope)
    if joined:
        result["networks"] = joined
    result |= networks.names(service, scope)
    allowed, swap = ceilings.resources(service, scope)
    if swap is not None:
        result["memswap_limit"] = str(swap)
    deploy = scope.at("deploy").only(scope.at("deploy").mapping(service.get("deploy")), _DEPLOY)
    policy = restart_policy(deploy.get("restart_policy"), scope.at("deploy").at("restart_policy"))
    result["deploy"] = {"resources": allowed} | ({"restart_policy": policy} if policy else {})
    ceilings.in_memory(result, int(allowed["limits"]["memory"]))
    replicas = _replicas(service.get("scale", deploy.get("replicas")), scope)
    if replicas != 1:
        result["scale"] = replicas
    result["labels"] = labels(service.get("labels"), scope.at("labels")) | mounts.root_labels()
    return result


def _replicas(value: Any, scope: Scope) -> int:
    number = 1 if value is None else whole(value)
    if number is None or not 0 <= number <= MAX_REPLICAS:
        scope.at("scale").refuse(f"must be a whole number from 0 to {MAX_REPLICAS}")
        return 0
    return number


def _published(services: dict[str, dict[str, Any]], root: Scope) -> dict[str, dict[str, Any]]:
    """Return the ports to publish on the host's loopback: the reachable ones, each at a port that the engine picks."""
    policy = root.policy
    ports: dict[str, set[int]] = {}
    for port in policy.ports:
        where = Scope(f"reachability.ports.{port.name}", policy, root.findings)
        if port.service not in services:
            near = difflib.get_close_matches(port.service, services, n=1)
            also = f"; did you mean `{near[0]}`?" if near else f"; choose one of: {', '.join(services)}"
            where.refuse(f"no service `{port.service}` in the compose file{also}")
        elif services[port.service].get("network_mode"):
            where.refuse(f"`{port.service}` has no network of its own; name the service whose network it shares")
        else:
            ports.setdefault(port.service, set()).add(port.port)
    if policy.egress == "deny" or policy.ingress != "loopback":
        return {}
    return {
        name: {"ports": [{"target": one, "host_ip": "127.0.0.1", "protocol": "tcp"} for one in sorted(numbers)]}
        for name, numbers in ports.items()
    }


def _stack(top: dict[str, Any], services: dict[str, Any], mounts: Mounts, root: Scope) -> dict[str, Any]:
    """Return the whole model, with those top-level entries that a service uses."""
    too_many(limits.CONTAINERS, sum(service.get("scale", 1) for service in services.values()), root.at("services"))
    declared = root.at("networks").mapping(top.get("networks"))
    joined = sorted({name for service in services.values() for name in service.get("networks", ())})
    for name in joined:
        if name not in declared and name != "default":
            root.at("networks").at(name).refuse("is used but not declared; declare it under `networks`")
    too_many(limits.NETWORKS, len(joined), root.at("networks"))
    too_many(limits.VOLUMES, len(mounts.volumes), root.at("volumes"))
    too_many(limits.SECRETS, len(mounts.secrets) + len(mounts.configs), root.at("secrets"))
    volumes = root.at("volumes").mapping(top.get("volumes"))
    stack: dict[str, Any] = {
        "networks": {name: networks.network(name, declared.get(name), root.at("networks").at(name)) for name in joined},
        "volumes": {
            name: networks.volume(name, volumes.get(name), root.at("volumes").at(name))
            for name in sorted(mounts.volumes)
        },
        "configs": {} if root.policy.podman else dict(sorted(mounts.configs.items())),
        "secrets": dict(sorted(mounts.secrets.items())),
    }
    return {"name": root.policy.project, "services": services} | {key: part for key, part in stack.items() if part}


def _share_inputs(services: dict[str, dict[str, Any]], built: dict[str, str], delivery: Delivery) -> None:
    """Count for each service what it uses through another: the image that it builds, the volumes taken from it."""
    peers: dict[str, set[str]] = {}
    for name, service in services.items():
        sources = {str(item).split(":")[0] for item in service.get("volumes_from") or ()}
        image = service.get("image") if service.get("build") is None else None
        builder = built.get(image) if isinstance(image, str) else None
        peers[name] = (sources | {builder or name}) & services.keys()
    for _ in services:
        for name, others in peers.items():
            delivery.used[name].update(*(delivery.used[other] for other in others))


def _config_digest(service: dict[str, Any]) -> str:
    """Return a digest that identifies a changed service where Compose keeps no hash of its own.

    The number of containers and their order do not count.
    """
    counted = {key: value for key, value in service.items() if key not in ("depends_on", "pull_policy", "scale")}
    return hashlib.sha256(canonical(counted)).hexdigest()[:32]


def _traits(name: str, service: dict[str, Any], services: dict[str, Any], *, podman: bool) -> Service:
    policy = service["deploy"].get("restart_policy")
    ends = service.get("restart") == "no" or (isinstance(policy, dict) and policy.get("condition") == "none")
    waited = any(_waits_for(other.get("depends_on"), name) for other in services.values())
    depended = {
        other: given
        for other, given in (service.get("depends_on") or {}).items()
        if other in services and isinstance(given, dict)
    }
    return Service(
        name,
        ends or waited,
        "build" in service,
        service.get("scale", 1),
        {other: str(given.get("condition")) for other, given in depended.items()},
        # podman-compose restarts nothing, and ends what links to a service before it recreates that service.
        frozenset(other for other, given in depended.items() if given.get("restart") is True and not podman),
        _shares(service, links=podman) & services.keys(),
    )


def _shares(service: dict[str, Any], *, links: bool) -> frozenset[str]:
    """Return the services whose network, processes or volumes a service uses; with ``links``, also linked ones."""
    modes = [str(service.get(key)) for key in ("network_mode", "ipc", "pid")]
    others = [*(service.get("volumes_from") or ()), *((service.get("links") or ()) if links else ())]
    named = [mode.removeprefix("service:") for mode in modes if mode.startswith("service:")]
    return frozenset([*named, *(str(other).split(":")[0] for other in others)])


def _waits_for(depends_on: Any, name: str) -> bool:
    dependency = depends_on.get(name) if isinstance(depends_on, dict) else None
    return isinstance(dependency, dict) and dependency.get("condition") == "service_completed_successfully"
