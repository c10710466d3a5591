"""The states of a stack's services while it is changed, for people to follow: nothing that is done depends on them.

They are read from what Compose and the engine print while they work, and from each observation. Both may be a
stranger's text: what is not understood is ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.service_plan import by_service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sandboxer.model.observed import Container
    from sandboxer.model.run_events import ServiceState

MOST_DETAIL = 100
_OURS = 'LABEL "dev.sandboxer.'  # steps that label what is built

# Docker Compose: ` Container sbx-web-1f2e3d4c-api-1  Started`; ` api Pulling`.
_CONTAINER = re.compile(r"\s*Container (\S+?)-\d+ +([A-Z][a-z]+)\b")
_PULL = re.compile(r"\s*(\S+) (Pulling|Pulled|Building|Built)\b")
_WORDS: Mapping[str, ServiceState] = {
    "Creating": "creating",
    "Recreate": "creating",
    "Created": "created",
    "Recreated": "created",
    "Starting": "starting",
    "Restarting": "starting",
    "Started": "started",
    "Waiting": "starting",
    "Healthy": "healthy",
    "Stopping": "stopping",
    "Exited": "completed",
    "Error": "failed",
    "Pulling": "pulling",
    "Building": "building",
}
# BuildKit: `#5 [api 2/4] RUN make`, without the target if only one is built.
_BUILDKIT = re.compile(r"#\d+ \[(?:(\S+) )?(\d+/\d+)\] (.+)")
# The older builder and Podman: `Step 2/4 : RUN make`.
_STEP = re.compile(r"(?:\[\S+\] )?(?:STEP|Step) (\d+/\d+) ?: (.+)")
# Pulls of Docker and Podman: `a1b2c3: Pulling fs layer`, `Copying blob sha256:… done`, with sizes if there are any.
_LAYER = re.compile(r"([0-9a-f]{12}): (Pulling fs layer|Already exists|Download complete|Pull complete)")
_BLOB = re.compile(r"Copying blob (\S+)\s*(done|skipped)?")
_BYTES = re.compile(r"([\d.]+ ?[kKMG]?i?B) ?/ ?([\d.]+ ?[kKMG]?i?B)")


@dataclass(slots=True)
class ServiceStates:
    """The states of the services of a project. ``emit`` gets a service, its state and a detail where one has changed.

    ``checked`` are the services with a health check, which have to be waited for once they are started. ``builds`` are
    those whose images are being built.
    """

    project: str
    services: frozenset[str]
    checked: frozenset[str]
    emit: Callable[[str, ServiceState, str], None]
    builds: list[str] = field(default_factory=list)
    _last: dict[str, tuple[ServiceState, str]] = field(default_factory=dict)

    def building(self, services: Iterable[str]) -> None:
        """Note that the images of these services are about to be built."""
        self.builds = list(services)
        for name in self.builds:
            self._set(name, "building")

    def of_containers(self, containers: Iterable[Container]) -> None:
        """Note the states of an observation."""
        for name, found in by_service(containers).items():
            if name in self.services:
                states = [_state(container) for container in found]
                self._set(name, *min(states, key=lambda one: _ORDER.index(one[0])))

    def line(self, text: str) -> None:
        """Note what a line of output says about a service, if anything."""
        if found := _CONTAINER.match(text):
            name = found[1].rpartition(f"{self.project}-")[2]
            if name in self.services and found[2] in _WORDS:
                self._reached(name, _WORDS[found[2]])
        elif found := _BUILDKIT.match(text):
            self._built(found[1], f"{found[2]} {found[3]}")
        elif found := _STEP.match(text):
            self._built(None, f"{found[1]} {found[2]}")
        elif (found := _PULL.match(text)) and found[1] in self.services and found[2] in _WORDS:
            self._set(found[1], _WORDS[found[2]])

    def _reached(self, name: str, state: ServiceState) -> None:
        """Note what Compose says of a container: it waits for all of them, and calls those healthy that run."""
        if name in self.checked and state == "started":
            state = "starting"
        elif name not in self.checked and state in ("starting", "healthy"):
            began = self._last.get(name, ("created", ""))[0] in ("created", "creating", "stopping")
            state = "starting" if state == "starting" and began else "started"
        self._set(name, state)

    def _built(self, service: str | None, detail: str) -> None:
        """Note the step of a build; without the target, if only one image is being built."""
        name = self.builds[0] if service not in self.builds and len(self.builds) == 1 else service
        if name in self.builds and _OURS not in detail:
            self._set(name, "building", detail)

    def _set(self, service: str, state: ServiceState, detail: str = "") -> None:
        given = state, detail[:MOST_DETAIL]
        if self._last.get(service) != given:
            self._last[service] = given
            self.emit(service, *given)


def states_of(
    project: str, services: Mapping[str, Any], emit: Callable[[str, ServiceState, str], None]
) -> ServiceStates:
    """Return the states of the services that a compose file has; see ServiceStates."""
    checked = frozenset(name for name, given in services.items() if given.get("healthcheck"))
    return ServiceStates(project, frozenset(services), checked, emit)


_ORDER: tuple[ServiceState, ...] = (
    *("failed", "restarting", "unhealthy", "paused", "creating", "created", "starting", "stopping"),
    *("started", "healthy", "completed", "pulling", "building"),
)
"""Of several containers of a service, the state that is shown: the one that keeps it from being ready."""


def _state(container: Container) -> tuple[ServiceState, str]:
    """Return the state of a container, and its exit code in words where it failed."""
    if container.state in ("exited", "dead"):
        return ("failed", f"exit code {container.exit_code}") if container.exit_code else ("completed", "")
    if container.state == "running":
        health = container.health
        return ("started" if health is None else health), ""
    words: Mapping[str, ServiceState] = {
        "created": "created",
        "restarting": "restarting",
        "paused": "paused",
        "removing": "stopping",
    }
    return words.get(container.state, "starting"), ""


@dataclass(slots=True)
class PullProgress:
    """How far the pull of an image is, from the lines that the engine prints; ``emit`` gets it in a few words."""

    emit: Callable[[str], None]
    _done: dict[str, bool] = field(default_factory=dict)
    _last: str = ""

    def line(self, text: str) -> None:
        """Note what a line says: a layer that begins or is there, or how many bytes of one."""
        if found := _LAYER.match(text):
            self._done[found[1]] = self._done.get(found[1], False) or found[2] in ("Already exists", "Pull complete")
        elif found := _BLOB.match(text):
            self._done[found[1]] = self._done.get(found[1], False) or found[2] is not None
        else:
            return
        words = f"{sum(self._done.values())} of {len(self._done)} layers"
        if size := _BYTES.search(text):
            words += f", {size[1]} of {size[2]}"
        if words != self._last:
            self._last = words
            self.emit(words)
