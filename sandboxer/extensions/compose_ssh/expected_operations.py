"""What an apply is expected to do with each service, by two versions of a stack: a pure function, for plans.

It decides with the very rules that an apply decides with, ``service_plan``. It does not know what only an apply finds
out: whether an image's name stands for another image by then, and whether a secret's value changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandboxer.extensions.compose_ssh.labels import LABEL_CONFIG
from sandboxer.extensions.compose_ssh.service_plan import (
    ObservedStack,
    by_service,
    definition,
    desired_services,
    plan_services,
    what_changed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sandboxer.extensions.compose_ssh.policy import Hardened
    from sandboxer.model.observed import Container
    from sandboxer.model.protocols import TreeEntry
    from sandboxer.model.service_operation import ServiceOperation

MOST_DETAILS = 5


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a stack: as hardened for no host in particular, and the files of its input."""

    hardened: Hardened
    entries: Mapping[str, TreeEntry]


def expected_operations(
    former: Version | None,
    new: Version,
    containers: Iterable[Container],
    *,
    recorded: Mapping[str, str],
    replaced: bool = False,
    networks: bool = True,
    put_back: bool = False,
) -> tuple[ServiceOperation, ...]:
    """Return what an apply of ``new`` does with each service where ``former`` was applied, by name.

    Without ``former`` the sandbox begins a new life, with ``replaced`` in place of one whose containers are removed.
    ``containers`` are those that were observed, and ``recorded`` maps the services of the record to the IDs of their
    images. ``networks`` says that a network whose definition changed is recreated, ``put_back`` that the delivered
    files are missing.
    """
    there = tuple(containers)
    paused = frozenset(container.id for container in there if container.state == "paused")
    observed = ObservedStack(
        tuple(_unpaused(container) for container in there),
        recorded=frozenset(recorded),
        unpaused=paused,
        put_back=frozenset(name for bind in new.hardened.binds for name in bind.services) if put_back else frozenset(),
        changed=what_changed(former.hardened.model if former else None, new.hardened.model, networks=networks),
        replaced=replaced,
    )
    before, labels = _configs(former.hardened) if former else {}, _labels(there)
    other = {c.service for c in there if recorded.get(c.service, c.image_id) != c.image_id}
    services = tuple(
        replace(
            one,
            config=labels.get(one.name, "") if before.get(one.name) == one.config else "changed",
            image_id=recorded[one.name].removeprefix("sha256:") if one.name in other else "",
        )
        for one in desired_services(new.hardened, {})
    )
    found = plan_services(observed, services)
    return tuple(replace(one, details=_details(one, former, new)) if former else one for one in found)


def _unpaused(container: Container) -> Container:
    """Return a container as it is after an apply's first step: Docker calls a paused one unhealthy."""
    return replace(container, state="running", health=None) if container.state == "paused" else container


def _configs(hardened: Hardened) -> dict[str, str]:
    return {name: one["labels"][LABEL_CONFIG] for name, one in hardened.model["services"].items()}


def _labels(containers: Iterable[Container]) -> dict[str, str]:
    """Return the label that stands for each service's definition on the host, whatever it says."""
    return {name: found[0].labels.get(LABEL_CONFIG, "") for name, found in by_service(containers).items()}


# --- what changed, in names that a reader knows from the files


def _details(operation: ServiceOperation, former: Version, new: Version) -> tuple[str, ...]:
    """Return what changed about a service: keys of its definition, files that it uses, files that it is built from."""
    if operation.action != "recreate" or operation.cause not in ("config", "files", "image", "network"):
        return ()
    name = operation.service
    before, now = (v.hardened.model["services"].get(name, {}) for v in (former, new))
    found = [*_keys(definition(before), definition(now)), *_files(name, former, new)]
    if operation.cause == "network":
        found += [f"networks.{one}" for one in _networks(former, new, now)]
    found = list(dict.fromkeys(found))
    rest = [f"{len(found) - MOST_DETAILS} more"] if len(found) > MOST_DETAILS else []
    return (*found[:MOST_DETAILS], *rest)


def _keys(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of a definition that differ, those of its mappings one by one."""
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if old == new:
            continue
        if isinstance(old, dict | None) and isinstance(new, dict | None):
            old, new = old or {}, new or {}
            yield from (f"{key}.{one}" for one in sorted(old.keys() | new.keys()) if old.get(one) != new.get(one))
        else:
            yield key


def _networks(former: Version, new: Version, service: Mapping[str, Any]) -> list[str]:
    old, now = (v.hardened.model.get("networks", {}) for v in (former, new))
    return [name for name in sorted(service.get("networks") or ()) if old.get(name) != now.get(name)]


def _files(service: str, former: Version, new: Version) -> Iterator[str]:
    """Yield the changed files that a service uses; what its image is built from is marked so."""
    before, now = _sources(service, former), _sources(service, new)
    changed = sorted(
        path
        for path in former.entries.keys() | new.entries.keys()
        if _content(former.entries.get(path)) != _content(new.entries.get(path))
    )
    differing = before ^ now
    for source, build in sorted({(source, build) for source, build, _, _ in differing}):
        folder = f"{source}/" if source else ""
        unseen = frozenset.intersection(*(unseen for *what, _, unseen in differing if what == [source, build]))
        below = [path for path in changed if path == source or path.startswith(folder)]
        below = [path for path in below if path.removeprefix(folder) not in unseen]
        yield from (f"image build: {path}" if build else path for path in below or [source or "."])


def _sources(service: str, version: Version) -> frozenset[tuple[str, bool, str, frozenset[str]]]:
    """Return what a service uses of the input.

    That is the path, whether its image is built from it, the content, and which files of it no build sees.
    """
    services = version.hardened.model["services"]
    image = services.get(service, {}).get("image")
    builders = {name for name, one in services.items() if "build" in one and one.get("image") == image}
    contexts = {path for name in builders for path in _contexts(services[name]["build"])}
    found = set()
    for bind in version.hardened.binds:
        built = bind.destination in contexts
        if service in bind.services or (built and builders.intersection(bind.services)):
            found.add((bind.source, built, bind.digest, bind.left_out))
    return frozenset(found)


def _contexts(build: Mapping[str, Any]) -> Iterator[str]:
    for path in (build.get("context"), *(build.get("additional_contexts") or {}).values()):
        yield str(path).replace("$$", "$")


def _content(entry: TreeEntry | None) -> tuple[object, ...] | None:
    return (entry.blob, entry.executable, entry.target) if entry else None
