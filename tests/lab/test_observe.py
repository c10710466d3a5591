"""The observation of a host: Docker reports the same by its API and by its client."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from sandboxer.extensions.base import ObserveRequest
from sandboxer.extensions.compose_ssh.observe import engine_part
from sandboxer.hosts.observation import observe_command, read_observation
from sandboxer.hosts.scripts import script
from sandboxer.model.protocols import CommandResult
from tests.lab import IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.model.observed import EngineObservation
    from tests.lab import Lab

pytestmark = pytest.mark.lab

HOST = "lab-2"
_NO_CURL = "\ndocker_api() { return 1; }\n"


def observe_docker(lab: Lab, *, without_api: bool = False) -> EngineObservation:
    """Return what Docker on the host has, by its API where that may be used; with restarts, from the client always."""
    request = ObserveRequest(HOST, "/tmp/sandboxer", "observe-test", restarts=True)
    command, nonce = observe_command(request, engine_part(request))
    # The function is defined last before the script that observes, so that it counts.
    observe = script("sandboxer.extensions.compose_ssh:observe.sh")
    engine, rest = command.script.split(observe)
    text = engine + (_NO_CURL if without_api else "") + observe + rest
    done = lab.exec(HOST, ["sh", "-c", text], input=command.stdin.decode())
    assert ("api-containers" in done.stdout) is not without_api
    return read_observation(
        request, nonce, CommandResult(0, done.stdout.encode(), done.stderr.encode()), engine_part(request)
    ).engines["docker"]


@pytest.fixture
def containers(lab: Lab) -> Iterator[str]:
    """Containers in every state that an observation distinguishes, with their own network and volume."""
    mark = "observe-test"
    labels = ("--label", f"dev.sandboxer.fleet={mark}", "--label", "dev.sandboxer.id=0a0a0a0a")
    odd = ("--label", 'odd=a,b="c" \\ ü')
    run = ("run", "-d", "--label", f"observe={mark}", *labels, *odd)
    lab.docker(HOST, "network", "create", *labels, mark)
    lab.docker(HOST, "volume", "create", *labels, mark)
    check = ("--health-interval", "1s", "--health-retries", "1", "--health-cmd")
    lab.docker(HOST, *run, "--name", "observe-up", "--network", mark, "-v", f"{mark}:/data", "-v", "/more",
               "-p", "127.0.0.1::8080", IMAGE, "sleep", "9999")  # fmt: skip
    lab.docker(HOST, *run, "--name", "observe-well", *check, "true", IMAGE, "sleep", "9999")
    lab.docker(HOST, *run, "--name", "observe-sick", *check, "false", IMAGE, "sleep", "9999")
    lab.docker(HOST, *run, "--name", "observe-ended", IMAGE, "sh", "-c", "exit 3")
    lab.docker(HOST, *run, "--name", "observe-held", IMAGE, "sleep", "9999")
    lab.docker(HOST, "pause", "observe-held")
    lab.docker(HOST, "create", "--label", f"observe={mark}", *labels, "--name", "observe-new", IMAGE, "true")
    lab.docker(HOST, "wait", "observe-ended")
    try:
        yield mark
    finally:
        names = ("observe-up", "observe-well", "observe-sick", "observe-ended", "observe-held", "observe-new")
        lab.docker(HOST, "rm", "-f", "-v", *names)
        lab.docker(HOST, "network", "rm", mark)
        lab.docker(HOST, "volume", "rm", mark)


def test_docker_returns_the_same_by_its_api_and_by_its_client(lab: Lab, containers: str) -> None:
    from tests.lab.errors import wait_until

    def is_ready() -> bool:
        health = {c.name: c.health for c in observe_docker(lab).containers}
        return (health["observe-well"], health["observe-sick"]) == ("healthy", "unhealthy")

    wait_until(is_ready, seconds=20, what="health checks did not come to a verdict")
    api, client = observe_docker(lab), observe_docker(lab, without_api=True)
    assert api.error is None
    assert client.error is None

    def ours(observation: EngineObservation) -> dict[str, object]:
        return {c.name: c for c in observation.containers if c.labels.get("dev.sandboxer.fleet") == containers}

    states = {name: (c.state, c.exit_code, c.health) for name, c in ours(api).items()}  # type: ignore[attr-defined]
    assert states["observe-ended"] == ("exited", 3, None)
    assert states["observe-new"] == ("created", 0, None)
    assert states["observe-held"][0] == "paused"
    assert ours(api) == ours(client)
    assert {c.restarts for c in ours(api).values()} == {0}  # type: ignore[attr-defined]
    assert set(api.resources) == set(client.resources)
    assert {resource.kind for resource in api.resources} == {"network", "volume"}


def test_a_dead_docker_is_an_error_and_no_emptiness_by_either_way(lab: Lab) -> None:
    with lab.stop_engine(HOST):
        assert observe_docker(lab, without_api=True).error
        request = ObserveRequest(HOST, "/tmp/sandboxer", "observe-test")
        command, nonce = observe_command(request, engine_part(request))
        done = lab.exec(HOST, ["sh", "-c", command.script], input=command.stdin.decode())
        observation = read_observation(
            request, nonce, CommandResult(0, done.stdout.encode(), done.stderr.encode()), engine_part(request)
        )
        assert observation.engines["docker"].error
        assert observation.backend_error


def test_what_is_removed_between_two_commands_of_podman_is_no_failed_observation(lab: Lab) -> None:
    """A network that is listed and gone before it is described: Podman's answer is then an error for all of them."""
    host = next(host.name for host in lab.hosts if host.engine == "podman")
    request = ObserveRequest(host, "/tmp/sandboxer", "observe-test", "podman")
    churn = """
    label=dev.sandboxer.fleet=observe-test
    while [ ! -e /tmp/observe-test-over ]; do
      for n in 1 2 3; do podman network create --label "$label" --label dev.sandboxer.id=0a0a0a0a "observe-$n"; done
      podman network rm observe-1 observe-2 observe-3
    done >/dev/null 2>&1
    """
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lab.exec, host, ["sh", "-c", churn])
        try:
            errors = []
            for _ in range(12):
                command, nonce = observe_command(request, engine_part(request))
                done = lab.exec(host, ["sh", "-c", command.script], input=command.stdin.decode())
                observation = read_observation(
                    request,
                    nonce,
                    CommandResult(0, done.stdout.encode(), done.stderr.encode()),
                    engine_part(request),
                )
                errors.append(observation.engines["podman"].error)
        finally:
            lab.exec(host, ["touch", "/tmp/observe-test-over"])
            running.result(60)
            lab.exec(host, ["rm", "/tmp/observe-test-over"])
    assert not any(errors)
