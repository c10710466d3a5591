"""What the planner decides on: the fleet, and each host's look sorted by sandbox. What is not known is a gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.model.lifecycle import Reason
from sandboxer.model.observed import Reachable
from sandboxer.model.plan import HostSummary
from sandboxer.reconcile.sight import survey

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from sandboxer.model.desired import Fleet
    from sandboxer.model.observed import Look
    from sandboxer.model.plan import HostStatus
    from sandboxer.reconcile.sight import Sight, Survey


@dataclass(frozen=True, slots=True)
class Gap:
    """Why a host is not known in full: its status, the reason for what that blocks, and the error in words."""

    host: str
    status: HostStatus
    reason: Reason
    error: str


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a decision rests on. ``now`` is the runner's clock.

    ``looks`` and ``surveys`` are of the hosts that answered, ``gaps`` of those whose look is missing or not complete:
    one that answered in part is in all three. A host that is forgotten is in none.
    """

    fleet: Fleet
    looks: Mapping[str, Reachable]
    surveys: Mapping[str, Survey]
    gaps: Mapping[str, Gap]
    now: datetime
    forgotten: frozenset[str] = frozenset()

    def sights(self, identifier: str) -> Iterator[Sight]:
        """What each host shows of one sandbox, by the hosts' names; nothing of those that show none."""
        for host in sorted(self.surveys):
            if identifier in self.surveys[host].sights:
                yield self.surveys[host].sights[identifier]

    def sight(self, host: str | None, identifier: str) -> Sight | None:
        """What one host shows of one sandbox."""
        return self.surveys[host].sights.get(identifier) if host is not None and host in self.surveys else None

    def gap(self, sight: Sight) -> Gap | None:
        """Why this sight may not be all that there is: its host's gap, or its own engine's."""
        if sight.engine_error:
            return Gap(sight.host, "unknown", Reason.BLOCKED_ENGINE, sight.engine_error)
        return self.gaps.get(sight.host)

    def silent(self, hosts: Iterable[str]) -> Gap | None:
        """The first gap among ``hosts``: what might be there cannot be told."""
        return next((self.gaps[host] for host in hosts if host in self.gaps), None)

    def hosts(self) -> Iterator[HostSummary]:
        """How the look at each host went, by name."""
        for name in sorted(self.fleet.hosts.keys() - self.forgotten):
            gap = self.gaps.get(name)
            yield HostSummary(name, gap.status, gap.error) if gap else HostSummary(name, "reachable")


def scene_of(fleet: Fleet, looks: Mapping[str, Look], now: datetime, forget: frozenset[str] = frozenset()) -> Scene:
    """Sorts the looks. Of ``forget``, a host is forgotten only where git has no more of it and it does not answer."""
    forgotten = frozenset(h for h in forget & fleet.retired if not isinstance(looks.get(h), Reachable))
    answered: dict[str, Reachable] = {}
    gaps: dict[str, Gap] = {}
    for name in sorted(fleet.hosts.keys() - forgotten):
        look = looks.get(name)
        if isinstance(look, Reachable):
            answered[name] = look
            if look.error:
                gaps[name] = Gap(name, "unknown", _reason(look), look.error)
        else:
            error = look.error if look else "it was not looked at"
            if name in fleet.retired:
                error += f" (its manifest is gone from git: give --forget-host {name} where the machine is gone too)"
            status: HostStatus = "unknown" if look and look.answered else "unreachable"
            gaps[name] = Gap(name, status, Reason.BLOCKED_UNREACHABLE, error)
    surveys = {name: survey(look, fleet.name, fleet.hosts[name].spec.root) for name, look in answered.items()}
    for names in _same_machine(surveys):
        error = f"{' and '.join(sorted(names))} are one machine under several names: keep one Host document"
        gaps |= {name: Gap(name, "unknown", Reason.BLOCKED_AMBIGUOUS, error) for name in names}
    return Scene(fleet, answered, surveys, gaps, now, forgotten)


def _reason(look: Reachable) -> Reason:
    engine = look.engines.get(look.engine) if look.engine else None
    return Reason.BLOCKED_ENGINE if engine is None or engine.error else Reason.BLOCKED_AMBIGUOUS


def _same_machine(surveys: Mapping[str, Survey]) -> Iterable[frozenset[str]]:
    """Names of hosts that show one uid. A uid is random, so two hosts can share one only by being one."""
    seen: dict[str, set[str]] = {}
    for host, found in surveys.items():
        for sight in found.sights.values():
            for uid in {sight.uid, *(owner.uid for owner in sight.owners())} - {""}:
                seen.setdefault(uid, set()).add(host)
    return sorted({frozenset(hosts) for hosts in seen.values() if len(hosts) > 1}, key=sorted)
