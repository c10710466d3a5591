"""What is on the hosts and not ours: listed, never touched. And what a person should know before acting."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sandboxer.model.identity import COMPOSE_PROJECT
from sandboxer.model.observed import RECORD_MISSING
from sandboxer.model.plan import Unmanaged
from sandboxer.reconcile.orphans import outlived, unwanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.reconcile.scene import Scene
    from sandboxer.reconcile.sight import Sight

CLOCK_TOLERANCE = timedelta(seconds=60)


def unmanaged(scene: Scene) -> Iterator[Unmanaged]:
    """Compose projects, single containers and directories that no record of this fleet covers, by host and name."""
    for host in sorted(scene.surveys):
        others = scene.surveys[host].others
        projects = {c.labels[COMPOSE_PROJECT] for c in others if c.labels.get(COMPOSE_PROJECT)}
        single = {c.name for c in others if not c.labels.get(COMPOSE_PROJECT)}
        yield from (Unmanaged(host, "compose_project", name) for name in sorted(projects))
        yield from (Unmanaged(host, "container", name) for name in sorted(single))
        yield from (Unmanaged(host, "directory", name) for name in sorted(scene.looks[host].directories))
    for sight in unwanted(scene):
        if sight.record is None and not outlived(sight, scene):
            if _bare(sight):
                yield Unmanaged(sight.host, "directory", f"{scene.fleet.name}/{sight.id}")
            else:
                yield Unmanaged(sight.host, "ambiguous", _described(sight))


def warnings(scene: Scene, forget: frozenset[str]) -> Iterator[str]:
    """What does not stop a plan and should not be missed, in a sentence each. ``forget`` is of --forget-host."""
    for name, look in sorted(scene.looks.items()):
        # Expiry goes by both clocks, so a sandbox there lives longer.
        if abs(look.clock - scene.now) > CLOCK_TOLERANCE:
            seconds = round((look.clock - scene.now).total_seconds())
            direction = "ahead of" if seconds > 0 else "behind"
            yield f"the clock of {name} is {abs(seconds)} s {direction} this machine's"
        if trash := sum(leftover.startswith(".trash-") for leftover in look.leftovers):
            left = f"{trash} sandbox{'' if trash == 1 else 'es'}"
            yield f"{name} still has files of {left} that it could not remove: the next apply tries again"
    if scene.fleet.commit is not None and scene.fleet.root_commit is None:
        yield (
            "this is a shallow clone: whether another repository has a fleet of the same name cannot be told "
            "(in a workflow, check out with `fetch-depth: 0`)"
        )
    for sight in unwanted(scene):
        if sight.record is None and not _bare(sight) and not outlived(sight, scene):
            yield f"{_described(sight)} on {sight.host} has no manifest and {_why_it_stays(sight)}"
    for name in sorted(forget - scene.forgotten):
        known = "it answers" if name in scene.fleet.retired else "it is in git" if name in scene.fleet.hosts else ""
        yield f"--forget-host {name} does nothing: {known or 'there is no such host'}"


def _bare(sight: Sight) -> bool:
    """Whether it is a directory with nothing to say that it ever was ours."""
    return not sight.running and sight.found is not None and sight.found.error == RECORD_MISSING


def _why_it_stays(sight: Sight) -> str:
    if sight.found is not None and sight.found.error not in (None, RECORD_MISSING):
        return f"a record that cannot be used ({sight.found.error}): it stays until that is repaired or removed"
    return f"no record: it stays until `destroy --without-record {sight.id}`"


def _described(sight: Sight) -> str:
    return sight.id if sight.name == sight.id else f"{sight.name} ({sight.id})"
