"""The states of services as Compose, its builders and the engine print them, and as they are observed."""

from __future__ import annotations

from typing import Any

import pytest

from sandboxer.extensions.compose_ssh.labels import service_fields
from sandboxer.extensions.compose_ssh.service_states import MOST_DETAIL, PullProgress, ServiceStates
from sandboxer.model.observed import Container

PROJECT = "sbx-shop-1f2e3d4c"
SERVICES = frozenset({"web", "web-api", "db"})


class Recorder(ServiceStates):
    """The states, and what was emitted of them."""

    def __init__(self) -> None:
        self.events: list[str] = []
        super().__init__(PROJECT, SERVICES, frozenset({"db"}), self.emitted)

    def emitted(self, service: str, state: str, detail: str) -> None:
        self.events.append(f"{service} {state} {detail}".rstrip())


def seen(*lines: str, building: tuple[str, ...] = ()) -> list[str]:
    states = Recorder()
    states.building(building)
    for line in lines:
        states.line(line)
    return states.events


def test_docker_compose_starts_containers() -> None:
    assert seen(
        f" Network {PROJECT}_default  Creating",
        f" Network {PROJECT}_default  Created",
        f" Container {PROJECT}-db-1  Creating",
        f" Container {PROJECT}-web-api-1  Creating",
        f" Container {PROJECT}-db-1  Created",
        f" Container {PROJECT}-db-1  Starting",
        f" Container {PROJECT}-db-1  Started",
        f" Container {PROJECT}-db-1  Waiting",
        f" Container {PROJECT}-db-1  Waiting",
        f" Container {PROJECT}-db-1  Healthy",
        f" Container {PROJECT}-web-api-1  Recreate",
        f" Container 0123456789ab_{PROJECT}-web-api-1  Recreated",
        f" Container {PROJECT}-web-api-1  Starting",
        f" Container {PROJECT}-web-api-1  Started",
        f" Container {PROJECT}-web-api-1  Waiting",
        f" Container {PROJECT}-web-api-1  Healthy",
        f" Container {PROJECT}-web-api-1  Error",
        " web Pulling ",
    ) == [
        "db creating",
        "web-api creating",
        "db created",
        "db starting",
        "db healthy",
        "web-api created",
        "web-api starting",
        "web-api started",
        "web-api failed",
        "web pulling",
    ]


BUILDKIT = (
    '#0 building with "default" instance using docker driver',
    "#1 [web internal] load build definition from Dockerfile",
    "#5 [web 1/3] FROM docker.io/library/busybox",
    "#6 [web-api 2/4] RUN make",
    "#6 0.412 cc -o x",
    "#6 DONE 1.0s",
    "#7 [web 2/3] COPY . /app",
)


def test_buildkit_names_the_service_of_a_step() -> None:
    assert seen(*BUILDKIT, building=("web", "web-api"))[2:] == [
        "web building 1/3 FROM docker.io/library/busybox",
        "web-api building 2/4 RUN make",
        "web building 2/3 COPY . /app",
    ]


@pytest.mark.parametrize(
    "line", ["#5 [2/4] RUN make", "Step 2/4 : RUN make", "STEP 2/4: RUN make", "[1/2] STEP 2/4: RUN make"]
)
def test_a_step_without_a_service_is_of_the_only_one_that_is_built(line: str) -> None:
    assert seen(line, building=("web",)) == ["web building", "web building 2/4 RUN make"]
    assert seen(line, building=("web", "db")) == ["web building", "db building"]
    assert seen(line) == []


def test_the_labels_of_an_image_are_no_steps_for_people() -> None:
    assert seen('STEP 6/10: LABEL "dev.sandboxer.uid"="6c81"', building=("web",)) == ["web building"]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\x1b[31m",
        f" Container {PROJECT}-evil-1  Started",
        f" Container {PROJECT}-web-1  Exploded",
        " Container other-web-1",
        "#5 [evil 1/2] RUN x",
        " evil Pulling",
        "Container",
        "x" * 1000,
    ],
)
def test_what_is_not_understood_is_ignored(line: str) -> None:
    assert seen(line, building=("web", "db"))[2:] == []


def test_a_detail_has_a_limit() -> None:
    (_, event) = seen("#5 [1/2] RUN " + "x" * 900, building=("web",))
    assert len(event) == len("web building ") + MOST_DETAIL


def container(service: str, state: str, **more: Any) -> Container:
    values = {"exit_code": 0, "health": None, **more}
    return Container(
        service,
        service,
        "docker",
        "i",
        "i",
        state,
        labels={},
        **values,
        **(service_fields({}, service) | {"service": service}),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("given", "event"),
    [
        ([container("web", "created")], "web created"),
        ([container("web", "running")], "web started"),
        ([container("web", "running", health="starting")], "web starting"),
        ([container("web", "running", health="healthy")], "web healthy"),
        ([container("web", "running", health="unhealthy")], "web unhealthy"),
        ([container("web", "restarting")], "web restarting"),
        ([container("web", "paused")], "web paused"),
        ([container("web", "exited")], "web completed"),
        ([container("web", "exited", exit_code=3)], "web failed exit code 3"),
        ([container("web", "running"), container("web", "exited", exit_code=3)], "web failed exit code 3"),
        ([container("evil", "running")], ""),
    ],
)
def test_an_observation(given: list[Container], event: str) -> None:
    states = Recorder()
    for _ in range(3):  # unchanged, it is one event
        states.of_containers(given)
    assert states.events == ([event] if event else [])


def test_a_pull_counts_layers_and_bytes() -> None:
    printed: list[str] = []
    pull = PullProgress(printed.append)
    for line in (
        "1: Pulling from library/busybox",
        "aaaaaaaaaaaa: Pulling fs layer",
        "bbbbbbbbbbbb: Already exists",
        "aaaaaaaaaaaa: Download complete",
        "aaaaaaaaaaaa: Pull complete",
        "Digest: sha256:0",
    ):
        pull.line(line)
    assert printed == ["0 of 1 layers", "1 of 2 layers", "2 of 2 layers"]
    printed.clear()
    pull = PullProgress(printed.append)
    for line in ("Copying blob sha256:aa [===>---] 1.2MiB / 30MiB", "Copying blob sha256:aa done   | 30MiB"):
        pull.line(line)
    assert printed == ["0 of 1 layers, 1.2MiB of 30MiB", "1 of 1 layers"]
