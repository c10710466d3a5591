"""The one place that joins the edges to the lifecycle: from a folder with manifests to looks, plans and applies."""

# What serves only once the hosts were asked is imported where it is used, so that they are asked the sooner.

from __future__ import annotations

import getpass
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sandboxer.errors import ManifestError, SandboxerError, UsageError
from sandboxer.extensions.base import Place, Provenance, Question, Work
from sandboxer.extensions.registry import build_registry
from sandboxer.lifecycle.discover import discover, look_at
from sandboxer.model.desired import SecretValue
from sandboxer.model.hidden import Hidden
from sandboxer.model.observed import Head, Reachable
from sandboxer.model.plan import Stats
from sandboxer.profiles.loader import load
from sandboxer.profiles.report import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sandboxer.adapters.git import FleetRepository
    from sandboxer.adapters.git_inputs import GitInputs
    from sandboxer.adapters.ssh import JumpPool
    from sandboxer.extensions.base import Extension, Runtime
    from sandboxer.extensions.registry import Registry
    from sandboxer.model.checkup import Checkup
    from sandboxer.model.desired import Fleet
    from sandboxer.model.documents import Manifests
    from sandboxer.model.manifest import Host, SecretRef
    from sandboxer.model.observed import Look
    from sandboxer.model.outcome import ApplyView, Outcome
    from sandboxer.model.plan import Change, Plan
    from sandboxer.model.seams import HostTransport, Revision
    from sandboxer.reconcile.options import Options
    from sandboxer.reconcile.sight import Sight

COMPOSE_VARIABLE = "SANDBOXER_COMPOSE_CMD"


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """How an apply goes about it: hosts at once, and seconds to wait for another client's lock."""

    parallelism: int = 16
    lock_timeout: float = 60.0


class Run:
    """One run of Sandboxer over a fleet: everything is read at most once, and closed at the end.

    ``root`` is the folder of ``sandboxer.yaml``; ``revision`` a git revision to read the manifests from, None for the
    work tree. ``read_secrets`` is for runs that apply: a plan never reads a secret. ``allow_rollback`` lets a commit
    older than the newest applied one through. Use as a context manager.
    """

    def __init__(
        self, root: Path, *, revision: str | None = None, read_secrets: bool = False, allow_rollback: bool = False
    ) -> None:
        self.root = root
        self._allow_rollback = allow_rollback
        self.revision = revision
        self._read_secrets = read_secrets
        self._transports: dict[str, HostTransport] = {}
        self._jumps: JumpPool | None = None
        self._began = time.monotonic()
        self._looking = threading.Lock()
        self.on_look: Callable[[int, int], None] = lambda _seen, _total: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends every connection that was opened."""
        if self._transports:
            with ThreadPoolExecutor(max_workers=len(self._transports)) as pool:
                list(pool.map(lambda transport: transport.close(), self._transports.values()))
        if self._jumps is not None:
            self._jumps.close()

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
        """The manifests' files and the commit that they are of. Raises SourceError."""
        return self.repository.read(self.revision)

    @cached_property
    def manifests(self) -> Manifests:
        """The manifests, findings and all. Raises SourceError where they cannot be read at all."""
        return load(self.repository.files(self.revision))

    @cached_property
    def fleet(self) -> Fleet:
        """The fleet as git wants it, each input's commit found. Raises ManifestError, SourceError."""
        from sandboxer.profiles.resolve import resolve

        former = [load(revision.files) for revision in self.repository.history(self.revision)]
        return resolve(self._sound(), self.files, self.inputs, self._secret, former)

    def _sound(self) -> Manifests:
        if not self.manifests.ok:
            raise ManifestError(self.manifests.diagnostics)
        return self.manifests

    def _secret(self, reference: SecretRef) -> SecretValue:
        """Whether this machine has the secret; its value only in a run that applies."""
        kind, _, where = reference.from_.partition(":")
        path = self.root / Path(where).expanduser()
        present = where in os.environ if kind == "env" else path.is_file()
        value = None
        if present and self._read_secrets:
            try:
                value = Hidden(os.environ[where] if kind == "env" else path.read_bytes().decode().rstrip("\n"))
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(
                    f"the secret {reference.name} cannot be read from {reference.from_}: {error}",
                    hint="it must be a text file that this user may read",
                ) from None
        return SecretValue(reference.name, reference.from_, present, value)

    # --- what the hosts say

    @cached_property
    def registry(self) -> Registry:
        """The extensions that the fleet's profiles name. Raises ExtensionError."""
        return build_registry(self._sound().extensions)

    @cached_property
    def extensions(self) -> Sequence[Extension]:
        """The backends that may have sandboxes on the hosts; ext.compose-ssh always, for what git no longer names."""
        names = {"ext.compose-ssh"} | {profile.spec.extension for profile in self._sound().profiles.values()}
        return [self.registry.get(name) for name in sorted(names)]

    @cached_property
    def looks(self) -> dict[str, Look]:
        """One look at every host of the fleet. While the hosts answer, the inputs are found."""
        extensions = self.extensions
        hosts = self._sound().hosts
        questions = [self._question(name, host) for name, host in hosts.items()]
        with ThreadPoolExecutor(max_workers=1) as beside:
            seen = iter(range(1, len(questions) + 1))
            tell = lambda _look: self.on_look(next(seen, len(questions)), len(questions))  # noqa: E731
            running = beside.submit(discover, questions, self.transport, extensions, seen=tell)
            fleet = self.fleet
            looks = running.result()
        retired = [self._question(name, fleet.hosts[name]) for name in sorted(fleet.retired)]
        return {**looks, **discover(retired, self.transport, extensions)}

    def _question(self, name: str, host: Host) -> Question:
        fleet = self._sound().fleet
        return Question(name, host.spec.root, fleet.metadata.name if fleet else "", self._runtime(host))

    @staticmethod
    def compose_command(host: Host) -> str | None:
        """The Compose that is asked for: by the Host, else by the runner's environment."""
        return host.spec.compose_command or os.environ.get(COMPOSE_VARIABLE) or None

    def _runtime(self, host: Host) -> Runtime:
        """The engine that is asked for; a Compose of Podman's asks for Podman."""
        command = self.compose_command(host) or ""
        if host.spec.runtime == "auto" and os.path.basename(command).startswith("podman"):  # noqa: PTH119 - no path
            return "podman"
        return host.spec.runtime

    def transport(self, name: str) -> HostTransport:
        """The way to a host, made at first use."""
        if name not in self._transports:
            self._transports[name] = self._connect(name)
        return self._transports[name]

    def _connect(self, name: str) -> HostTransport:
        host = self._sound().hosts.get(name) or self.fleet.hosts[name]
        if host.spec.connection == "local":
            from sandboxer.adapters.local import LocalTransport

            return LocalTransport(name)
        from sandboxer.adapters.ssh import JumpPool, SshTarget, SshTransport

        with self._looking:
            self._jumps = self._jumps or JumpPool()
        spec = host.spec
        identity = str(self.root / Path(spec.identity_file).expanduser()) if spec.identity_file else None
        target = SshTarget(name, spec.address or name, spec.port, spec.user, identity, spec.host_key)
        return SshTransport(target, jumps=self._jumps)

    def examine(self, names: Sequence[str] = ()) -> list[Checkup]:
        """The doctor's findings on the hosts of these names; without any, on all of git's. Raises UsageError."""
        from sandboxer.lifecycle.doctor import Patient, examine_all

        manifests = self._sound()
        unknown = [name for name in names if name not in manifests.hosts]
        if unknown:
            hint = did_you_mean(unknown[0], manifests.hosts)
            raise UsageError(f"there is no host {unknown[0]!r} in git", hint=hint)
        if not manifests.hosts:
            raise UsageError(
                "there is no Host in git, so there is nothing to examine",
                hint="add a Host manifest, such as docs/examples/hosts.yaml shows",
            )
        fleet = manifests.fleet.metadata.name if manifests.fleet else ""
        hosts = [manifests.hosts[name] for name in dict.fromkeys(names or sorted(manifests.hosts))]
        patients = [Patient(host, fleet, self._runtime(host), self.compose_command(host)) for host in hosts]
        return examine_all(patients, self.transport)

    # --- plan and apply

    def plan(self, options: Options) -> Plan:
        """Plans: reads only. Raises ManifestError, SourceError, ExtensionError, UsageError."""
        from sandboxer.reconcile.planner import plan

        self._check_selectors(options)
        looks = self.looks
        stale = self._stale()
        decided = plan(self.fleet, looks, datetime.now(UTC), replace(options, stale=stale))
        return replace(decided, stats=self._stats())

    def _check_selectors(self, options: Options) -> None:
        known = {*self._sound().sandboxes}
        for host, look in self.looks.items():
            if isinstance(look, Reachable):
                known |= {found.record.name for found in look.found.values() if found.record and host}
        for option, names in (
            ("--target", options.targets),
            ("--exclude", options.excluded),
            ("--replace", options.replaced),
        ):
            unknown = sorted(names - known)
            if unknown:
                raise UsageError(
                    f"{option} {unknown[0]}: there is no such sandbox in git or on the hosts",
                    hint=f"there are: {', '.join(sorted(known)) or 'none'}",
                )
        hosts = sorted(options.hosts - self.fleet.hosts.keys())
        if hosts:
            raise UsageError(
                f"--host {hosts[0]}: there is no such host", hint=f"there are: {', '.join(sorted(self.fleet.hosts))}"
            )

    def _stale(self) -> frozenset[str]:
        return frozenset() if self._allow_rollback else frozenset(self._stale_hosts())

    def _stale_hosts(self) -> Iterator[str]:
        """Hosts where a newer commit of the fleet was applied than the one that is planned."""
        fleet = self.fleet
        for name, look in self.looks.items():
            head = look.head if isinstance(look, Reachable) else None
            if head is None or fleet.commit is None or head.commit == fleet.commit:
                continue
            older = self.repository.is_ancestor(fleet.commit, head.commit)
            if older is None:
                older = fleet.committed_at is not None and fleet.committed_at < head.committed_at
            if older:
                yield name

    def _stats(self) -> Stats:
        stats = [transport.stats for transport in self._transports.values()]
        return Stats(
            connections=sum(each.connections for each in stats),
            commands=sum(each.commands for each in stats),
            seconds=time.monotonic() - self._began,
        )

    def apply(self, decided: Plan, options: Options, how: ApplyOptions, view: ApplyView) -> list[Outcome]:
        """Carries a plan out. One failure stops nothing else; each change has an outcome."""
        from sandboxer.lifecycle.execute import Executor

        desired = {sandbox.id: sandbox for sandbox in self.fleet.sandboxes.values()}
        executor = Executor(
            desired=desired,
            extension_of=self._extension_of,
            work_on=lambda change, host, progress: self._work(change, host, progress, how),
            plan_again=lambda change: self._plan_again(change, options),
            view=view,
            parallelism=how.parallelism,
        )
        outcomes = executor.run(decided.changes)
        self._settle(decided)
        return outcomes

    def _settle(self, decided: Plan) -> None:
        """Sweeps what was left over, and notes the commit on every host where it is not older than the one noted."""
        fleet = self.fleet
        head = Head(fleet.commit, fleet.committed_at) if fleet.commit and fleet.committed_at else None
        stale = {change.host for change in decided.changes if change.reason == "blocked_because_stale"}
        looks = {name: look for name, look in self.looks.items() if name not in stale}
        roots = {name: host.spec.root for name, host in fleet.hosts.items()}
        from sandboxer.lifecycle.settle import settle, unsettled

        settle(unsettled(looks, roots, head), self.transport, fleet.name, head, self._holder)

    def _extension_of(self, change: Change) -> Extension:
        sight = self.sight(change.from_host or change.host or "", change.id)
        wanted = next((s for s in self.fleet.sandboxes.values() if s.id == change.id), None)
        if sight and sight.record and (wanted is None or change.action == "delete"):
            return self.registry.get(sight.record.extension)
        return self.registry.get(wanted.profile.spec.extension if wanted else "ext.compose-ssh")

    @property
    def _holder(self) -> str:
        """Who asks, for whoever waits for a lock."""
        return f"{_user()}@{socket.gethostname()}, commit {(self.fleet.commit or 'none')[:12]}"

    def sight(self, host: str, identifier: str) -> Sight | None:
        """What the look at a host showed of one sandbox."""
        from sandboxer.reconcile.sight import survey

        look, manifest = self.looks.get(host), self.fleet.hosts.get(host)
        if not isinstance(look, Reachable) or manifest is None:
            return None
        return survey(look, self.fleet.name, manifest.spec.root).sights.get(identifier)

    def _work(self, change: Change, host: str, progress: Callable[[str], None], how: ApplyOptions) -> Work:
        look, manifest = self.looks[host], self.fleet.hosts[host]
        if not isinstance(look, Reachable):
            raise SandboxerError(f"{host} was not seen")
        sight = self.sight(host, change.id)
        record = sight.record if sight else None
        engine = record.engine if record and change.action != "replace" else look.engine
        if engine is None:
            raise SandboxerError(f"{host} has no engine", hint=f"see `sandboxer doctor {host}`")
        place = Place(
            host=host,
            root=manifest.spec.root,
            transport=self.transport(host),
            engine=engine,
            compose_command=self.compose_command(manifest),
            cpus=look.cpus,
            memory_bytes=look.memory_bytes,
            holder=self._holder,
            lock_timeout=how.lock_timeout,
        )
        return Work(
            place=place,
            fleet=self.fleet.name,
            id=change.id,
            name=change.sandbox,
            reason=change.reason.value,
            expected_generation=sight.generation if sight else 0,
            expected_uid=sight.uid if sight else "",
            inputs=self.inputs,
            provenance=Provenance(self.fleet.root_commit, self.fleet.commit, self.fleet.committed_at),
            progress=progress,
            clock=lambda: datetime.now(UTC).replace(microsecond=0),
        )

    def _plan_again(self, change: Change, options: Options) -> Change | None:
        """What the planner says of one sandbox after a fresh look at the hosts that it is about."""
        from sandboxer.reconcile.planner import plan

        names = [name for name in (change.host, change.from_host) if name is not None]
        fresh = {
            name: look_at(self._question(name, self.fleet.hosts[name]), self.transport, self.extensions)
            for name in names
        }
        with self._looking:
            self.looks = {**self.looks, **fresh}
        narrowed = replace(options, targets=frozenset({change.sandbox}), stale=self._stale())
        decided = plan(self.fleet, self.looks, datetime.now(UTC), narrowed)
        found = [again for again in decided.changes if again.id == change.id]
        return next((again for again in found if again.host == change.host), found[0] if found else None)


def _user() -> str:
    with suppress(OSError, KeyError):
        return getpass.getuser()
    return "unknown"
