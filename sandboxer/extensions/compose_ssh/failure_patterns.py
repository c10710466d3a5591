"""What engines, registries and Compose say when something fails, and the code that stands for it.

Each row has the source of its words. Where several match, the first row counts: what is specific stands first.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sandboxer.extensions.failures import DISK_FULL


class _Row(NamedTuple):
    code: str
    words: re.Pattern[str]
    hint: str


def _row(code: str, hint: str, *words: str) -> _Row:
    return _Row(code, re.compile("|".join(words), re.IGNORECASE), hint)


_ROWS = (
    _row(
        "disk-full",
        "free disk space on the host",
        *DISK_FULL,
    ),
    _row(
        "no-network",
        "remove unused networks on the host, or give its engine more address pools",
        r"could not find an available, non-overlapping IPv\d address pool",  # moby, libnetwork/ipams, up to 26
        r"all predefined address pools have been fully subnetted",  # moby, libnetwork/ipams/defaultipam, from 26 on
        r"could not find (?:a )?free subnet",  # containers/common, libnetwork/util (netavark and CNI)
    ),
    _row(
        "port-in-use",
        "stop what listens on the port, or use another one",
        r"port is already allocated",  # moby, libnetwork/portallocator
        r"all ports are allocated",  # moby, libnetwork/portallocator
        r"address already in use",  # strerror(EADDRINUSE): Docker's proxy, rootlessport, netavark, any server
        r"no available port",  # moby, libnetwork/portallocator, of a range
    ),
    _row(
        "pull-denied",
        "check the image's name, and log in to its registry on the host",
        r"pull access denied",  # moby, distribution/errors.go; containerd, remotes/docker, of BuildKit
        r"requested access to the resource is denied",  # distribution, registry/api/errcode
        r"no basic auth credentials",  # distribution, registry/client/auth
        r"unauthorized: ",  # distribution, registry/api/errcode
        r"unauthorized to access repository|unable to retrieve auth token",  # containers/image, docker/docker_client.go
        r"(?<!permission )denied: ",  # distribution, registry/api/errcode, of any registry
    ),
    _row(
        "image-missing",
        "check the image's name and tag",
        r"manifest unknown|manifest for \S+ not found",  # distribution, registry/api/v2; moby, distribution/errors.go
        r"no such image",  # moby, daemon/images; libpod
        r"image not known",  # containers/storage, of an image that only the host could have
    ),
    _row(
        "pull-failed",
        "check that the host reaches the registry, or use an image that it has",
        r'(?:get|head) "?https?://[^ "]+/v2/',  # moby, registry: net/http's error of a request to a registry
        r"initializing source docker://|pinging container registry",  # containers/image
        r"toomanyrequests: ",  # Docker Hub's limit of pulls
    ),
    _row(
        "bad-command",
        "check the command, the entrypoint and the health check's program of the service",
        r"executable file not found in \$PATH",  # Go, os/exec; runc and crun
        r"exec format error",  # strerror(ENOEXEC)
        r"(?:starting container process caused|unable to start container process): (?:error during container init: )?"
        r"exec: ",  # runc, libcontainer
        r"OCI runtime attempted to invoke a command that was not found",  # libpod, define/errors.go
        r"OCI permission denied",  # libpod, define/errors.go
        r"crun: (?:open )?executable",  # crun, src/libcrun/container.c
    ),
    _row(
        "engine-down",
        "start the container engine of the host",
        r"cannot connect to the docker daemon",  # docker, client/errors.go
        r"error during connect: ",  # docker, client/request.go
        r"(?:unable to|cannot) connect to podman",  # libpod, bindings/connection.go
        r"dial unix \S+: connect:",  # Go, net, of the engine's socket
        r"^unexpected EOF$|error reading from server: EOF",  # Go, io; gRPC, of a daemon that ended
    ),
    _row(
        "out-of-memory",
        "use less memory, or raise `resources.memory` of the profile",
        r"cannot allocate memory",  # strerror(ENOMEM)
    ),
)

#: Of codes that no words of an engine stand for.
_HINTS = {
    "build-failed": "repair the Dockerfile, or what it builds",
    "crash-loop": "repair the service, which ends soon after each start",
    "service-exited": "repair the service",
    "service-unhealthy": "repair the service, or its health check",
    "timeout": "fix the cause, or raise `readiness.timeout` of the profile",
}
_OF_A_BUILDER = ("disk-full", "pull-denied", "image-missing", "pull-failed", "engine-down")


def code_of(text: str) -> str | None:
    """Return the code of the failure that a text is about; None if no row of the table has its words."""
    return next((row.code for row in _ROWS if row.words.search(text)), None)


def code_of_build(text: str, last: str) -> str:
    """Return the code of a build that failed with this output, of which ``last`` is the builder's own last line.

    What a step prints is its own business, except that the disk is full.
    """
    found = code_of(last)
    if found in _OF_A_BUILDER:
        return found
    return "disk-full" if code_of(text) == "disk-full" else "build-failed"


def hint_of(code: str) -> str:
    """Return what to do about a failure with this code, as an imperative; empty if nothing specific."""
    return next((row.hint for row in _ROWS if row.code == code), _HINTS.get(code, ""))
