"""Reads the output of a host's engines into values: Docker by its API or its client, Podman by its client."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, get_args

from sandboxer.extensions.compose_ssh.labels import (
    COMPOSE_CONFIG_HASH,
    COMPOSE_IMAGE,
    COMPOSE_NUMBER,
    COMPOSE_ONE_OFF,
    COMPOSE_PROJECT,
    COMPOSE_SERVICE,
    LABEL_CONFIG,
    service_fields,
)
from sandboxer.model.identity import (
    LABEL_CLEANER,
    LABEL_FLEET,
    LABEL_ID,
    LABEL_NAME,
    LABEL_ORIGIN,
    LABEL_ROOT,
    LABEL_UID,
    LABEL_UNTIL,
    Ownership,
)
from sandboxer.model.observed import Container, ContainerState, Engine, EngineObservation, Port, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sandboxer.hosts.sections import Sections

#: The engines, by the names of their commands.
ENGINES: tuple[Engine, ...] = ("docker", "podman")
#: The labels that are read here. Any other label of a container is a stranger's text, of any length.
NAMED_LABELS = (
    LABEL_FLEET,
    LABEL_ID,
    LABEL_UID,
    LABEL_NAME,
    LABEL_ROOT,
    LABEL_ORIGIN,
    LABEL_UNTIL,
    LABEL_CLEANER,
    LABEL_CONFIG,
    COMPOSE_PROJECT,
    COMPOSE_SERVICE,
    COMPOSE_NUMBER,
    COMPOSE_ONE_OFF,
    COMPOSE_CONFIG_HASH,
    COMPOSE_IMAGE,
)
#: Characters of a name or a label; ``engine.sh`` cuts there too.
LONGEST = 512

_IDENTIFIER = re.compile(rb'\{"id":"([0-9a-f]+)"')
_KILLED, _TOO_MUCH = ("124", "137", "143"), "76"
_STATES = frozenset(get_args(ContainerState))
_ENDED = re.compile(r"Exited \((\d+)\)")
_HEALTH = re.compile(r"\((?:health: )?(starting|healthy|unhealthy)\)")


def read_engine(engine: Engine, sections: Sections, stderr: bytes = b"") -> EngineObservation | None:
    """Return the observation of one engine; None if it was not queried. ``stderr`` may hold its error message.

    A container that is listed and not described, or whose description cannot be understood, is unreadable by itself.
    """
    bodies: dict[str, bytes] = {}
    answered = requested = False
    failed = ""
    restarts: dict[str, int] = {}
    remaining = iter(("networks", "volumes", "nothing"))  # what the API is queried for after the containers
    for name, argument, body in sections:
        if argument.split(" ")[0] == engine:
            requested = requested or name == "engine"
            answered = answered or name == "engine-answered"
            failed = argument if name == "engine-failed" else failed
            restarts |= _restarts(body) if name == "restarts" else {}
            # Of a list that was requested again, the last output counts.
            bodies[next(remaining, "nothing") if name == "next" else name] = body
    if not requested:
        return None
    if not answered:
        complaint = _complaint(failed.split(" "), stderr)
        return EngineObservation(engine, error=complaint, denied=is_denied(complaint))
    try:
        if "api-containers" in bodies:
            items = json.loads(bodies["api-containers"])
            if not isinstance(items, list):
                raise TypeError("no list")
            containers = [_from_api(item, restarts) for item in items]
        else:
            containers = _from_client(engine, bodies["containers"], bodies.get("described", b""))
        resources = [
            *(_resource("network", engine, item) for item in _items(bodies.get("networks", b""))),
            *(_resource("volume", engine, item) for item in _items(bodies.get("volumes", b""))),
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return EngineObservation(engine, error=f"invalid response: {error!r}"[:300])
    return EngineObservation(engine, None, tuple(containers), tuple(resources))


def is_denied(complaint: str) -> bool:
    """Return whether an engine's error says that the login may not use it: it may run all the same."""
    return "permission denied" in complaint.lower()


def _complaint(failed: list[str], stderr: bytes) -> str:
    """Return why an engine did not answer: ``failed`` holds its name, its command, and the exit code."""
    code = failed[2] if len(failed) > 2 else ""
    if code in _KILLED:
        return f"`{failed[0]} {failed[1]}` did not end in time, and was killed"
    if code == _TOO_MUCH:
        return f"`{failed[0]} {failed[1]}` printed too much"
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "the command failed"


def _items(body: bytes) -> list[dict[str, Any]]:
    """Return what an engine lists: one object a line, as templates print it, one JSON list, or Docker's volumes."""
    text = body.strip()
    if text.startswith(b"["):
        return json.loads(text)  # type: ignore[no-any-return]
    if text.startswith(b'{"Volumes"'):
        return json.loads(text)["Volumes"] or []
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def _lines(body: bytes) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Yield the objects of lines, each with its id.

    The object is None if it is broken, truncated, or not an object at all.
    """
    for line in body.split(b"\n"):
        found = _IDENTIFIER.match(line)
        if found is None:
            continue  # an empty line, or one that is not a container's
        try:
            item = json.loads(line)
        except (ValueError, RecursionError):
            item = None
        yield found[1].decode(), item if isinstance(item, dict) else None


def _from_client(engine: Engine, listed: bytes, described: bytes) -> list[Container]:
    """Return containers as the engine's client lists them, with details of those of the fleet as it describes them."""
    details = dict(_lines(described))
    containers = []
    for identifier, item in _lines(listed):
        try:
            name, labels = str(item["name"]), _named(item["labels"])  # type: ignore[index]
        except (KeyError, TypeError, AttributeError):
            # All of ours have labels that we wrote, which are short and plain.
            name, labels = identifier, {}
        name = next((one for one in name.split(",") if "/" not in one), identifier)
        if labels.get(LABEL_ID):
            containers.append(_described(engine, identifier, name, labels, details.get(identifier)))
        else:
            containers.append(_stranger(engine, identifier, name, labels))
    return containers


def _described(
    engine: Engine, identifier: str, name: str, labels: dict[str, str], item: dict[str, Any] | None
) -> Container:
    try:
        if item is None:
            raise ValueError
        state = {
            "Status": item["status"],
            "ExitCode": item["exit_code"],
            "Health": item["health"],
            "Restarts": item.get("restarts"),
        }
        networks = {str(network): address for network, address in item["networks"][:-1]}
        ports = [Port(*_port(port), str(address), int(number)) for port, address, number in item["ports"][:-1]]
        volumes = item["volumes"][:-1]
        image, image_id, more = item["image"], item["image_id"], labels | _named(item["labels"])
        return _container(engine, identifier, name, image, image_id, state, more, networks, ports, volumes)
    except (ValueError, KeyError, TypeError, AttributeError):
        return _unreadable(engine, identifier, name, labels)


def _restarts(body: bytes) -> dict[str, int]:
    """Return how often containers were restarted, by ID: lines of both."""
    found = (line.split() for line in body.splitlines())
    return {pair[0].decode(): int(pair[1]) for pair in found if len(pair) == 2 and pair[1].isdigit()}


def _from_api(item: dict[str, Any], restarts: Mapping[str, int]) -> Container:
    """Return a container as Docker's API lists it.

    Its exit code and health are only in the text that ``docker ps`` shows, and ``restarts`` not even there.
    """
    identifier = str(item["Id"])
    try:
        name = next((name for name in item["Names"] if name.count("/") == 1), identifier).removeprefix("/")
        labels = _named(item["Labels"] or {})
    except (KeyError, TypeError, AttributeError):
        name, labels = identifier, {}
    if not labels.get(LABEL_ID):
        return _stranger("docker", identifier, name, labels)
    try:
        status = item["Status"]
        ended, health = _ENDED.match(status), _HEALTH.search(status)
        state = {
            "Status": item["State"],
            "ExitCode": int(ended[1]) if ended else 0,
            "Health": health[1] if health else "",
            "Restarts": restarts.get(identifier),
        }
        ports = [
            Port(int(port["PrivatePort"]), port["Type"], port["IP"], int(port["PublicPort"]))
            for port in item.get("Ports") or ()
            if port.get("PublicPort")
        ]
        given = (item.get("NetworkSettings") or {}).get("Networks") or {}
        networks = {str(network): (each or {}).get("IPAddress") for network, each in given.items()}
        volumes = [mount["Name"] for mount in item.get("Mounts") or () if mount.get("Type") == "volume"]
        image, image_id = item["Image"], item["ImageID"]
        return _container("docker", identifier, name, image, image_id, state, labels, networks, ports, volumes)
    except (ValueError, KeyError, TypeError, AttributeError):
        return _unreadable("docker", identifier, name, labels)


def _named(labels: Mapping[str, Any]) -> dict[str, str]:
    """Return the used labels, cut to a template's length, without empty ones: a template prints those of no label."""
    return {key: str(labels[key])[:LONGEST] for key in NAMED_LABELS if labels.get(key)}


def _stranger(engine: Engine, identifier: str, name: str, labels: dict[str, str]) -> Container:
    """Return a container of somebody else: only its name, and the labels that say what it belongs to."""
    fields = service_fields(labels, name[:LONGEST])
    return Container(identifier, name[:LONGEST], engine, "", "", "unknown", 0, None, labels, **fields)


def _unreadable(engine: Engine, identifier: str, name: str, labels: dict[str, str]) -> Container:
    reason = f"cannot parse the {engine} description of container {identifier[:12]}"
    fields = service_fields(labels, name[:LONGEST])
    return Container(
        identifier, name[:LONGEST], engine, "", "", "unknown", 0, None, labels, unreadable=reason, **fields
    )


def _container(
    engine: Engine,
    identifier: str,
    name: str,
    image: str,
    image_id: str,
    state: dict[str, Any],
    labels: dict[str, str],
    networks: Mapping[str, str | None],
    ports: Iterable[Port],
    volumes: Iterable[str],
) -> Container:
    status = str(state["Status"])
    health = str(state["Health"] or "").lower()
    words: dict[str, ContainerState] = {"initialized": "created", "configured": "created", "stopped": "exited"}
    return Container(
        id=identifier,
        name=name[:LONGEST],
        engine=engine,
        image=str(image)[:LONGEST],
        image_id=str(image_id).removeprefix("sha256:"),
        state=words.get(status, status if status in _STATES else "unknown"),  # type: ignore[arg-type]
        exit_code=int(state["ExitCode"]),
        health=health if health in ("starting", "healthy", "unhealthy") else None,  # type: ignore[arg-type]
        labels=labels,
        addresses={network: address for network, address in networks.items() if address},
        ports=tuple(ports),
        volumes=tuple(sorted(str(volume) for volume in volumes)),
        networks=tuple(sorted(networks)),
        restarts=None if state["Restarts"] is None else int(state["Restarts"]),
        **service_fields(labels, name[:LONGEST]),
    )


def _port(key: str) -> tuple[int, str]:
    number, _, protocol = key.partition("/")
    return int(number), protocol or "tcp"


def _resource(kind: Any, engine: Engine, item: dict[str, Any]) -> Resource:
    name = item.get("Name") or item["name"]
    labels = item.get("Labels") or item.get("labels") or {}
    return Resource(kind, item.get("Id") or item.get("id") or name, name, engine, Ownership.of(labels))
