"""The planner's input: the fleet, and each host's observation by sandbox. What was not observed is Unknown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandboxer.errors.remedy import RemedyCode, remedy_of
from sandboxer.model.lifecycle import Reason
from sandboxer.model.observed import Reachable
from sandboxer.model.plan import HostSummary
from sandboxer.reconcile.blocks import usual_remedy
from sandboxer.reconcile.observed_sandbox import observed_host

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from sandboxer.errors.remedy import Remedy
    from sandboxer.model.desired import Fleet
    from sandboxer.model.observed import HostObservation
    from sandboxer.model.plan import HostStatus
    from sandboxer.reconcile.observed_sandbox import ObservedHost, ObservedSandbox


@dataclass(frozen=True, slots=True)
class UnknownHost:
    """Why a host was not observed in full: its status, the reason for what that blocks, and the error in words.

    A ``retired`` host is not in git any more. With ``denied``, the login may not use an engine there.
    """

    host: str
    status: HostStatus
    reason: Reason
    error: str
    retired: bool = False
    denied: bool = False

    @property
    def remedy(self) -> Remedy | None:
        """What to do about it."""
        if self.retired:
            return remedy_of(RemedyCode.FORGET_HOST, host=self.host)
        if self.denied:
            return remedy_of(RemedyCode.ALLOW_ENGINE, host=self.host)
        return usual_remedy(self.reason, self.host)

    def summary(self) -> HostSummary:
        """Return it as the result of observing the host."""
        return HostSummary(self.host, self.status, self.error, self.remedy if self.retired else None)


@dataclass(frozen=True, slots=True)
class FleetState:
    """The state that decisions are based on. ``now`` is the runner's clock.

    ``observations`` and ``observed_hosts`` hold the hosts that answered, ``unknown_hosts`` those whose observation is
    missing or incomplete: one that answered in part is in all three. A forgotten host is in none.
    """

    fleet: Fleet
    observations: Mapping[str, Reachable]
    observed_hosts: Mapping[str, ObservedHost]
    unknown_hosts: Mapping[str, UnknownHost]
    now: datetime
    forgotten: frozenset[str] = frozenset()

    def copies(self, identifier: str) -> Iterator[ObservedSandbox]:
        """Yield each host's observation of one sandbox, by the hosts' names, without hosts that do not have it."""
        for host in sorted(self.observed_hosts):
            if identifier in self.observed_hosts[host].copies:
                yield self.observed_hosts[host].copies[identifier]

    def observed(self, host: str | None, identifier: str) -> ObservedSandbox | None:
        """Return one host's observation of one sandbox; None where the host does not have it."""
        return (
            self.observed_hosts[host].copies.get(identifier)
            if host is not None and host in self.observed_hosts
            else None
        )

    def unknown_host(self, observed: ObservedSandbox) -> UnknownHost | None:
        """Return why this observation may be incomplete: its host is Unknown, or its own engine is."""
        if observed.engine_error:
            return self._unknown_engine(observed.host, observed.engine_error)
        if observed.record is not None:
            return self._unknown_for(observed.host, (observed.record.extension,))
        return self._unknown_for(observed.host, self.observations[observed.host].backend_errors)

    def first_unknown(self, hosts: Iterable[str], extension: str) -> UnknownHost | None:
        """Return the first of ``hosts`` that is Unknown: which of an extension's sandboxes it has is not certain."""
        found = (self._unknown_for(host, (extension,), absence=True) for host in hosts)
        return next((unknown_host for unknown_host in found if unknown_host), None)

    def _unknown_for(self, host: str, extensions: Iterable[str], *, absence: bool = False) -> UnknownHost | None:
        """Return why what was found of these extensions on a host is not certain; None where it is.

        With ``absence``, why it is not certain that they have nothing else there.
        """
        if host in self.unknown_hosts:
            return self.unknown_hosts[host]
        observation = self.observations.get(host)
        errors: Mapping[str, str] = observation.backend_errors if observation else {}
        if observation and absence:
            errors = {**observation.absence_errors, **errors}
        error = next((errors[extension] for extension in extensions if extension in errors), None)
        return self._unknown_engine(host, error) if error else None

    def _unknown_engine(self, host: str, error: str) -> UnknownHost:
        """Return the error of an engine on a host that answered."""
        engines = self.observations[host].engines.values()
        denied = any(engine.denied and error.endswith(engine.error or "") for engine in engines)
        return UnknownHost(host, "unknown", Reason.BLOCKED_ENGINE, error, denied=denied)

    def _used_on(self, host: str) -> Iterable[str]:
        """Return the extensions whose sandboxes are on a host, or may go there.

        All that observed it, if there is none, or if something there has no record that names its extension.
        """
        observation, copies = self.observations[host], self.observed_hosts[host].copies.values()
        used = {observed.record.extension for observed in copies if observed.record} | {
            desired.profile.spec.extension for desired in self.fleet.sandboxes.values() if host in desired.eligible
        }
        unrecorded = any(observed.running and not observed.record for observed in copies)
        if unrecorded or not used:
            return (*observation.backend_errors, *observation.absence_errors)
        return sorted(used)

    def hosts(self) -> Iterator[HostSummary]:
        """Yield the result of observing each host, by name."""
        for name in sorted(self.fleet.hosts.keys() - self.forgotten):
            unknown_host = self.unknown_hosts.get(name)
            observation = self.observations.get(name)
            if unknown_host is None and observation and (observation.backend_errors or observation.absence_errors):
                unknown_host = self._unknown_for(name, self._used_on(name), absence=True)
            yield (unknown_host.summary() if unknown_host else HostSummary(name, "reachable"))


def fleet_state_of(
    fleet: Fleet, observations: Mapping[str, HostObservation], now: datetime, forget: frozenset[str] = frozenset()
) -> FleetState:
    """Return the observations by sandbox. Of ``forget``, only retired hosts that do not answer are forgotten."""
    forgotten = frozenset(h for h in forget & fleet.retired if not isinstance(observations.get(h), Reachable))
    answered: dict[str, Reachable] = {}
    unknown_hosts: dict[str, UnknownHost] = {}
    for name in sorted(fleet.hosts.keys() - forgotten):
        observation = observations.get(name)
        if isinstance(observation, Reachable):
            answered[name] = observation
            if observation.error:
                unknown_hosts[name] = UnknownHost(name, "unknown", Reason.BLOCKED_AMBIGUOUS, observation.error)
        else:
            error = observation.error if observation else "host was not observed"
            retired = name in fleet.retired
            if retired:
                error += " (its Host document is gone from git)"
            status: HostStatus = "unknown" if observation and observation.answered else "unreachable"
            unknown_hosts[name] = UnknownHost(name, status, Reason.BLOCKED_UNREACHABLE, error, retired)
    observed_hosts = {
        name: observed_host(observation, fleet.name, fleet.hosts[name].spec.root)
        for name, observation in answered.items()
    }
    for names in _same_machine(observed_hosts):
        error = f"{' and '.join(sorted(names))} are one machine under several names: keep one Host document"
        unknown_hosts |= {name: UnknownHost(name, "unknown", Reason.BLOCKED_AMBIGUOUS, error) for name in names}
    return FleetState(fleet, answered, observed_hosts, unknown_hosts, now, forgotten)


def _same_machine(observed_hosts: Mapping[str, ObservedHost]) -> Iterable[frozenset[str]]:
    """Return names of hosts that share a uid. A uid is random, so hosts that share one are the same machine."""
    seen: dict[str, set[str]] = {}
    for host, found in observed_hosts.items():
        for observed in found.copies.values():
            for uid in {observed.uid, *(owner.uid for owner in observed.owners())} - {""}:
                seen.setdefault(uid, set()).add(host)
    return sorted({frozenset(hosts) for hosts in seen.values() if len(hosts) > 1}, key=sorted)
