"""The Compose project of a sandbox, and its containers' labels, read into the fields that the core knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from sandboxer.model.identity import LABEL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
COMPOSE_NUMBER = "com.docker.compose.container-number"
COMPOSE_ONE_OFF = "com.docker.compose.oneoff"
COMPOSE_CONFIG_HASH = "com.docker.compose.config-hash"
COMPOSE_IMAGE = "com.docker.compose.image"
# Ours: the digests of a service's definition, and of the files that it uses.
LABEL_CONFIG = LABEL_PREFIX + "config"
LABEL_INPUTS = LABEL_PREFIX + "inputs"


def project_name(name: str, identifier: str) -> str:
    """Return the compose project of a sandbox: ``sbx-<name>-<id>``, with dashes for dots, which Compose forbids."""
    return f"sbx-{name.replace('.', '-')}-{identifier}"


class ServiceFields(TypedDict):
    """The fields of a Container that are in Compose's labels."""

    service: str
    replica: int
    config_hash: str
    one_off: bool
    project: str


def service_fields(labels: Mapping[str, str], name: str) -> ServiceFields:
    """Return the fields of a container with these labels; without a label of a service, that is its ``name``.

    The hash is Compose's own, else ours: podman-compose has none.
    """
    number = labels.get(COMPOSE_NUMBER, "")
    return ServiceFields(
        service=labels.get(COMPOSE_SERVICE) or name,
        replica=int(number) if number.isdecimal() and len(number) < 10 else 1,
        config_hash=labels.get(COMPOSE_CONFIG_HASH) or labels.get(LABEL_CONFIG, ""),
        one_off=labels.get(COMPOSE_ONE_OFF, "").lower() == "true",
        project=labels.get(COMPOSE_PROJECT, ""),
    )
