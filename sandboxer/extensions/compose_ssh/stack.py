"""Starts the stack: only what changed is recreated, and it is ready before its readiness is reported."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from sandboxer.errors import ProvisionFailed
from sandboxer.extensions.compose_ssh.networks import creation, made_volume
from sandboxer.model.identity import LABEL_CONFIG, project_name
from sandboxer.reconcile.drift import state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

    from sandboxer.extensions.compose_ssh.compose_tool import ComposeTool
    from sandboxer.extensions.compose_ssh.directory import SandboxDirectory, State
    from sandboxer.extensions.compose_ssh.policy import Hardened
    from sandboxer.extensions.compose_ssh.render import Variables
    from sandboxer.extensions.host_session import Reply
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.observed import Container

LOG_LINES = 12
ENGINE_REFUSED = "Error response from daemon"
START_SECONDS = 900.0
POLL_SECONDS = 0.5
RECOVERY_SECONDS = 30.0
_SWAPPED = 71  # the path that a mount is to be read from no longer holds what was put there


@dataclass(slots=True)
class Stack:
    """One compose project on its host, as hardened. ``remade`` are services whose mounted files were put back."""

    directory: SandboxDirectory
    desired: DesiredSandbox
    hardened: Hardened
    tool: ComposeTool
    variables: Variables
    remade: frozenset[str] = frozenset()

    @property
    def _timeout(self) -> float:
        return self.desired.profile.spec.readiness.timeout.total_seconds()

    def up(self, before: State) -> State:
        """Bring the project to what is desired and wait until it is ready; return what exists then.

        Raise ProvisionFailed, with each failed container's state and last log lines.
        """
        before = self._unpause(before)
        services = self._to_start(before)
        forced = self._forced(before) & set(services)
        deadline = time.monotonic() + self._timeout
        if self.tool.podman:
            return self._up_in_order(before, services, forced, deadline)
        if forced:
            self._compose("--force-recreate", "--no-deps", services=sorted(forced), wait=False)
        reply = self._compose(services=services, wait=True, deadline=deadline)
        if _refused(reply) and (dead := self._cannot_start(before) & set(services)):
            self._compose("--force-recreate", "--no-deps", services=sorted(dead), wait=False)
            reply = self._compose(services=services, wait=True, deadline=deadline)
        return self.wait(deadline, reply)

    def _cannot_start(self, before: State) -> set[str]:
        """Return services whose containers existed before, and do not run now.

        The network that they refer to may be gone.
        """
        old = {container.id for container in before.containers}
        return {c.service for c in self.directory.observation().containers if c.id in old and c.state != "running"}

    def _up_in_order(self, before: State, services: list[str], forced: set[str], deadline: float) -> State:
        """Do what Docker Compose does by itself: start first those that others wait for, and remove former ones."""
        reply = None
        self._remove_former(before)
        self._close_names()
        self._make_volumes()
        for wave in self._waves(services):
            # One call for each service and no second: what ended well at once would be started again.
            anew = [name for name in wave if name in forced]
            kept = [name for name in wave if name not in forced]
            if anew:
                reply = self._compose("--force-recreate", services=anew, wait=False)
            if kept:
                reply = self._compose(services=kept, wait=False)
            awaited = {
                name
                for service in self.hardened.services
                for name, condition in service.after.items()
                if name in wave and condition != "service_started"
            }
            if awaited:
                self.wait(deadline, reply, awaited)
        return self.wait(deadline, reply)

    def _remove_former(self, before: State) -> None:
        wanted = {service.name for service in self.hardened.services}
        former = [c.id for c in before.containers if c.service not in wanted and not c.one_off]
        if former:
            engine = self.directory.operation.target.engine
            self.directory.session.must(
                "a former service cannot be removed", "engine", engine, "rm", "-f", "-t", "0", *former
            )

    def _close_names(self) -> None:
        """Create the networks under ``egress: deny`` so that no container on them ever queries a name outside."""
        if self.desired.profile.spec.network.egress != "deny":
            return
        project = project_name(self.desired.name, self.desired.id)
        for name, network in self.hardened.model.get("networks", {}).items():
            full, words = creation(name, network, project)
            what = f"the network {full} cannot be closed to names of the outside"
            self.directory.session.must(what, "close_names", full, *words)

    def _make_volumes(self) -> None:
        """Create volumes whose name another volume's name begins with: podman-compose would take that one for it.

        Podman would then create such a volume by itself, without the labels by which it is deleted with the sandbox.
        """
        project = project_name(self.desired.name, self.desired.id)
        volumes = self.hardened.model.get("volumes", {})
        for name, volume in volumes.items():
            if any(other != name and other.startswith(name) for other in volumes):
                full, words = made_volume(name, volume, project)
                self.directory.session.must(f"the volume {full} cannot be made", "make_volume", full, *words)

    def _waves(self, services: list[str]) -> Iterator[list[str]]:
        after = {service.name: service.after.keys() for service in self.hardened.services}
        left = list(services)
        while left:
            # A cycle is an error in Compose; should one come here, its services start together.
            wave = [name for name in left if not after[name] & set(left)] or left
            yield wave
            left = [name for name in left if name not in wave]

    def wait(self, deadline: float, reply: Reply | None = None, names: AbstractSet[str] = frozenset()) -> State:
        """Wait until every service, or each of ``names``, is up or ended well; ``deadline`` is of the monotonic clock.

        ``reply`` is Compose's: with `--wait` it gives up on all services when one ended, well or not, so its exit code
        alone decides nothing. Raise ProvisionFailed when a service failed or the time is over.
        """
        while True:
            state = self.directory.observation()
            waited = names or {service.name for service in self.hardened.services}
            if not self._not_ready(state) & waited and not _refused(reply):
                return state
            failed = any(self._failed(c) for c in state.containers if c.service in waited)
            if failed or time.monotonic() >= deadline:
                self._fail(reply, state)
            gave_up = reply is not None and reply.code != 0
            if gave_up and (_refused(reply) or self._former(state) & waited or not self._ended_well(state)):
                self._fail(reply, state)
            for container in state.containers:
                if container.engine == "podman" and container.health == "starting":
                    # Podman runs health checks by systemd timers, and without systemd nobody does.
                    self.directory.session.call("engine", "podman", "healthcheck", "run", container.id)
            time.sleep(POLL_SECONDS)

    # --- which services

    def _to_start(self, before: State) -> list[str]:
        """Return all services but each one-shot that ended well and did not change: `up` would run it again."""
        configs = self._configs()
        done = {
            service.name
            for service in self.hardened.services
            for container in before.containers
            if service.one_shot
            and container.service == service.name
            and (container.state, container.exit_code) == ("exited", 0)
            and container.labels.get(LABEL_CONFIG) == configs[service.name]
        }
        return [service.name for service in self.hardened.services if service.name not in done]

    def _configs(self) -> dict[str, str]:
        return {name: given["labels"].get(LABEL_CONFIG, "") for name, given in self.hardened.model["services"].items()}

    def _forced(self, before: State) -> set[str]:
        """Return services to recreate that Compose would leave: a bind holds its old inode, and unhealthy is running.

        podman-compose compares nothing at all, so with it every service with another definition is forced.
        """
        configs = self._configs()
        there = {container.service for container in before.containers}
        unhealthy = {c.service for c in before.containers if c.health == "unhealthy"}
        changed = {
            c.service
            for c in before.containers
            if self.tool.podman and c.labels.get(LABEL_CONFIG) != configs.get(c.service)
        }
        return set(self.remade & there) | unhealthy | changed

    def _unpause(self, before: State) -> State:
        """Unpause paused containers, and return what exists then.

        Docker calls a paused container unhealthy until its first health check after that says otherwise.
        """
        paused = {container.id for container in before.containers if container.state == "paused"}
        if not paused:
            return before
        engine = self.directory.operation.target.engine
        self.directory.session.must("its paused containers cannot go on", "engine", engine, "unpause", *sorted(paused))
        deadline = time.monotonic() + RECOVERY_SECONDS
        while True:
            state = self.directory.observation()
            sick = any(container.id in paused and container.health == "unhealthy" for container in state.containers)
            if not sick or time.monotonic() >= deadline:
                return state
            time.sleep(POLL_SECONDS)

    # --- starting

    def _compose(self, *options: str, services: Iterable[str], wait: bool, deadline: float | None = None) -> Reply:
        names, spec = list(services), self.desired.profile.spec
        built = any(service.built for service in self.hardened.services)
        if self.tool.podman:
            words = [*(self._podman_build() if built else []), "up", "-d", *options]
        else:
            words = ["--progress", "quiet", "up", "-d", *options]
            if wait:
                left = max(1, int((deadline or 0) - time.monotonic()))
                words += ["--wait", "--wait-timeout", str(left), "--remove-orphans"]
            if spec.compose.pull == "always":
                words += ["--pull", "always"]
        words += ["--build"] if built else []
        if set(names) != {service.name for service in self.hardened.services}:
            words += [word for word in ("--no-deps",) if word not in words] + names
        project = project_name(self.desired.name, self.desired.id)
        # What the engine opens is checked again first: containers of an earlier apply may be running.
        sources = [self.directory.below(path) for path in self.hardened.sources]
        words = [self.tool.kind, self.tool.command, project, str(len(sources)), *sources, *words]
        reply = self.directory.session.call("compose", *words, timeout=self._timeout + START_SECONDS)
        if reply.code == _SWAPPED:
            raise ProvisionFailed(
                self.desired.name,
                f"{self.desired.name} on {self.directory.operation.target.host} was not started: {reply.words}",
                hint="nothing was given to the engine; see who else changes files there, and apply again",
            )
        if reply.code != 0 and not wait:
            self._fail(reply, self.directory.observation())
        return reply

    def _podman_build(self) -> list[str]:
        """Return the options of Podman's builds: their network, and the ceilings of their steps.

        podman-compose does not read the network of a build from the file, and Docker's builders have no such ceilings.
        Builds run one after the other: they share a control group.
        """
        spec, target = self.desired.profile.spec, self.directory.operation.target
        memory = min(spec.resources.memory or target.memory_bytes, target.memory_bytes)
        cpus = min(spec.resources.cpus or target.cpus, target.cpus)
        limits = [f"--memory={memory}", "--cpu-period=100000", f"--cpu-quota={max(1000, int(cpus * 100_000))}"]
        limits += ["--network=none"] if spec.network.egress == "deny" else []
        return ["--parallel=1", *(f"--podman-build-args={limit}" for limit in limits)]

    # --- ready or not

    def _not_ready(self, state: State) -> set[str]:
        """Return services that are not up yet.

        They have no container, or one that neither runs well nor ended well.
        """
        seen = self._by_service(state)
        return self._former(state) | {
            service.name
            for service in self.hardened.services
            if service.replicas and not all(map(self._good, seen.get(service.name, [None])))
        }

    def _former(self, state: State) -> set[str]:
        """Return services that still run as they were defined before.

        Compose leaves them so if it could not change them.
        """
        configs = self._configs()
        return {
            name
            for name, containers in self._by_service(state).items()
            if name in configs and any(c.labels.get(LABEL_CONFIG) != configs[name] for c in containers)
        }

    @staticmethod
    def _by_service(state: State) -> dict[str, list[Container]]:
        """Return the containers of each service, without one-off containers that a person runs beside them."""
        found: dict[str, list[Container]] = {}
        for container in state.containers:
            if not container.one_off:
                found.setdefault(container.service, []).append(container)
        return found

    @staticmethod
    def _good(container: Container | None) -> bool:
        if container is None:
            return False
        if container.state == "exited":
            return container.exit_code == 0
        return container.state == "running" and container.health in (None, "healthy")

    @staticmethod
    def _failed(container: Container) -> bool:
        if container.state in ("exited", "dead"):
            return container.exit_code != 0
        return container.state == "restarting" or container.health == "unhealthy"

    @staticmethod
    def _ended_well(state: State) -> bool:
        return any((c.state, c.exit_code) == ("exited", 0) for c in state.containers)

    def _fail(self, reply: Reply | None, state: State) -> NoReturn:
        parts = [self._engine_words(reply)] if reply is not None and reply.code != 0 else []
        parts += self._logs(state)
        host = self.directory.operation.target.host
        text = self.variables.redact("\n".join(part for part in parts if part)) or "it did not become ready in time"
        again = f"`sandboxer recreate {self.desired.name}`" if self.desired.origin == "api" else "apply again"
        raise ProvisionFailed(
            self.desired.name,
            f"{self.desired.name} on {host} did not become ready:\n{text}",
            hint=f"its containers are left as they are; mend the cause, then {again}",
        )

    @staticmethod
    def _engine_words(reply: Reply) -> str:
        # podman-compose prints each id and name that it creates or starts, and these say nothing about a cause.
        lines = [line.strip() for line in reply.text.splitlines() if " " in line.strip()]
        return "\n".join(lines[-LOG_LINES:])

    def _logs(self, state: State) -> Iterator[str]:
        not_ready = self._not_ready(state)
        there = {container.service for container in state.containers}
        former = self._former(state)
        for name in sorted(former | (not_ready - there)):
            how = "was not changed" if name in former else "was not made"
            yield f"service {name} {how}; its image is {self.hardened.model['services'][name].get('image')}"
        for container in state.containers:
            if self._good(container) or container.service not in not_ready:
                continue
            yield f"service {container.service} is {state_of(container)}"
            if check := self._health_check(container):
                yield f"its health check says:\n{check}"
            engine = self.directory.operation.target.engine
            if lines := self.directory.session.call("logs", engine, str(LOG_LINES), container.id).text:
                yield f"its last lines:\n{lines}"

    def _health_check(self, container: Container) -> str:
        """Return the last output of a health check that fails."""
        if container.health in (None, "healthy"):
            return ""
        # Podman before 4.4 has another name for it.
        last = "{{range .%s.Log}}{{println (json .Output)}}{{end}}"
        field = "State.Health" if container.engine == "docker" else "State.Healthcheck"
        reply = self.directory.session.call(
            "engine", container.engine, "inspect", "--format", last % field, container.id
        )
        outputs = reply.text.splitlines() if reply.code == 0 else []
        return str(json.loads(outputs[-1])).strip() if outputs else ""


def _refused(reply: Reply | None) -> bool:
    """Return whether Docker itself refused what Compose requested: then what exists is not what was requested."""
    return reply is not None and reply.code != 0 and ENGINE_REFUSED in reply.text
