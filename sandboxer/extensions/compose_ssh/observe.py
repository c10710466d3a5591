"""The engines' part of a host's observation: the containers of Docker and Podman, and which one new sandboxes get."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandboxer.extensions.compose_ssh.engines import ENGINES, read_engine
from sandboxer.hosts.observation import ObservationPart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandboxer.extensions.base import ObserveRequest
    from sandboxer.hosts.sections import Sections
    from sandboxer.model.observed import Engine, EngineObservation, Reachable


def engine_part(request: ObserveRequest) -> ObservationPart:
    """Return the part of an observation that queries the engines of one host."""

    def read(observation: Reachable, sections: Sections, stderr: bytes) -> Reachable:
        found = (read_engine(engine, sections, stderr) for engine in ENGINES)
        engines = {seen.engine: seen for seen in found if seen}
        chosen, problem = _chosen_engine(sections, engines)
        return replace(
            observation, engine=chosen, engines=engines, backend_error=problem, absence_error=_unanswered(engines)
        )

    return ObservationPart(
        ("sandboxer.extensions.compose_ssh:engine.sh", "sandboxer.extensions.compose_ssh:observe.sh"),
        {"runtime": request.runtime, "tool": request.tool or "", "restarts": "yes" if request.restarts else ""},
        read,
    )


def _unanswered(engines: Mapping[Engine, EngineObservation]) -> str | None:
    """Return why sandboxes may exist that were not found: an engine keeps them after another one was chosen."""
    return next((_no_answer(name, engine.error) for name, engine in engines.items() if engine.error), None)


def _no_answer(engine: Engine, error: str) -> str:
    return f"{engine} does not answer: {error}"


def _chosen_engine(sections: Sections, engines: Mapping[Engine, EngineObservation]) -> tuple[Engine | None, str | None]:
    has = dict(pair.split("=") for pair in (sections.body("engines") or b"").decode().split())
    chosen: Engine | None = has.pop("requested")
    if chosen != "auto":
        if chosen not in has:
            return None, f"spec.runtime is {chosen}, which is neither Docker nor Podman"
        if not has[chosen]:
            return None, f"spec.runtime is {chosen}, but no `{chosen}` command is installed"
    else:
        chosen = "docker" if has["docker"] else "podman" if has["podman"] else None
    if chosen is None:
        return None, "neither Docker nor Podman is installed"
    observation = engines.get(chosen)
    if observation is None or observation.error is not None:
        return chosen, _no_answer(chosen, "it was not queried" if observation is None else observation.error or "")
    return chosen, None
