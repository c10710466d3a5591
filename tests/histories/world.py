"""A simulation of fleets and hosts, and everything that can happen in it. Every step is checked."""

from __future__ import annotations

import hashlib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from sandboxer.errors import HostUnreachable, ProvisionFailed, StaleChange, UsageError
from sandboxer.lifecycle.observe import observe_host
from sandboxer.model.identity import sandbox_id
from sandboxer.model.lifecycle import Action, Reason
from sandboxer.model.observed import Reachable
from sandboxer.reconcile.change import change_without
from sandboxer.reconcile.options import Options
from sandboxer.wiring import clock
from sandboxer.wiring.apply_options import ApplyOptions
from sandboxer.wiring.applying import Applier
from sandboxer.wiring.fleet_hosts import FleetHosts
from sandboxer.wiring.hosts import observe_request
from sandboxer.wiring.observations import FleetObservations
from sandboxer.wiring.operation import Operations
from sandboxer.wiring.planning import Planned, decide, resolved
from tests.histories.backend import SimulatedBackend
from tests.histories.git import BEGINNING, HOSTS, Commit, Files, Repository, manifests_of
from tests.histories.harm import Ground
from tests.histories.host import SimulatedHost
from tests.histories.judge import Glimpse, Judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sandboxer.extensions.base import Extension, Operation
    from sandboxer.model.desired import Fleet
    from sandboxer.model.documents import Manifests
    from sandboxer.model.outcome import Outcome
    from sandboxer.model.plan import Change, Plan

FREELY: Mapping[str, Any] = {"max_deletes": 1000, "allow_empty": True}
"""The limits lifted that a person lifts where a change is meant."""


def _options(request: Mapping[str, Any]) -> Options:
    return Options(**{key: frozenset(value) if isinstance(value, list) else value for key, value in request.items()})


COUNTS: Counter[str] = Counter()
"""How often what happened, in all runs of this process."""


class Killed(BaseException):
    """The client is gone, as after ``kill -9``: nothing of it runs any more, and no handler."""


@dataclass(slots=True)
class Interruption:
    """An interruption of an apply: ``kill``, ``cut``, ``engine``, ``failure`` or ``rival``.

    It happens at the n-th point that is passed, or at the first of a name, such as ``rewrite.after``.
    """

    kind: str
    at: int | str


@dataclass(slots=True)
class _Registry:
    backend: Extension
    first: str = "ext.compose-ssh"

    def get(self, _name: str) -> Extension:
        return self.backend

    def needs_engine(self, _name: str) -> bool:
        return True

    def supports(self, _name: str, _capability: str) -> bool:
        return False


class SimulatedRun:
    """A run of Sandboxer over a simulated fleet: its own planning and applying, on other edges.

    It is the source of the manifests, and it notes what the judge needs: the hosts' states when they were observed, and
    which change is in progress where.
    """

    def __init__(self, world: World, git: Repository, commit: Commit) -> None:
        self.world = world
        self.git = git
        self.commit = commit
        self.glimpses: dict[str, Glimpse] = {}
        self.at_work: dict[tuple[str, str], Change] = {}
        self.planned_on: dict[tuple[str, str], FleetObservations] = {}
        self.options = Options()
        self.destroyed: set[tuple[str, str | None, str | None]] = set()
        self.hosts: Any = SimulatedHosts(self)  # type: ignore[arg-type]
        self._backend: Any = SimulatedBackend(self._observed)

    @cached_property
    def desired(self) -> Fleet:
        """The fleet at the run's commit."""
        return self.git.fleet_at(self.commit)

    # --- as a FleetSource

    def sound(self) -> Manifests:
        return manifests_of(self.git.fleet, self.commit)

    def fleet(self) -> Fleet:
        return self.desired

    def fleet_name(self) -> str:
        return self.git.fleet

    def extensions(self) -> dict[str, Extension]:
        return {"ext.compose-ssh": self._backend}

    # --- the program

    def now(self) -> datetime:
        return self.world.runner_clock

    def observe(self) -> FleetObservations:
        """Observe one host after the other, so that a history is the same each time."""
        fleet, hosts, extensions = self.git.fleet, self.desired.hosts.values(), self.extensions()
        requests = [observe_request(host, fleet) for host in hosts]
        found = {request.host: observe_host(request, self.hosts.transport, extensions) for request in requests}
        return FleetObservations(self.desired, found)

    def plan(self, options: Options) -> Planned:
        """Observe and plan."""
        observations = self.observe()
        options = resolved(options, observations)
        git: Any = self.git
        return decide(observations, git, self.now(), options)

    def apply(self, planned: Planned, options: Options) -> list[Outcome]:
        """Carry out a plan."""
        git: Any = self.git
        operations = self.operations()
        applier = Applier(planned, self.hosts, operations, operations.registry, git, options)
        return applier.apply()

    def operations(self) -> SimulatedOperations:
        """Return what makes the operations of this run."""
        files: Any = Files()
        registry: Any = _Registry(self._backend)
        return SimulatedOperations(self.hosts.transport, files, False, registry, ApplyOptions(), run=self)

    def was_behind(self, change: Change, host: str) -> bool:
        """Return whether a newer commit was noted on a host when this change was planned."""
        observation = self.planned_on[(host, change.id)].by_host[host]
        head = observation.head.commit if isinstance(observation, Reachable) and observation.head else self.commit.id
        return head != self.commit.id and bool(self.git.is_ancestor(self.commit.id, head))

    def _observed(self, host: SimulatedHost) -> None:
        self.glimpses[host.name] = Glimpse.of(host, self)


@dataclass(frozen=True, slots=True)
class SimulatedHosts(FleetHosts):
    """The hosts of a world, without connections."""

    source: Any
    transports: Any = None

    def transport(self, name: str) -> Any:
        return self.source.world.hosts[name]


@dataclass(frozen=True, slots=True)
class SimulatedOperations(Operations):
    """Operations that their run takes note of."""

    run: SimulatedRun = field(kw_only=True)

    def of(self, change: Change, host: str, observations: FleetObservations, *, quiet: bool = False) -> Operation:
        operation = Operations.of(self, change, host, observations, quiet=quiet)
        self.run.at_work[(host, operation.id)] = change
        self.run.planned_on[(host, operation.id)] = observations
        return operation


@dataclass(slots=True)
class Pending:
    """A plan that is not carried out yet: a person still reads it."""

    run: SimulatedRun
    decided: Planned
    options: Options


class World(Ground):
    """Hosts and repositories, and everything that happens to them.

    ``runs`` are the applies in progress, the innermost last; ``steps`` counts those since ``calm``.
    """

    def __init__(self, fleets: Iterable[str] = ("acme", "beta"), hosts: Iterable[str] = HOSTS) -> None:
        self.now = BEGINNING
        self.runner_offset = timedelta()
        self.judge = Judge(self)
        watch = self.judge.watch
        self.hosts = {name: SimulatedHost(name, lambda: self.now, self._point, watch) for name in hosts}
        self.fleets = {name: Repository(name, self.hosts) for name in fleets}
        self.steps = 0
        self._agents: set[str] = set()
        self.interruption: Interruption | None = None
        self.runs: list[SimulatedRun] = []
        self.waiting: Pending | None = None

    def copies(self) -> list[tuple[str, str, str]]:
        """Return host, fleet and name of each existing sandbox that this world's repositories ever had."""
        known = ((fleet, name) for fleet, git in self.fleets.items() for name in sorted(git.names))
        return [(h.name, f, n) for f, n in known for h in self.hosts.values() if h.has((f, sandbox_id(f, n)))]

    # --- git

    def edit(self, fleet: str, name: str, **fields: Any) -> None:
        """Commit a sandbox with other fields, or a new one; a field of None is left out."""
        head = self.fleets[fleet].head
        spec = {"profile": "small", **head.sandboxes.get(name, {}), **fields}
        spec = {key: value for key, value in spec.items() if value is not None}
        self.fleets[fleet].commit(sandboxes={**head.sandboxes, name: spec})

    def drop(self, fleet: str, name: str) -> None:
        """Commit the fleet without a sandbox."""
        kept = {other: spec for other, spec in self.fleets[fleet].head.sandboxes.items() if other != name}
        self.fleets[fleet].commit(sandboxes=kept)

    def edit_host(self, fleet: str, host: str, **fields: Any) -> None:
        """Commit a host with other fields, or a new one."""
        head = self.fleets[fleet].head
        spec = {key: value for key, value in {**head.hosts.get(host, {}), **fields}.items() if value is not None}
        self.fleets[fleet].commit(hosts={**head.hosts, host: spec})

    def drop_host(self, fleet: str, host: str) -> None:
        """Commit the fleet without a host."""
        kept = {other: spec for other, spec in self.fleets[fleet].head.hosts.items() if other != host}
        self.fleets[fleet].commit(hosts=kept)

    # --- the program

    def run_of(self, fleet: str, back: int = 0) -> SimulatedRun:
        """Return a run at the newest commit, or at one this many commits back."""
        git = self.fleets[fleet]
        return SimulatedRun(self, git, git.commits[max(0, len(git.commits) - 1 - back)])

    def plan(self, fleet: str) -> Plan:
        """Return a plan, which changes nothing."""
        before = self.judge.everything()
        run, options = self.run_of(fleet), Options(**FREELY)
        decided: Planned = self._within(run, options, lambda: run.plan(options))
        assert self.judge.everything() == before, "a plan wrote something"
        return decided.plan

    def apply(
        self,
        fleet: str,
        *,
        back: int = 0,
        interruption: Interruption | None = None,
        **request: Any,
    ) -> list[Outcome] | None:
        """Plan, and carry the plan out; return None if it was killed, or if nothing matches the request."""
        run, options = self.run_of(fleet, back), _options(request)
        try:
            decided = self._within(run, options, lambda: run.plan(options))
        except UsageError:
            known = {*run.commit.sandboxes, *self.judge.names(run)}
            named = options.targets | options.replaced | options.excluded
            assert named - known or options.hosts - run.desired.hosts.keys(), "what is there was called unknown"
            return None
        return self._carry_out(run, decided, options, interruption)

    def plan_for_later(self, fleet: str) -> None:
        """Plan, and leave the plan for a person to read."""
        run, options = self.run_of(fleet), Options(**FREELY)
        self.waiting = Pending(run, self._within(run, options, lambda: run.plan(options)), options)

    def carry_out(self, interruption: Interruption | None = None) -> list[Outcome] | None:
        """Carry out the waiting plan."""
        assert self.waiting is not None
        waiting, self.waiting = self.waiting, None
        return self._carry_out(waiting.run, waiting.decided, waiting.options, interruption)

    def _carry_out(
        self, run: SimulatedRun, decided: Planned, options: Options, interruption: Interruption | None
    ) -> list[Outcome] | None:
        before = self.judge.apart_from(run.git.fleet)
        self.interruption = interruption
        COUNTS["applies"] += 1
        try:
            outcomes = self._within(run, options, lambda: run.apply(decided, options))
            COUNTS.update(outcome.word for outcome in outcomes)
            return list(outcomes)
        except Killed:
            COUNTS["killed"] += 1
            return None
        finally:
            self.interruption = None
            assert self.judge.apart_from(run.git.fleet) == before, "something of somebody else was touched"

    def _within(self, run: SimulatedRun, options: Options, do: Callable[[], Any]) -> Any:
        run.options = options
        self.runs.append(run)
        try:
            with patch.object(clock, "now", run.now):
                return do()
        finally:
            self.runs.pop()

    def create(self, fleet: str, host: str) -> None:
        """Let an agent create a sandbox without a manifest."""
        name = f"agent-{len(self._agents)}"
        self._agents.add(name)
        run = self.run_of(fleet)
        if host not in run.desired.hosts or not self.judge.sound(host):
            return
        declared = self.fleets[fleet].desired(name, {"profile": "small", "ttl": "2h"})
        desired = replace(declared, origin="api", id=hashlib.sha256(name.encode()).hexdigest()[:8])
        observations = run.observe()
        change = change_without(desired, Action.CREATE, Reason.CREATE_ABSENT, "", host=host)

        def make() -> None:
            operation = run.operations().of(change, host, observations)
            run.extensions()["ext.compose-ssh"].provision(operation, desired, fresh=True)

        with suppress(ProvisionFailed, StaleChange):  # the latter if the host is full
            self._within(run, Options(), make)

    def calm(self) -> None:
        """Heal all faults and apply twice; then check that no change and no leftover remains.

        Finally, as a person would, remove everything whose ownership is in conflict.
        """
        self.steps = 0
        self.heal()
        for fleet in self.fleets:
            for _ in range(2):
                self.apply(fleet, **FREELY)
            self.judge.converged(fleet, self.plan(fleet).changes)
        for host in self.hosts.values():
            for key in [key for key in host.sandboxes() if self.judge.conflict(host, key)]:
                self.judge.forget(host.name, key)
                host.discard(key)

    # --- interruptions of an apply

    def _point(self, host: SimulatedHost, step: str = "") -> None:
        if not host.reachable:
            raise HostUnreachable(host.name, f"{host.name} does not answer")
        due = self.interruption
        if due is None:
            return
        if isinstance(due.at, int):
            due.at -= 1
        if due.at in (-1, step):
            self.interruption = None
            self._befall(due.kind, host)

    def _befall(self, kind: str, host: SimulatedHost) -> None:
        if kind == "kill":
            raise Killed
        if kind == "cut":
            host.reachable = False
            raise HostUnreachable(host.name, f"the connection to {host.name} broke off")
        if kind == "engine":
            host.stopped_engines.add("docker")
        elif kind == "failure":
            host.failing += 1
        else:
            assert kind == "rival", kind
            self.apply(self.runs[-1].git.fleet, **FREELY)
