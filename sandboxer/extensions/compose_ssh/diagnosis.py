"""Why a stack's services are not up: from what the engine printed, and from each container's state, checks and log."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandboxer.errors.cause import Cause
from sandboxer.extensions.compose_ssh import failure_patterns
from sandboxer.extensions.compose_ssh.engine_output import built_service, last_line, of_build, without_noise
from sandboxer.model.text import named
from sandboxer.reconcile.drift import state_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandboxer.hosts.session import HostSession
    from sandboxer.model.observed import Container

LOG_LINES = 12  # in a message; the text beside the record has more
MOST_LOG_LINES = 100
_NOT_RUN = (126, 127)  # a shell's exit codes of a command that it cannot run, or cannot find
_KILLED = 137
_TRIES, _TRY_SECONDS = 8, 0.15
_OF_AN_IMAGE = ("pull-denied", "image-missing", "pull-failed")
STABLE_SECONDS = 3.0  # an engine waits 100 ms before the first restart, and twice as long before each next one
#: Only in a log that ends with them: what else a service prints is its own business.
_OF_A_LOG = ("port-in-use", "disk-full")


@dataclass(frozen=True, slots=True)
class Symptom:
    """What is known of a container that is not up.

    ``error`` is why the engine could not start it, ``check`` the last output of its health check, ``log`` its last
    lines. ``one_shot`` is whether it was to end by itself.
    """

    container: Container
    one_shot: bool = False
    oom: bool = False
    error: str = ""
    restarts: int = 0
    check: str = ""
    log: str = ""

    @property
    def code(self) -> str | None:
        """The code of the failure; None for a container that did not fail, but is not up either."""
        container = self.container
        if self.error:
            return failure_patterns.code_of(self.error) or "failed"
        if container.health == "unhealthy" and container.state == "running":
            return "service-unhealthy"
        ended = container.state in ("exited", "dead") and container.exit_code != 0
        if not ended and container.state != "restarting":
            return None
        if self.oom:
            return "out-of-memory"
        if container.exit_code in _NOT_RUN:
            return "bad-command"
        of_log = failure_patterns.code_of(last_line(self.log))
        if of_log in _OF_A_LOG:
            return of_log
        return "crash-loop" if container.state == "restarting" or self.restarts else "service-exited"

    @property
    def message(self) -> str:
        """The cause in one line."""
        container, service = self.container, named("service", self.container.service)
        service = f"one-shot {service}" if self.one_shot else service
        words = last_line(self.log)
        quoted = f": {words}" if words else ""
        if self.error:
            return f"{service} cannot be started: {last_line(self.error)}"
        if self.code == "service-unhealthy":
            check = last_line(self.check)
            return f"{service} is unhealthy" + (f": {check}" if check else "")
        if self.code == "out-of-memory":
            return f"{service} was killed: out of memory (exit code {container.exit_code})"
        if self.code is None:
            starting = f"health check {container.health}" if container.health else container.state
            return f"{service} is not ready: {starting}"
        again = f" after {self.restarts} restarts" if self.restarts else " again and again"
        # Podman does not always know why.
        perhaps = ", perhaps out of memory" if container.engine == "podman" else ""
        killed = f" (killed{perhaps})" if container.exit_code == _KILLED else ""
        often = again if self.code == "crash-loop" else ""
        return f"{service} exited with code {container.exit_code}{killed}{often}{quoted}"

    def report(self, most: int) -> str:
        """Return everything that is known, with at most so many lines of the log."""
        restarts = f", {self.restarts} restarts" if self.restarts else ""
        oom = ", out of memory" if self.oom else ""
        parts = [f"{named('service', self.container.service)} is {state_of(self.container)}{oom}{restarts}"]
        parts += [self.error] if self.error else []
        parts += [f"health check output:\n{self.check}"] if self.check else []
        lines = self.log.splitlines()[-most:]
        parts += ["last log lines:\n" + "\n".join(lines)] if lines else []
        return "\n".join(parts)


def examined(session: HostSession, container: Container, *, one_shot: bool) -> Symptom:
    """Return what the host knows of a container that is not up."""
    # Podman before 4.4 has another name for the health, and later versions have it as well.
    health = "State.Health" if container.engine == "docker" else "State.Healthcheck"
    log = "{{with .%s}}{{json .Log}}{{else}}null{{end}}" % health  # noqa: UP031 - of a template full of braces
    fields = {
        "oom": ".State.OOMKilled",
        "error": ".State.Error",
        "restarts": ".RestartCount",
        "code": ".State.ExitCode",
    }
    known = ",".join(f'"{name}":{{{{json {field}}}}}' for name, field in fields.items())
    form = f'{{{known},"health":{log}}}'
    state = _inspected(session, container, form)
    for _ in range(_TRIES if container.state == "restarting" else 0):
        if state.get("code"):  # in the moment of a restart it runs, and has none
            break
        time.sleep(_TRY_SECONDS)
        state = _inspected(session, container, form)
    checks = [str(one.get("Output", "")) for one in state.get("health") or () if isinstance(one, dict)]
    unwell = container.health not in (None, "healthy")
    never_ran = container.state == "created"
    if container.state == "restarting" and isinstance(state.get("code"), int):
        container = replace(container, exit_code=state["code"])  # a list of containers does not have it
    lines = session.call("logs", container.engine, str(MOST_LOG_LINES), container.id)
    return Symptom(
        container,
        one_shot=one_shot,
        oom=state.get("oom") is True,
        error=str(state.get("error") or "").strip() if never_ran else "",
        restarts=state["restarts"] if isinstance(state.get("restarts"), int) else 0,
        check=checks[-1].strip() if checks and unwell else "",
        log=lines.text if lines.code == 0 else "",
    )


class StableRestarts:
    """Whether containers that an engine restarts stay up: one that has just crashed runs again for a moment."""

    def __init__(self, session: HostSession) -> None:
        self._session = session
        self._since: dict[tuple[str, int], float] = {}

    def observed(self, containers: Sequence[Container], now: float) -> bool:
        """Observe how often each was restarted at ``now``, of the monotonic clock; return whether all are stable.

        One that was never restarted is, and one whose count has not grown for ``STABLE_SECONDS``.
        """
        if not containers:
            return True
        ids = [container.id for container in containers]
        words = ("inspect", "--format", "{{.ID}} {{.RestartCount}}")
        reply = self._session.call("engine", containers[0].engine, *words, *ids)
        pairs = [line.split() for line in reply.text.splitlines()] if reply.code == 0 else []
        counts = [(pair[0], int(pair[1])) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()]
        for counted in counts:
            self._since.setdefault(counted, now)
        return all(count == 0 or now - self._since[identifier, count] >= STABLE_SECONDS for identifier, count in counts)


def _inspected(session: HostSession, container: Container, form: str) -> dict[str, Any]:
    reply = session.call("engine", container.engine, "inspect", "--format", form, container.id)
    return _parsed(reply.text) if reply.code == 0 else {}


def diagnose_build(output: str, names: Sequence[str]) -> tuple[str, Cause]:
    """Return the text of a message about a build of these services that failed, and the cause."""
    service, last = built_service(output, names), last_line(output, 500)
    what = f"the build of {named('service', service)} failed" if service else "a build failed"
    code, why = failure_patterns.code_of_build(output, last), last.removeprefix("failed to solve: ")
    return f"{what}:\n{of_build(output)}", Cause(code, f"{what}: {why.removeprefix('Error: ')}", service, output)


def _parsed(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def diagnose(
    output: str, symptoms: Sequence[Symptom], others: Mapping[str, str], images: Mapping[str, str], *, timeout: float
) -> tuple[str, Cause]:
    """Return the text of a message, and the cause.

    ``output`` is what Compose printed when it failed, empty where it did not; ``others`` are services without any
    container, or with a former one, each with a sentence; ``images`` are the services' images. What the engine printed
    counts before a container's state, where its words are known: a container that it could not start shows nothing.
    """
    words, sentences = without_noise(output), list(others.values())
    failed = [symptom for symptom in symptoms if symptom.code is not None]
    known = failure_patterns.code_of(words)
    first = failed[0] if failed else symptoms[0] if symptoms else None
    if known is not None and not any(symptom.code == known for symptom in failed):
        line = _line_of(words, known)
        service = _service_of(line, symptoms, others, images)
        cause = Cause(known, _about(line, known, service, images), service)
    elif first is not None and (failed or not words):
        code = first.code or "timeout"
        late = f" after {timeout:g} s" if first.code is None else ""
        cause = Cause(code, first.message + late, first.container.service)
    elif words:
        cause = Cause("failed", last_line(words))
    else:
        missing = next(iter(others), None)
        what = others[missing] if missing else "the services are not ready"
        cause = Cause("timeout", f"{what} after {timeout:g} s", missing)
    errors = [symptom.error for symptom in symptoms if symptom.error]
    shown = [line for line in words.splitlines() if not any(line.endswith(error) for error in errors)]

    def text(most: int) -> str:
        parts = [*shown, *sentences, *(symptom.report(most) for symptom in symptoms)]
        return "\n".join(part for part in parts if part)

    return text(LOG_LINES), Cause(cause.code, cause.message, cause.service, text(MOST_LOG_LINES))


def _about(line: str, code: str, service: str | None, images: Mapping[str, str]) -> str:
    """Return the engine's words, with the service and the image that they are about."""
    words = line.removeprefix("Error response from daemon: ").removeprefix("Error: ")
    if service is None:
        return words
    if code in _OF_AN_IMAGE:
        return f"the image {images[service]} of {named('service', service)} cannot be pulled: {words}"
    return f"{named('service', service)} cannot be started: {words}"


def _service_of(
    line: str, symptoms: Sequence[Symptom], others: Mapping[str, str], images: Mapping[str, str]
) -> str | None:
    """Return the service that the engine's words are about: by its image, else the only one that does not run."""
    for service, image in images.items():
        if image and re.search(rf"(?<![\w./-]){re.escape(image.rpartition(':')[0] or image)}(?![\w./-])", line):
            return service
    left = {symptom.container.service for symptom in symptoms} | others.keys()
    return next((symptom.container.service for symptom in symptoms if symptom.error), None) or (
        next(iter(left)) if len(left) == 1 else None
    )


def _line_of(words: str, code: str) -> str:
    lines = [line for line in words.splitlines() if failure_patterns.code_of(line) == code]
    return last_line(lines[-1] if lines else words, 500)
