"""One run over a fleet: from a directory with manifests to observations, plans and applies."""

# What is needed only after the observation is imported where it is used, so that hosts are queried sooner.

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Self

from sandboxer.adapters.transports import Transports
from sandboxer.errors import ManifestError
from sandboxer.extensions.base import ObserveRequest
from sandboxer.extensions.registry import build_registry
from sandboxer.lifecycle.observe import observe_hosts, recorded_names
from sandboxer.model.lifecycle import Action, Reason
from sandboxer.model.observed import Reachable
from sandboxer.model.plan import Stats
from sandboxer.model.request import FILE
from sandboxer.profiles.loader import load
from sandboxer.wiring.hosts import runtime_of
from sandboxer.wiring.reporting import Reporter
from sandboxer.wiring.secrecy import without_values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from sandboxer.adapters.git import FleetRepository
    from sandboxer.adapters.git_inputs import GitInputs
    from sandboxer.extensions.base import Extension, Operation
    from sandboxer.extensions.registry import Registry
    from sandboxer.lifecycle.journals import Journals
    from sandboxer.model.desired import Fleet, SecretValue
    from sandboxer.model.documents import Manifests
    from sandboxer.model.drift import DriftReport
    from sandboxer.model.manifest import Host, SecretRef
    from sandboxer.model.observed import HostObservation
    from sandboxer.model.outcome import ApplyView, Outcome
    from sandboxer.model.plan import Change, Plan
    from sandboxer.model.protocols import HostTransport, InputSource, Revision
    from sandboxer.model.request import SandboxRequest
    from sandboxer.model.saved_plan import Approval, SavedPlan
    from sandboxer.reconcile.observed_sandbox import ObservedSandbox
    from sandboxer.reconcile.options import Options
    from sandboxer.wiring.apply_options import ApplyOptions


class Run:
    """One run of Sandboxer over a fleet: everything is read at most once, and closed at the end.

    ``root`` is the directory of ``sandboxer.yaml``; ``revision`` a git revision to read the manifests from, None for
    the work tree. ``read_secrets`` is for plans that are applied at once: a plan to display never reads a secret.
    Without ``find_inputs`` no sandbox's input is resolved, and nothing can be planned. With ``request``, an imperative
    sandbox is added to git's, and only its input is resolved: with ``remote`` one of ``api.repoRoots``. ``run_id``
    names the run in reports; ``on_fleet`` receives the fleet's name, ``on_observation`` each observation and its
    duration in seconds, from several threads. Use as a context manager.
    """

    def __init__(
        self,
        root: Path,
        *,
        revision: str | None = None,
        read_secrets: bool = False,
        find_inputs: bool = True,
        request: SandboxRequest | None = None,
        remote: bool = False,
    ) -> None:
        self.root, self.revision, self._remote = root, revision, remote
        self.run_id = uuid.uuid4().hex
        self._read_secrets = read_secrets
        self._find_inputs = find_inputs and request is None
        self._request = request
        self._transports, self._began = Transports(root), time.monotonic()
        self.reporter = Reporter(self)
        self._newer: frozenset[str] = frozenset()
        # The observations of each change that was planned again, by its fingerprint; others are on `observations`.
        self._planned_on: dict[str, Mapping[str, HostObservation]] = {}
        self.on_fleet: Callable[[str], None] = lambda _name: None
        self.on_observation: Callable[[HostObservation, float], None] = lambda _observe, _seconds: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End every connection that was opened."""
        self._transports.close()

    @staticmethod
    def now() -> datetime:
        """Return the runner's clock, in UTC."""
        return datetime.now(UTC)

    # --- what git says

    @cached_property
    def repository(self) -> FleetRepository:
        """The repository of the manifests."""
        from sandboxer.adapters.git import FleetRepository

        return FleetRepository(self.root)

    @cached_property
    def inputs(self) -> GitInputs:
        """The repositories that sandboxes take their files from."""
        from sandboxer.adapters.git_inputs import GitInputs

        return GitInputs(self.root, revision=self.revision)

    @cached_property
    def files(self) -> Revision:
        """The manifests' files and their commit. Raises SourceError."""
        return self.repository.read(self.revision)

    @cached_property
    def manifests(self) -> Manifests:
        """The manifests with their findings. Raises SourceError if they cannot be read at all."""
        files = self.repository.files(self.revision)
        found = load({**files, FILE: self._request.manifest()} if self._request else files)
        if found.fleet is not None:
            self.on_fleet(found.fleet.metadata.name)
        return found

    def read_secrets(self) -> None:
        """Read the secrets of a fleet that was planned without. Raise UsageError if one cannot be read."""
        self._read_secrets = True
        sandboxes = {
            name: replace(desired, secrets=tuple(map(self._secret, desired.sandbox.spec.secret_refs)))
            for name, desired in self.fleet.sandboxes.items()
        }
        self.fleet = replace(self.fleet, sandboxes=sandboxes)

    @cached_property
    def fleet(self) -> Fleet:
        """The desired fleet, each input's commit resolved. Raises ManifestError, SourceError."""
        from sandboxer.profiles.resolve import resolve, with_request

        former = [load(revision.files).models() for revision in self.repository.history(self.revision)]
        inputs = self.inputs if self._find_inputs else None
        fleet = resolve(self.sound(), self.files, inputs, self._secret, former)
        return with_request(fleet, self._request, self._request_inputs) if self._request else fleet

    @property
    def _request_inputs(self) -> InputSource:
        """The repositories that a request may take its files from."""
        from sandboxer.adapters.allowed_inputs import AllowedInputs

        return AllowedInputs(self.inputs, self.sound().fleet, self.root) if self._remote else self.inputs

    def sound(self) -> Manifests:
        """Return the manifests if they have no errors. Raise ManifestError otherwise."""
        if not self.manifests.ok:
            raise ManifestError(self.manifests.diagnostics)
        return self.manifests

    @property
    def fleet_name(self) -> str:
        """The fleet's name. Raises ManifestError."""
        fleet = self.sound().fleet
        return fleet.metadata.name if fleet else ""

    @property
    def has_hub(self) -> bool:
        """Whether the fleet has a State Hub, reachable or not: unacknowledged events are kept for it."""
        fleet = self.sound().fleet
        return fleet is not None and fleet.spec.state_hub is not None

    @property
    def journals(self) -> Journals:
        """The journals on the hosts."""
        from sandboxer.lifecycle.journals import Journals

        roots = {name: host.spec.root for name, host in self.fleet.hosts.items()}
        return Journals(self.fleet_name, roots, self.transport, self.holder)

    def _secret(self, reference: SecretRef) -> SecretValue:
        from sandboxer.adapters.secrets import secret_of

        return secret_of(reference, self.root, read=self._read_secrets)

    # --- what the hosts say

    @cached_property
    def registry(self) -> Registry:
        """The extensions that the fleet's profiles name. Raises ExtensionError."""
        return build_registry(self.sound().extensions)

    @cached_property
    def extensions(self) -> Mapping[str, Extension]:
        """The backends that may have sandboxes on the hosts, by name; the first one observes every host."""
        first = self.registry.first
        named = {profile.spec.extension for profile in self.sound().profiles.values()} - {first}
        return {name: self.registry.get(name) for name in (first, *sorted(named))}

    @cached_property
    def observations(self) -> dict[str, HostObservation]:
        """One observation of every host of the fleet; meanwhile the inputs are resolved."""
        extensions = self.extensions
        hosts = self.sound().hosts
        requests = [self._observe_request(name, host) for name, host in hosts.items()]
        with ThreadPoolExecutor(max_workers=1) as beside:
            running = beside.submit(observe_hosts, requests, self.transport, extensions, seen=self.on_observation)
            fleet = self.fleet
            observations = running.result()
        retired = [self._observe_request(name, fleet.hosts[name]) for name in sorted(fleet.retired)]
        return {**observations, **observe_hosts(retired, self.transport, extensions, seen=self.on_observation)}

    def _observe_request(self, name: str, host: Host) -> ObserveRequest:
        fleet = self.sound().fleet
        return ObserveRequest(name, host.spec.root, fleet.metadata.name if fleet else "", runtime_of(host))

    def transport(self, name: str) -> HostTransport:
        """Return the transport of a host, created at first use."""
        return self._transports.to(self.sound().hosts.get(name) or self.fleet.hosts[name])

    # --- plan and apply

    def plan(self, options: Options) -> Plan:
        """Return a plan; reads only. Raise ManifestError, SourceError, ExtensionError, UsageError."""
        self._check(options)
        return self._plan(options, self.observations)

    def _check(self, options: Options) -> None:
        options.check({*self.sound().sandboxes, *recorded_names(self.observations.values())}, self.fleet.hosts)

    def drift(self, options: Options, *, deep: bool = False) -> DriftReport:
        """Compare what runs with the records, with ``deep`` the delivered files' contents too.

        Reported drift is noted on the hosts, so that the next run detects what is resolved. Raise what ``plan`` raises.
        """
        from sandboxer.lifecycle.drift import find_drift
        from sandboxer.reconcile.fleet_state import fleet_state_of

        self._check(options)
        fleet_state = fleet_state_of(self.fleet, self.observations, self.now(), options.forgotten)
        self.reporter.begin(self.observations)
        inputs = self.inputs if deep else None
        found = find_drift(
            fleet_state, options, self.transport, self.holder, inputs, self.registry, self.reporter.noted
        )
        return replace(found, plan=replace(found.plan, stats=self._stats()))

    def _plan(self, options: Options, observations: Mapping[str, HostObservation]) -> Plan:
        from sandboxer.reconcile.planner import plan

        decided = plan(self.fleet, observations, self.now(), self._aware(options, observations))
        return replace(decided, stats=self._stats())

    def plan_approved(self, saved: SavedPlan) -> Plan:
        """Plan again as ``saved`` was planned, without secrets too, and block whatever was not approved.

        Raise PlanRefused, before any host is contacted, for another fleet or other manifests; else as ``plan``.
        """
        from sandboxer.profiles.resolve import digest_of_manifests
        from sandboxer.reconcile.approval import enforce, inputs_of, options_of

        sound, root = self.sound(), self.files.root_commit
        saved.check(sound.fleet.metadata.name if sound.fleet else "", root, digest_of_manifests(sound))
        return enforce(self._plan(options_of(saved.approval.options), self.observations), saved, inputs_of(self.fleet))

    def approval(self, options: Options) -> Approval:
        """Return what the approval of a plan with ``options`` is bound to."""
        from sandboxer.profiles.resolve import digest_of_manifests
        from sandboxer.reconcile.approval import approval_of

        return approval_of(self.fleet, digest_of_manifests(self.sound()), options)

    def _aware(self, options: Options, observations: Mapping[str, HostObservation]) -> Options:
        """Return the options, with the hosts that have a newer commit, or the fleet under another name."""
        from sandboxer.lifecycle.former_names import renamed_from
        from sandboxer.lifecycle.revisions import newer_on_hosts

        newer = (
            ()
            if options.allow_rollback
            else frozenset(newer_on_hosts(self.fleet, observations, self.repository.is_ancestor))
        )
        self._newer = self._newer.union(newer)
        had_name = partial(self.repository.had_name, commit=self.fleet.commit)
        former = () if options.allow_rename else renamed_from(observations, had_name)
        return replace(options, stale=frozenset(newer), renamed=frozenset(former))

    def _stats(self) -> Stats:
        stats = self._transports.stats
        return Stats(stats.connections, stats.commands, seconds=time.monotonic() - self._began)

    def apply(
        self, decided: Plan, options: Options | None, how: ApplyOptions, view: ApplyView, *, of_git: bool = True
    ) -> list[Outcome]:
        """Carry out a plan. One failure stops nothing else; each change has an outcome.

        Without ``of_git`` the plan is not git's, and the commit is not noted on the hosts as applied. A sandbox that is
        no longer as planned is planned again with ``options``; without them it is left as it is.
        """
        from sandboxer.lifecycle.execute import Executor

        desired = {sandbox.id: sandbox for sandbox in self.fleet.sandboxes.values()}
        executor = Executor(
            desired=desired,
            extension_of=lambda change: self.registry.get(self._extension_of(change)),
            former_of=self._former_of,
            operation_for=lambda change, host, progress: self._work(change, host, progress, how),
            might_live=self._might_live,
            plan_again=partial(self._plan_again, options=options) if options else None,
            view=view,
            parallelism=how.parallelism,
            hide=lambda change, text: without_values(self, change.id, text),
        )
        self.reporter.begin(self.observations)
        outcomes = executor.run(decided.changes)
        self._clean_up(decided, of_git=of_git)
        self.reporter.summary.update(outcome.word for outcome in outcomes)
        return outcomes

    def _clean_up(self, decided: Plan, *, of_git: bool) -> None:
        """Remove leftovers, and note the commit on every host that has no newer one."""
        from sandboxer.lifecycle.cleanup import clean_up, pending_cleanups

        observations = {name: observation for name, observation in self.observations.items() if name not in self._newer}
        # What a guard keeps from being deleted in bulk must not be forgotten in bulk either.
        guarded = any(change.reason is Reason.BLOCKED_GUARD for change in decided.changes)
        fleet = self.fleet if of_git else replace(self.fleet, commit=None)
        clean_up(
            pending_cleanups(fleet, observations, forget=of_git and not guarded), self.transport, fleet, self.holder
        )

    def _extension_of(self, change: Change) -> str:
        """Return the extension that carries out a change."""
        recorded = self._recorded_extension(change)
        wanted = next((s for s in self.fleet.sandboxes.values() if s.id == change.id), None)
        if recorded and (wanted is None or change.action == "delete"):
            return recorded
        return wanted.profile.spec.extension if wanted else self.registry.first

    def _former_of(self, change: Change) -> Extension | None:
        """Return the extension that made what a change replaces; None where it is the one that carries it out."""
        recorded = self._recorded_extension(change)
        return self.registry.get(recorded) if recorded and recorded != self._extension_of(change) else None

    def _recorded_extension(self, change: Change) -> str | None:
        observed = self.observed(change.from_host or change.host or "", change.id, self._observations_of(change))
        return observed.record.extension if observed and observed.record else None

    @property
    def holder(self) -> str:
        """The lock holder's name, for other clients that wait."""
        from sandboxer.adapters.runner import who
        from sandboxer.model.lock import holder_line

        return holder_line(who(), self.fleet.commit)

    def observed(
        self, host: str, identifier: str, observations: Mapping[str, HostObservation] | None = None
    ) -> ObservedSandbox | None:
        """Return the observation of one sandbox on a host, from ``observations`` or the run's own."""
        from sandboxer.reconcile.observed_sandbox import observed_host

        observation, manifest = (observations or self.observations).get(host), self.fleet.hosts.get(host)
        if not isinstance(observation, Reachable) or manifest is None:
            return None
        return observed_host(observation, self.fleet.name, manifest.spec.root).copies.get(identifier)

    def _observations_of(self, change: Change) -> Mapping[str, HostObservation]:
        """Return the observations that a change was planned on: newer ones could not show that it is stale."""
        return self._planned_on.get(change.fingerprint, self.observations)

    def _work(self, change: Change, host: str, progress: Callable[[str], None], how: ApplyOptions) -> Operation:
        from sandboxer.wiring.operation import operation_for

        return operation_for(self, change, host, self._observations_of(change)[host], progress, how)

    def _might_live(self, change: Change) -> list[str]:
        """Return the fully observed hosts where a sandbox of git's may exist, by name."""
        desired = self.fleet.sandboxes.get(change.sandbox)
        if desired is None:
            return []
        known, extension = self._observations_of(change), desired.profile.spec.extension
        observations = {host: known.get(host) for host in (*desired.eligible, *desired.formerly)}
        return sorted(
            host
            for host, observation in observations.items()
            if isinstance(observation, Reachable) and not (observation.error or extension in observation.backend_errors)
        )

    def _plan_again(self, change: Change, options: Options) -> Change | None:
        """Return the planner's change for one sandbox after a fresh observation of its hosts."""
        begins = change.action is Action.CREATE or change.from_host is not None
        names = {change.host, change.from_host, *(self._might_live(change) if begins else ())}
        requests = [self._observe_request(name, self.fleet.hosts[name]) for name in names if name is not None]
        observations = {
            **self._observations_of(change),
            **observe_hosts(requests, self.transport, self.extensions, seen=self.on_observation),
        }
        decided = self._plan(replace(options, targets=frozenset({change.sandbox})), observations)
        found = [again for again in decided.changes if again.id == change.id]
        self._planned_on |= {again.fingerprint: observations for again in found}
        return next((again for again in found if again.host == change.host), found[0] if found else None)
