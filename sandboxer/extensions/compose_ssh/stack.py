"""Carries out the operations on the services of a stack, and waits until all of them are ready."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from sandboxer.errors import ProvisionFailed
from sandboxer.errors.cause import Cause
from sandboxer.extensions.compose_ssh.diagnosis import StableRestarts, diagnose, diagnose_build, examined
from sandboxer.extensions.compose_ssh.engine_output import NAME_TAKEN, was_refused
from sandboxer.extensions.compose_ssh.failure_patterns import hint_of
from sandboxer.extensions.compose_ssh.hidden_logs import sensitive_values
from sandboxer.extensions.compose_ssh.labels import LABEL_CONFIG, project_name
from sandboxer.extensions.compose_ssh.networks import creation, made_volume
from sandboxer.extensions.compose_ssh.service_plan import after_refusal, by_service, desired_services, finished
from sandboxer.extensions.compose_ssh.service_states import ServiceStates, states_of
from sandboxer.model.text import named

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from sandboxer.extensions.compose_ssh.compose_tool import ComposeTool
    from sandboxer.extensions.compose_ssh.directory import SandboxDirectory, State
    from sandboxer.extensions.compose_ssh.policy import Hardened
    from sandboxer.extensions.compose_ssh.render import Variables
    from sandboxer.hosts.session import Reply
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.observed import Container
    from sandboxer.model.service_operation import ServiceOperation

START_SECONDS = 900.0
POLL_SECONDS = 0.5
RECOVERY_SECONDS = 30.0
_PARTIAL = ("replicas", "exited", "created", "restarting", "paused", "dependency")
_SWAPPED = 71  # the path that a mount is to be read from no longer holds what was put there


@dataclass(slots=True)
class Stack:
    """One compose project on its host, as hardened."""

    directory: SandboxDirectory
    desired: DesiredSandbox
    hardened: Hardened
    tool: ComposeTool
    variables: Variables
    _states: ServiceStates = field(init=False)

    def __post_init__(self) -> None:
        project = project_name(self.desired.name, self.desired.id)
        self._states = states_of(project, self.hardened.model["services"], self.directory.operation.service_state)

    @property
    def _timeout(self) -> float:
        return self.desired.profile.spec.readiness.timeout.total_seconds()

    def build(self, containers: Iterable[Container]) -> list[str]:
        """Build the images that the input describes, but those of services that are finished; return their names."""
        there, desired = by_service(containers), {one.name: one for one in desired_services(self.hardened, {})}
        names = [
            one.name
            for one in self.hardened.services
            if one.built and not finished(desired[one.name], there.get(one.name, ()))
        ]
        if names:
            self._states.building(names)
            self.directory.begin_step("build", "building")
            words = [*self._podman_build(), "build"] if self.tool.podman else ["--progress", "plain", "build"]
            reply = self._call("build", [*words, *names])
            if reply.code != 0:
                self._raise("was not started", *diagnose_build(reply.text, names))
            self.directory.begin_step("start", "starting")
        return [str(self.hardened.model["services"][name]["image"]) for name in names]

    def up(self, operations: Sequence[ServiceOperation], before: State) -> State:
        """Carry out what was decided for each service and wait until all are ready; return what exists then.

        Raise ProvisionFailed, with each failed container's state and last log lines.
        """
        self.directory.operation.services(operations)
        deadline = time.monotonic() + self._timeout
        if self.tool.podman:
            return self._up_in_order(operations, before, deadline)
        reply = self._up(operations, before, deadline)
        if was_refused(reply):
            again = after_refusal(operations, before.containers, self.directory.observation().containers)
            if again is not None:
                self.directory.operation.services(again)
                reply = self._up(again, before, deadline)
        return self.wait(deadline, reply)

    def _up(self, operations: Sequence[ServiceOperation], before: State, deadline: float) -> Reply | None:
        """Let Docker Compose do exactly what was decided: it recreates the named services, and nothing else."""
        recreated, others = self._named(operations, "recreate"), self._named(operations, "create", "start", "keep")
        others += [one.service for one in operations if (one.action, one.cause) == ("remove", "replicas")]
        if restarted := [one.service for one in operations if (one.action, one.cause) == ("start", "dependency")]:
            self._run(["--progress", "quiet", "stop", *restarted])
        if not recreated and not others:
            self._remove(operations, before)
            return None
        if recreated and not self._alone(operations, before):
            self._compose("--no-start", "--force-recreate", "--no-deps", services=recreated)
            recreated, others = [], [*recreated, *others]
        if recreated:
            new = self._named(operations, "create")
            return self._compose("--force-recreate", services=[*recreated, *new], deadline=deadline)
        return self._compose("--no-recreate", services=others, deadline=deadline)

    def _alone(self, operations: Sequence[ServiceOperation], before: State) -> bool:
        """Return whether one call can do it: what is not recreated or new is up, so nothing waits for that."""
        kept = {one.service for one in operations if (one.action, one.cause) == ("keep", "unchanged")}
        rest = [one for one in operations if one.action in ("start", "create", "remove") and one.cause in _PARTIAL]
        up = all(self._good(c) for c in before.containers if c.service in kept and not c.one_off)
        ending = any(one.one_shot and one.name in kept for one in self.hardened.services)
        return up and not ending and not rest

    def _named(self, operations: Sequence[ServiceOperation], *actions: str) -> list[str]:
        """Return the services with these actions that have anything to start; what is finished would start again."""
        return [one.service for one in operations if one.action in actions and one.cause != "finished"]

    def _up_in_order(self, operations: Sequence[ServiceOperation], before: State, deadline: float) -> State:
        """Do what Docker Compose does by itself: start first those that others wait for, and remove former ones."""
        reply = None
        self._remove(operations, before)
        self._free_shared(operations, before)
        self._close_names()
        self._make_volumes()
        recreated = self._named(operations, "recreate")
        started = self._named(operations, "create", "start")
        for wave in self._waves([*recreated, *started, *self._named(operations, "keep")]):
            # One call for each service and no second: what ended well at once would be started again.
            if forced := [name for name in wave if name in recreated]:
                reply = self._compose("--force-recreate", services=forced)
            if rest := [name for name in wave if name in started]:
                reply = self._compose("--no-recreate", services=rest)
            awaited = {
                name
                for service in self.hardened.services
                for name, condition in service.after.items()
                if name in wave and condition != "service_started"
            }
            if awaited:
                self.wait(deadline, reply, awaited)
        return self.wait(deadline, reply)

    def _free_shared(self, operations: Sequence[ServiceOperation], before: State) -> None:
        """Remove what uses another container: Podman removes none that one which stays uses, recreated or not."""
        recreated = self._named(operations, "recreate")
        names = {service.name for service in self.hardened.services if service.shares and service.name in recreated}
        ids = [c.id for c in before.containers if c.service in names and not c.one_off]
        for words in (["stop"], ["rm", "-f"]) if ids else ():
            what = "services that share with a recreated one cannot be removed"
            self.directory.session.must(what, "engine", self.directory.operation.target.engine, *words, *ids)

    def _remove(self, operations: Sequence[ServiceOperation], before: State) -> None:
        """Remove the containers of former services, and those beyond the number that a service is to have."""
        most = {service.name: service.replicas for service in self.hardened.services}
        there, former = by_service(before.containers), []
        for name in (one.service for one in operations if one.action == "remove"):
            replicas = sorted(there.get(name, ()), key=lambda container: container.replica)
            former += [container.id for container in replicas[most.get(name, 0) :]]
        if former:
            words = ["rm", "-f", "-t", "0"] if self.tool.podman else ["rm", "-f"]
            engine = self.directory.operation.target.engine
            self.directory.session.must("an obsolete service cannot be removed", "engine", engine, *words, *former)

    def _close_names(self) -> None:
        """Create the networks under ``egress: deny`` so that no container on them ever queries a name outside."""
        if self.desired.profile.spec.network.egress != "deny":
            return
        project = project_name(self.desired.name, self.desired.id)
        for name, network in self.hardened.model.get("networks", {}).items():
            full, words = creation(name, network, project)
            what = f"the network {full} cannot be isolated from external DNS"
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
                self.directory.session.must(f"the volume {full} cannot be created", "make_volume", full, *words)

    def _waves(self, services: list[str]) -> Iterator[list[str]]:
        after = {service.name: service.after.keys() | service.shares for service in self.hardened.services}
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
        stable = StableRestarts(self.directory.session)
        while True:
            state = self.directory.observation()
            self._states.of_containers(state.containers)
            waited = names or {service.name for service in self.hardened.services}
            if not self._not_ready(state) & waited and not was_refused(reply):
                late = time.monotonic() >= deadline
                if late or stable.observed(self._may_restart(state, waited), time.monotonic()):
                    return state
            failed = any(self._failed(c) for c in state.containers if c.service in waited)
            if failed or time.monotonic() >= deadline:
                self._fail(reply, state)
            gave_up = reply is not None and reply.code != 0
            if gave_up and (was_refused(reply) or self._former(state) & waited or not self._ended_well(state)):
                self._fail(reply, state)
            for container in state.containers:
                if container.engine == "podman" and container.health == "starting":
                    # Podman runs health checks by systemd timers, and without systemd nobody does.
                    self.directory.session.call("engine", "podman", "healthcheck", "run", container.id)
            time.sleep(POLL_SECONDS)

    def _may_restart(self, state: State, names: AbstractSet[str]) -> list[Container]:
        """Return the containers that an engine restarts, and that no health check shows to be up."""
        models = self.hardened.model["services"]
        policies = {name: models[name].get("restart", "no") for name in names}
        policies |= {name: "always" for name in names if models[name].get("deploy", {}).get("restart_policy")}
        return [c for c in state.containers if c.health is None and policies.get(c.service, "no") != "no"]

    def _configs(self) -> dict[str, str]:
        return {name: given["labels"].get(LABEL_CONFIG, "") for name, given in self.hardened.model["services"].items()}

    def unpause(self, before: State) -> State:
        """Unpause paused containers, and return what exists then.

        Docker calls a paused container unhealthy until its first health check after that says otherwise.
        """
        paused = {container.id for container in before.containers if container.state == "paused"}
        if not paused:
            return before
        engine = self.directory.operation.target.engine
        self.directory.session.must(
            "the paused containers cannot be resumed", "engine", engine, "unpause", *sorted(paused)
        )
        deadline = time.monotonic() + RECOVERY_SECONDS
        while True:
            state = self.directory.observation()
            sick = any(container.id in paused and container.health == "unhealthy" for container in state.containers)
            if not sick or time.monotonic() >= deadline:
                return state
            time.sleep(POLL_SECONDS)

    # --- starting

    def _compose(self, *options: str, services: Iterable[str], deadline: float | None = None) -> Reply:
        """Run `up` for these services; with a ``deadline`` Docker Compose waits for them, and its code says nothing."""
        names, all_names = list(services), {service.name for service in self.hardened.services}
        words = ["up", "-d", *options]
        words += ["--no-build"] if any(service.built for service in self.hardened.services) else []
        if not self.tool.podman:
            words = ["--progress", "plain", *words]
            if self.desired.profile.spec.compose.pull == "always":
                words += ["--pull", "missing"]  # each was pulled before it was decided what to recreate
            if deadline is not None:
                left = max(1, int(deadline - time.monotonic()))
                words += ["--wait", "--wait-timeout", str(left), "--remove-orphans"]
        if set(names) != all_names:
            words += [word for word in ("--no-deps",) if word not in words] + names
        return self._run(words, waits=deadline is not None)

    def _run(self, words: list[str], *, waits: bool = False) -> Reply:
        """Run the Compose of the host on the stack. Raise ProvisionFailed if it fails, unless it ``waits``."""
        reply = self._call("compose", words)
        if reply.code != 0 and NAME_TAKEN in reply.text:  # by a container whose removal another client had begun
            self.directory.await_removals()
            reply = self._call("compose", words)
        if reply.code != 0 and not waits:
            self._fail(reply, self.directory.observation())
        return reply

    def _call(self, verb: str, words: list[str]) -> Reply:
        """Run the Compose of the host on the stack. Raise ProvisionFailed if what it is to read was swapped."""
        project = project_name(self.desired.name, self.desired.id)
        # What the engine opens is checked again first: containers of an earlier apply may be running.
        sources = [self.directory.below(path) for path in self.hardened.sources]
        words = [self.tool.kind, self.tool.command, project, str(len(sources)), *sources, *words]
        reply = self.directory.session.call(
            verb, *words, timeout=self._timeout + START_SECONDS, on_line=self._states.line
        )
        if reply.code == _SWAPPED:
            raise ProvisionFailed(
                self.desired.name,
                f"{self.desired.name} on {self.directory.operation.target.host} was not started: {reply.words}",
                hint="check who else changes files there, and apply again",
            )
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
        seen = by_service(state.containers)
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
            for name, containers in by_service(state.containers).items()
            if name in configs and any(c.labels.get(LABEL_CONFIG) != configs[name] for c in containers)
        }

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
        """Raise ProvisionFailed: what the engine printed, and what is known of each service that is not up."""
        output = reply.text if reply is not None and reply.code != 0 else ""
        images = {name: str(given.get("image")) for name, given in self.hardened.model["services"].items()}
        not_ready, one_shot = self._not_ready(state), {one.name for one in self.hardened.services if one.one_shot}
        symptoms = [
            examined(self.directory.session, container, one_shot=container.service in one_shot)
            for container in state.containers
            if not self._good(container) and container.service in not_ready
        ]
        text, cause = diagnose(output, symptoms, self._absent(state, images), images, timeout=self._timeout)
        self._raise("did not become ready", text, cause)

    def _absent(self, state: State, images: Mapping[str, str]) -> dict[str, str]:
        """Return the services that the engine left as they were, or did not create, each with a sentence."""
        former, there = self._former(state), {container.service for container in state.containers}
        return {
            name: f"{named('service', name)} {'was not changed' if name in former else 'was not created'}; "
            f"image {images[name]}"
            for name in sorted(former | (self._not_ready(state) - there))
        }

    def _raise(self, what: str, text: str, cause: Cause) -> NoReturn:
        """Raise ProvisionFailed without the secrets of the sandbox."""
        model = self.hardened.model
        known, more = frozenset(model["services"]), sensitive_values(model, self.variables.sensitive)
        text, message, whole = (
            self.variables.redact(part, known, more) for part in (text, cause.message, cause.text or text)
        )
        again = f"`sandboxer recreate {self.desired.name}`" if self.desired.origin == "api" else "apply again"
        remedy = hint_of(cause.code) or "fix the cause"
        subject = f"{self.desired.name} on {self.directory.operation.target.host} {what}"
        raise ProvisionFailed(
            self.desired.name,
            f"{subject}:\n{text}",
            hint=f"{remedy}, then {again}",
            cause=Cause(cause.code, message, cause.service, f"{subject}:\n{whole}"),
        )
