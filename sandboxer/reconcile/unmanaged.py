"""What is on the hosts but not ours (listed, never touched), and the warnings to read before acting."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sandboxer.errors.remedy import Notice, RemedyCode, remedy_of
from sandboxer.model.observed import RECORD_MISSING
from sandboxer.model.plan import Unmanaged
from sandboxer.model.suggestion import nearest
from sandboxer.reconcile.orphans import outlived, unwanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandboxer.model.desired import Fleet
    from sandboxer.reconcile.fleet_state import FleetState
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox

CLOCK_TOLERANCE = timedelta(seconds=60)


def unmanaged(fleet_state: FleetState) -> Iterator[Unmanaged]:
    """Yield projects of containers, single containers and directories that no record here covers, by host and name."""
    for host in sorted(fleet_state.observed_hosts):
        others = fleet_state.observed_hosts[host].others
        projects = {c.project for c in others if c.project}
        single = {c.name for c in others if not c.project}
        yield from (Unmanaged(host, "compose_project", name) for name in sorted(projects))
        yield from (Unmanaged(host, "container", name) for name in sorted(single))
        yield from (Unmanaged(host, "directory", name) for name in sorted(fleet_state.observations[host].directories))
    for observed in unwanted(fleet_state):
        if observed.record is None and not outlived(observed, fleet_state):
            if _bare(observed):
                yield Unmanaged(observed.host, "directory", f"{fleet_state.fleet.name}/{observed.id}")
            else:
                yield Unmanaged(observed.host, "ambiguous", _described(observed))


def warnings(fleet_state: FleetState, forget: frozenset[str]) -> Iterator[Notice]:
    """Yield warnings that do not stop a plan. ``forget`` are the hosts that the run was to forget."""
    for name, observation in sorted(fleet_state.observations.items()):
        # A sandbox expires only by both clocks, so one there lives longer.
        if abs(observation.clock - fleet_state.now) > CLOCK_TOLERANCE:
            seconds = round((observation.clock - fleet_state.now).total_seconds())
            direction = "ahead of" if seconds > 0 else "behind"
            yield Notice(f"the clock of {name} is {abs(seconds)} s {direction} this machine's")
        if trash := sum(leftover.startswith(".trash-") for leftover in observation.leftovers):
            left = f"{trash} sandbox{'' if trash == 1 else 'es'}"
            yield Notice(f"{name} still has files of {left} that it could not remove: the next apply tries again")
    if fleet_state.fleet.commit is not None and fleet_state.fleet.root_commit is None:
        yield Notice(
            "this is a shallow clone, so another repository with a fleet of the same name goes unnoticed "
            "(in a workflow, check out with `fetch-depth: 0`)"
        )
    for observed in unwanted(fleet_state):
        if observed.record is None and not _bare(observed) and not outlived(observed, fleet_state):
            yield _why_it_stays(observed)
    for name in sorted(forget - fleet_state.forgotten):
        yield Notice(f"host {name} is not forgotten: {_why_known(fleet_state.fleet, name)}")


def _why_known(fleet: Fleet, name: str) -> str:
    if name in fleet.hosts:
        return "it answers" if name in fleet.retired else "it is in git"
    near = nearest(name, fleet.hosts)
    return "there is no such host" + (f"; did you mean `{near}`?" if near else "")


def _bare(observed: ObservedSandbox) -> bool:
    """Return whether this is a directory without any sign that it ever was ours."""
    return not observed.running and observed.found is not None and observed.found.error == RECORD_MISSING


def _why_it_stays(observed: ObservedSandbox) -> Notice:
    what = f"{_described(observed)} on {observed.host} has no manifest and"
    if observed.found is not None and observed.found.error not in (None, RECORD_MISSING):
        broken = f"a record that cannot be used ({observed.found.error})"
        return Notice(f"{what} {broken}: it stays until the record is repaired or removed")
    return Notice(f"{what} no record, so it stays", remedy_of(RemedyCode.DESTROY_UNRECORDED, id=observed.id))


def _described(observed: ObservedSandbox) -> str:
    return observed.id if observed.name == observed.id else f"{observed.name} ({observed.id})"
