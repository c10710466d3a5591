"""The lab's hosts as the manifests that a fleet commits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.lab.host import LabHost


def host_manifests(hosts: Iterable[LabHost], *, root: str) -> str:
    """Return a ``kind: Host`` document for each host, with its key pinned. ``root`` is its root for sandboxes."""
    return yaml.safe_dump_all(
        (_document(host, root) for host in hosts), sort_keys=False, explicit_start=True, width=1000
    )


def _document(host: LabHost, root: str) -> dict[str, object]:
    labels = {"tier": "self-hosted", "lab": "true", "engine": host.engine}
    return {
        "apiVersion": "sandboxer.dev/v1",
        "kind": "Host",
        "metadata": {"name": host.name, "labels": labels},
        "spec": {
            "connection": "ssh",
            "address": host.address,
            "port": host.port,
            "user": host.user,
            "identityFile": host.identity_file,
            "hostKey": host.host_key,
            "root": root,
            "runtime": host.runtime,
        },
    }
