"""What the engines of a host said, read into values: Docker by its API or its client, Podman by its client."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, get_args

from sandboxer.model.identity import Ownership
from sandboxer.model.observed import Container, ContainerState, Engine, EngineLook, Port, Resource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandboxer.extensions.compose_ssh.sections import Sections

_STATES = frozenset(get_args(ContainerState))
_ENDED = re.compile(r"Exited \((\d+)\)")
_HEALTH = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")


def read_engine(engine: Engine, sections: Sections, stderr: bytes = b"") -> EngineLook | None:
    """What one engine said; None where it was not asked. ``stderr`` is where its complaint would be."""
    bodies: dict[str, bytes] = {}
    answered = asked = False
    following = iter(("networks", "volumes", "nothing"))  # what the API is asked for after the containers
    for name, argument, body in sections:
        if argument.split(" ")[0] == engine:
            asked = asked or name == "engine"
            answered = answered or name == "engine-answered"
            # A list that was asked for again counts as it came last.
            bodies[next(following, "nothing") if name == "next" else name] = body
    if not asked:
        return None
    if not answered:
        said = stderr.decode("utf-8", "replace").strip().splitlines()
        return EngineLook(engine, error=said[-1][:300] if said else "its command failed")
    if "api-containers" in bodies:
        containers = [_from_api(item) for item in json.loads(bodies["api-containers"])]
    else:
        read = _from_docker if engine == "docker" else _from_podman
        containers = [read(item) for item in _items(bodies["containers"])]
    resources = [
        *(_resource("network", engine, item) for item in _items(bodies.get("networks", b""))),
        *(_resource("volume", engine, item) for item in _items(bodies.get("volumes", b""))),
    ]
    return EngineLook(engine, None, tuple(containers), tuple(resources))


def _items(body: bytes) -> list[dict[str, Any]]:
    """What an engine lists: an object a line, as templates are written; one list; or Docker's answer about volumes."""
    text = body.strip()
    if text.startswith(b"["):
        return json.loads(text)  # type: ignore[no-any-return]
    if text.startswith(b'{"Volumes"'):
        return json.loads(text)["Volumes"] or []
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _from_docker(item: dict[str, Any]) -> Container:
    """A container as our template has ``docker inspect`` print it."""
    return _container(
        "docker", item["id"], item["name"], item["image"], item["image_id"], item["state"], item["labels"], item
    )


def _from_podman(item: dict[str, Any]) -> Container:
    """A container as ``podman inspect`` prints it."""
    settings = item.get("NetworkSettings") or {}
    details = {"networks": settings.get("Networks"), "ports": settings.get("Ports"), "mounts": item.get("Mounts")}
    image, labels = item.get("ImageName") or "", item["Config"]["Labels"]
    return _container("podman", item["Id"], item["Name"], image, item["Image"], item["State"], labels, details)


def _from_api(item: dict[str, Any]) -> Container:
    """A container as Docker's API lists it. Exit code and health stand only in the words that ``docker ps`` shows."""
    status = item["Status"]
    ended, health = _ENDED.match(status), _HEALTH.search(status)
    state = {
        "Status": item["State"],
        "ExitCode": int(ended[1]) if ended else 0,
        "Health": {"Status": health[1] if health else ""},
    }
    bindings: dict[str, list[dict[str, Any]]] = {}
    for port in item.get("Ports") or ():
        if port.get("PublicPort"):
            binding = {"HostIp": port["IP"], "HostPort": port["PublicPort"]}
            bindings.setdefault(f"{port['PrivatePort']}/{port['Type']}", []).append(binding)
    networks = (item.get("NetworkSettings") or {}).get("Networks")
    details = {"networks": networks, "ports": bindings, "mounts": item.get("Mounts")}
    name = next((name for name in item["Names"] if name.count("/") == 1), item["Id"])
    return _container("docker", item["Id"], name, item["Image"], item["ImageID"], state, item["Labels"], details)


def _container(
    engine: Engine,
    identifier: str,
    name: str,
    image: str,
    image_id: str,
    state: dict[str, Any],
    labels: dict[str, str] | None,
    details: Mapping[str, Any],
) -> Container:
    status = str(state["Status"])
    health = ((state.get("Health") or state.get("Healthcheck") or {}).get("Status") or "").lower()
    words: dict[str, ContainerState] = {"initialized": "created", "configured": "created", "stopped": "exited"}
    return Container(
        id=identifier,
        name=name.removeprefix("/"),
        engine=engine,
        image=image,
        image_id=image_id.removeprefix("sha256:"),
        state=words.get(status, status if status in _STATES else "unknown"),  # type: ignore[arg-type]
        exit_code=int(state["ExitCode"]),
        health=health if health in ("starting", "healthy", "unhealthy") else None,  # type: ignore[arg-type]
        labels=labels or {},
        addresses={
            network: given["IPAddress"]
            for network, given in (details["networks"] or {}).items()
            if given and given.get("IPAddress")
        },
        ports=tuple(_ports(details["ports"] or {})),
        volumes=tuple(sorted(mount["Name"] for mount in details["mounts"] or () if mount.get("Type") == "volume")),
        networks=tuple(sorted(details["networks"] or ())),
    )


def _ports(ports: Mapping[str, Any]) -> Iterator[Port]:
    for key, bindings in ports.items():
        number, _, protocol = key.partition("/")
        for binding in bindings or ():
            yield Port(int(number), protocol or "tcp", binding["HostIp"], int(binding["HostPort"]))


def _resource(kind: Any, engine: Engine, item: dict[str, Any]) -> Resource:
    name = item.get("Name") or item["name"]
    labels = item.get("Labels") or item.get("labels") or {}
    return Resource(kind, item.get("Id") or item.get("id") or name, name, engine, Ownership.of(labels))
