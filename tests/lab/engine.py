"""The container engine of a host: whether it answers, loading an image, and the ways in which an engine stops."""

from __future__ import annotations

import http.client
import json
import socket
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

from tests.lab.errors import LabError, wait_until
from tests.lab.host import DOCKER, PODMAN

if TYPE_CHECKING:
    from tests.lab.host import LabHost

StopMode = Literal["kill", "stop", "freeze"]

# $1 is the signal. The daemon's own file names its process.
_SIGNAL = 'kill -s "$1" "$(cat /run/docker.pid)"'
_ENDED = 'pid=$(cat /run/docker.pid 2>/dev/null) || exit 0; ! kill -0 "$pid" 2>/dev/null'
_START = "setsid dockerd </dev/null >>/var/log/dockerd.log 2>&1 & echo $!"


class _Connection(http.client.HTTPConnection):
    """HTTP connection to an engine's socket."""

    def __init__(self, host: LabHost, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = str(host.docker_socket)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(self._path)
        except OSError:
            self.sock.close()
            raise


def answers(host: LabHost) -> bool:
    """Return whether Docker Engine answers on the host; raise LabError if the host itself has ended."""
    host.init()
    try:
        return _request(host, "GET", "/_ping", timeout=2)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def ask(host: LabHost, path: str) -> Any:
    """Return the answer of Docker Engine's API, at a tenth of the client's cost; raise LabError if there is none."""
    try:
        status, answer = _request(host, "GET", path, timeout=60)
    except (OSError, http.client.HTTPException) as error:
        raise LabError(f"{host.name}: Docker Engine: {path}: {error}{host.last_words()}") from error
    if status != 200:
        raise LabError(f"{host.name}: Docker Engine: {path}: {status}: {answer.decode(errors='replace')}")
    return json.loads(answer)


def containers(host: LabHost, label: str) -> list[dict[str, Any]] | None:
    """Return Docker Engine's description of every container with a label; None if one went meanwhile."""
    query = urlencode({"all": "1", "filters": json.dumps({"label": [label]})})
    listed = ask(host, f"/containers/json?{query}")
    try:
        return [ask(host, f"/containers/{item['Id']}/json") for item in listed]
    except LabError:
        return None


def load(host: LabHost, archive: bytes) -> None:
    """Load an image into each engine of the host."""
    if DOCKER in host.engines:
        status, answer = _request(host, "POST", "/images/load?quiet=1", body=archive, timeout=60)
        if status != 200 or b"errorDetail" in answer:
            raise LabError(f"{host.name}: Docker did not load the image: {answer.decode(errors='replace')}")
    if PODMAN in host.engines:
        host.execute(["podman", "load", "--quiet"], input=archive)


def stop(host: LabHost, mode: StopMode) -> None:
    """Stop Docker Engine: ``kill``: containers continue; ``stop``: they stop too; ``freeze``: it hangs."""
    _docker_only(host)
    signal = {"kill": "KILL", "stop": "TERM", "freeze": "STOP"}[mode]
    host.execute(["sh", "-c", _SIGNAL, "sh", signal])
    if mode != "freeze":
        ended = ["sh", "-c", _ENDED]
        wait_until(
            lambda: host.execute(ended, check=False).returncode == 0, seconds=40, what=f"{host.name}: the engine's end"
        )


def start(host: LabHost) -> None:
    """Start Docker Engine again, however it was stopped, and wait until it answers."""
    _docker_only(host)
    daemon = ""
    if host.execute(["sh", "-c", _ENDED], check=False).returncode == 0:
        daemon = host.execute(["sh", "-c", _START]).stdout.strip()
    else:
        host.execute(["sh", "-c", _SIGNAL, "sh", "CONT"])

    def ready() -> bool:
        if daemon and host.execute(["kill", "-0", daemon], check=False).returncode != 0:
            raise LabError(f"{host.name}: Docker Engine did not start{host.last_words()}")
        return answers(host)

    wait_until(ready, seconds=60, what=f"{host.name}: the engine's answer")


def _docker_only(host: LabHost) -> None:
    if DOCKER not in host.engines:
        raise LabError(f"{host.name} has Podman alone, and Podman has no daemon to stop or start")


def _request(host: LabHost, method: str, path: str, *, timeout: float, body: bytes | None = None) -> tuple[int, bytes]:
    connection = _Connection(host, timeout)
    try:
        connection.request(method, path, body=body, headers={"Content-Type": "application/x-tar"} if body else {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
