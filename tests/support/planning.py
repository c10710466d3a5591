"""Situations for the planner: a fleet from manifests, and hosts with what was applied there, as values.

A situation is a mapping, in Python or as a case file under ``tests/cases/plan``::

    fleet: {guards: {maxDeletes: 1}}          Fleet.spec
    hosts: {lab-1: {labels: {tier: x}}}       Host.spec, and labels; left out, lab-1 alone
    profile: {network: {egress: allow}}       Profile.spec over the usual one
    sandboxes: {web: {ttl: 8h}}               Sandbox.spec over the usual one
    was: {sandboxes: ...}                     the parent commit, where it differs
    git: {root_commit: null}                  fields of the Revision over the usual ones
    secrets: {DB_PASSWORD: hunter2}           the runner's secrets; null for one that it may not read
    findings: {web: [error]}                  what is wrong with the inputs, by severity
    found: {lab-1: {copies: [web]}}           each host: see ``observation``; one that is left out is empty
    options: {targets: [web]}                 the planner's
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from sandboxer.errors import InputUnavailable
from sandboxer.errors.diagnostic import Diagnostic, Location
from sandboxer.extensions.compose_ssh.engines import is_denied
from sandboxer.extensions.compose_ssh.labels import (
    COMPOSE_PROJECT,
    COMPOSE_SERVICE,
    LABEL_CONFIG,
    project_name,
    service_fields,
)
from sandboxer.model.desired import SecretValue
from sandboxer.model.hidden import Hidden
from sandboxer.model.identity import Ownership
from sandboxer.model.lifecycle import Phase
from sandboxer.model.observed import (
    RECORD_MISSING,
    Container,
    EngineObservation,
    ObservedDirectory,
    Reachable,
    Resource,
    Tombstone,
    Unreachable,
)
from sandboxer.model.protocols import Archive, InputTree, Revision, TreeEntry
from sandboxer.model.quantity import parse_duration
from sandboxer.model.record import FORMAT_VERSION, Attempt, Consumer, Input, Record, Service, SyncPolicy, parse_record
from sandboxer.profiles.loader import load
from sandboxer.profiles.resolve import resolve
from sandboxer.reconcile.expiry import expiry_of
from sandboxer.reconcile.fields import digest_of, seal
from sandboxer.reconcile.planner import Options, plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandboxer.errors.diagnostic import Severity
    from sandboxer.model.desired import DesiredSandbox, Fleet
    from sandboxer.model.documents import Manifests
    from sandboxer.model.manifest import SecretRef
    from sandboxer.model.observed import HostObservation
    from sandboxer.model.plan import Plan

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ROOT = "/tmp/sandboxer"
FLEET = "acme"
FIRST_COMMIT = "f" * 40
COMMIT = "c" * 40

Case = dict[str, Any]


# --- git


class FakeInputs:
    """Input repositories whose tree depends on repo and ref alone; those called ``missing`` are unavailable."""

    def resolve(self, repo: str, ref: str, path: str, deadline: float | None = None) -> InputTree:
        if "missing" in repo:
            raise InputUnavailable(f"{repo} cannot be fetched")
        digest = hashlib.sha256(f"{repo} {path} {ref.partition('-same')[0]}".encode()).hexdigest()
        commit = hashlib.sha256(f"commit {repo} {ref}".encode()).hexdigest()[:40]
        entries = {name: TreeEntry(name, "0" * 40) for name in ("compose.yaml", "e2e/compose.yaml")}
        return InputTree(repo, ref, commit, path, digest, entries)

    def give_up(self) -> None:
        """Do nothing: no read takes time."""

    def read(self, tree: InputTree, path: str) -> bytes:
        raise AssertionError("the planner reads no file")

    def archive(self, tree: InputTree, paths: Iterable[str] | None = None) -> Archive:
        raise AssertionError("the planner reads no file")


def manifests_of(case: Case) -> Manifests:
    """Return the manifests of a situation, through the loader; they must be valid."""
    secrets = {ref["from"] for spec in case.get("sandboxes", {}).values() for ref in spec.get("secretRefs", ())}
    documents = [_document("Fleet", FLEET, {"secrets": {"allow": sorted(secrets)}, **case.get("fleet", {})})]
    for name, given in case.get("hosts", {"lab-1": {}}).items():
        spec = dict(given)
        labels = spec.pop("labels", {})
        documents.append(_document("Host", name, {"address": f"{name}.example", **spec}, labels))
    documents.append(_document("Profile", "e2e", {"extension": "ext.compose-ssh", **case.get("profile", {})}))
    for name, given in case.get("sandboxes", {}).items():
        spec = dict(given)
        labels = spec.pop("labels", {})
        documents.append(_document("Sandbox", name, {"profile": "e2e", **spec}, labels))
    manifests = load({"sandboxer.yaml": yaml.safe_dump_all(documents, sort_keys=False).encode()})
    assert manifests.ok, [found.message for found in manifests.diagnostics]
    return manifests


def _document(kind: str, name: str, spec: Case, labels: Mapping[str, str] | None = None) -> Case:
    metadata = {"name": name, "labels": dict(labels)} if labels else {"name": name}
    return {"apiVersion": "sandboxer.dev/v1", "kind": kind, "metadata": metadata, "spec": spec}


_OF_GIT = ("fleet", "hosts", "profile", "sandboxes", "was", "git", "secrets", "findings")


def fleet_of(case: Case) -> Fleet:
    """Return the desired fleet of a situation."""
    return _fleet_of(json.dumps({key: case[key] for key in _OF_GIT if key in case}))


@cache
def _fleet_of(text: str) -> Fleet:
    case: Case = json.loads(text)
    values: Mapping[str, str | None] = case.get("secrets", {})

    def secret(reference: SecretRef) -> SecretValue:
        value = values.get(reference.name)
        return SecretValue(reference.name, reference.from_, reference.name in values, Hidden(value) if value else None)

    former = [manifests_of({**case, **case["was"]})] if "was" in case else []
    revision = replace(Revision({}, COMMIT, FIRST_COMMIT, NOW), **case.get("git", {}))
    fleet = resolve(manifests_of(case), revision, FakeInputs(), secret, former)
    sandboxes = {
        name: replace(desired, diagnostics=tuple(map(finding, case.get("findings", {}).get(name, ()))))
        for name, desired in fleet.sandboxes.items()
    }
    return replace(fleet, sandboxes=sandboxes)


def finding(severity: Severity) -> Diagnostic:
    """Return a finding in an input."""
    location = Location("compose.yaml", 4, 17)
    return Diagnostic(severity, "compose-refused", "services.web.privileged: is refused", location, repo="../shop")


# --- hosts


@dataclass(frozen=True)
class Copy:
    """One sandbox as a host shows it."""

    found: ObservedDirectory | None
    containers: tuple[Container, ...] = ()
    resources: tuple[Resource, ...] = ()


def record_of(desired: DesiredSandbox, host: str, now: datetime = NOW, **given: Any) -> Record:
    """Return the record of a sandbox that was applied and became ready; ``given`` overrides its fields.

    Additional fields: ``age`` and ``extended``, durations, and ``working``, for an attempt that has begun.
    """
    created = now - parse_duration(given.pop("age", "1h"))
    extended = parse_duration(given.pop("extended")) if "extended" in given else timedelta()
    working = given.pop("working", False)
    salt = hashlib.sha256(f"salt {desired.id} {host}".encode()).hexdigest()[:32]
    engine = given.get("engine", "docker")
    sealed = {**seal(desired, salt), "runtime": engine}
    spec = desired.sandbox.spec
    tree = desired.tree
    record = Record(
        format_version=FORMAT_VERSION,
        fleet=desired.fleet,
        id=desired.id,
        name=desired.name,
        origin="api" if desired.origin == "api" else "git",
        uid=hashlib.sha256(f"uid {desired.id} {host}".encode()).hexdigest()[:32],
        phase=Phase.READY,
        generation=2,
        profile=desired.profile.metadata.name,
        extension=desired.profile.spec.extension,
        host=host,
        engine=engine,
        labels=dict(desired.sandbox.metadata.labels),
        sync_policy=SyncPolicy(prune=spec.sync_policy.prune, self_heal=spec.sync_policy.self_heal),
        consumer=Consumer(actor=spec.consumer.actor, project=spec.consumer.project) if spec.consumer else None,
        desired_digest=digest_of(sealed),
        spec_digest=desired.spec_digest,
        fleet_root=FIRST_COMMIT,
        fleet_commit=COMMIT,
        inputs=Input(repo=tree.repo, ref=tree.ref, commit=tree.commit, digest=f"sha256:{tree.digest}")
        if tree
        else None,
        salt=salt,
        spec=sealed,
        created_at=created,
        expires_at=expiry_of(desired, created) + extended,
        until=created + desired.profile.spec.ttl.max,
        attempt=Attempt(digest=digest_of(sealed), generation=2) if working else None,
    )
    changed = {**record.model_dump(mode="json"), **given}
    return parse_record(json.dumps(changed).encode(), fleet=desired.fleet, identifier=desired.id)


def copy_of(case: Case, host: str, given: Any) -> Copy:
    """Return one copy on a host, from its name alone or from a mapping.

    ``name``; ``spec`` and ``profile``, as applied if git now says something else; ``origin: api``; ``record``: ``gone``
    (no directory), ``missing`` (a directory without), ``unreadable``, or fields of the record; ``services``: the state
    of each; ``recorded`` the same in the record, ``never`` if it was not recorded; ``claims``: fields of the labels;
    ``volumes``: names; ``workspace: false``, ``stopped: true`` for no containers.
    """
    given = {"name": given} if isinstance(given, str) else dict(given)
    name, api = given["name"], given.get("origin") == "api"
    now_in_git = case.get("sandboxes", {}).get(name, {})
    applied = fleet_of(
        {
            **{key: value for key, value in case.items() if key != "was"},
            "secrets": {"DB_PASSWORD": "before", **given.get("secrets", {})},
            "profile": {**case.get("profile", {}), **given.get("profile", {})},
            "sandboxes": {name: {**now_in_git, **given.get("spec", {})}},
        }
    ).sandboxes[name]
    desired = replace(applied, origin="api") if api else applied
    recorded, services = given.get("recorded", {}), given.get("services", {"web": "running"})
    volumes = [f"{project_name(name, desired.id)}_{volume}" for volume in given.get("volumes", ())]
    network = f"{project_name(name, desired.id)}_default"
    overrides = given.get("record", {})
    applied_services = {
        service: Service(
            config_hash=f"config-{service}",
            image_id="a" * 64,
            replicas=1,
            one_shot=state.startswith("exited"),
            completed=state == "exited 0",
        ).model_dump()
        for service, state in {**dict.fromkeys(services, "running"), **recorded}.items()
        if state != "never"
    }
    fields = {"services": applied_services, "networks": [network], "volumes": volumes}
    record = record_of(desired, host, **{**fields, **(overrides if isinstance(overrides, dict) else {})})
    claims = {"root": ROOT, **given.get("claims", {})}
    owner = replace(ownership(record), **claims)
    return Copy(
        _found(record, overrides, has_workspace=given.get("workspace", True)),
        ()
        if given.get("stopped")
        else tuple(
            container_of(record, owner, service, state) for service, state in services.items() if state != "missing"
        ),
        ()
        if given.get("bare")
        else (
            Resource("network", network, network, record.engine, owner),
            *(Resource("volume", volume, volume, record.engine, owner) for volume in volumes),
        ),
    )


def ownership(record: Record) -> Ownership:
    """Return the labels of everything that belongs to a record's sandbox."""
    latest_expiry = record.until.isoformat()
    return Ownership(record.fleet, record.id, record.name, record.uid, ROOT, record.origin, latest_expiry)


def _found(record: Record, state: Any, *, has_workspace: bool) -> ObservedDirectory | None:
    if state == "gone":
        return None
    if state in ("missing", "unreadable"):
        error = RECORD_MISSING if state == "missing" else "its record cannot be read: it is half of one"
        return ObservedDirectory(record.id, None, error)
    return ObservedDirectory(record.id, record, None, has_workspace)


def copy_with(record: Record) -> ObservedDirectory:
    """Return the directory of a sandbox with this record."""
    return ObservedDirectory(record.id, record)


def container_of(record: Record, owner: Ownership, service: str, state: str) -> Container:
    """Return a container of a sandbox.

    ``state`` is such as ``running``, ``running unhealthy``, ``exited 137``, ``reconfigured`` or ``repulled``.
    """
    word, _, detail = state.partition(" ")
    config = f"config-{service}"
    image = "a" * 64
    if word in ("reconfigured", "repulled"):
        config, image = ("changed", image) if word == "reconfigured" else (config, "b" * 64)
        word = "running"
    project = project_name(record.name, record.id)
    labels = {**owner.labels(), COMPOSE_PROJECT: project, COMPOSE_SERVICE: service, LABEL_CONFIG: config}
    return Container(
        id=hashlib.sha256(f"{record.uid} {service}".encode()).hexdigest(),
        name=f"{project}-{service}-1",
        engine=record.engine,
        image="stack:1",
        image_id=image,
        state=word,  # type: ignore[arg-type]
        exit_code=int(detail) if word == "exited" else 0,
        health=detail if detail in ("healthy", "unhealthy", "starting") else None,  # type: ignore[arg-type]
        labels=labels,
        **service_fields(labels, service),
    )


def foreign_container(name: str, **labels: str) -> Container:
    """Return a container that somebody else runs."""
    fields = service_fields(labels, name)
    return Container(name * 8, name, "docker", "theirs", "c" * 64, "running", 0, None, labels, **fields)


def observation(case: Case, host: str, given: Case) -> HostObservation | None:
    """Return the observation of a host: ``copies``, and around them the following keys.

    ``unreachable: why``, ``garbled: why`` (the answer is unreadable), ``never: true`` (not observed), ``engine_error:
    why``, ``error: why`` (the observation is incomplete), ``clock``: seconds that it is ahead, ``podman: true`` for a
    Podman host, ``foreign``: projects of others, ``containers``: of others, ``directories``, ``leftovers``,
    ``tombstones``: names whose manifest, as it is in git now, expired there.
    """
    if given.get("never"):
        return None
    if "unreachable" in given or "garbled" in given:
        return Unreachable(host, given.get("unreachable") or given["garbled"], answered="garbled" in given)
    copies = [copy_of(case, host, copy) for copy in given.get("copies", ())]
    others = [foreign_container(f"{name}-1", **{COMPOSE_PROJECT: name}) for name in given.get("foreign", ())]
    others += [foreign_container(name) for name in given.get("containers", ())]
    engine = "podman" if given.get("podman") else "docker"
    error = given.get("engine_error")
    containers = tuple(c for copy in copies for c in copy.containers) + tuple(others)
    resources = tuple(r for copy in copies for r in copy.resources)
    seen = EngineObservation(
        engine, error, () if error else containers, () if error else resources, is_denied(error or "")
    )  # type: ignore[arg-type]
    git = fleet_of(case)
    return Reachable(
        host=host,
        clock=NOW + timedelta(seconds=given.get("clock", 0)),
        boot_id="boot",
        free_bytes=1 << 30,
        cpus=4.0,
        memory_bytes=8 << 30,
        engine=engine,  # type: ignore[arg-type]
        engines={seen.engine: seen},
        found={copy.found.id: copy.found for copy in copies if copy.found},
        directories=tuple(given.get("directories", ())),
        leftovers=tuple(given.get("leftovers", ())),
        tombstones={
            git.sandboxes[name].id: Tombstone(git.sandboxes[name].id, git.sandboxes[name].spec_digest)
            for name in given.get("tombstones", ())
        },
        error=given.get("error"),
        backend_errors={"ext.compose-ssh": f"{engine} does not answer: {error}"} if error else {},
    )


def observations_of(case: Case, fleet: Fleet | None = None) -> dict[str, HostObservation]:
    """Return an observation of each host of the fleet."""
    hosts = (fleet or fleet_of(case)).hosts
    observations = {host: observation(case, host, case.get("found", {}).get(host, {})) for host in hosts}
    return {host: seen for host, seen in observations.items() if seen is not None}


# --- plan


def options_of(case: Case) -> Options:
    """Return the options of a situation; lists stand for sets."""
    given = {k: frozenset(v) if isinstance(v, list) else v for k, v in case.get("options", {}).items()}
    return Options(**given)


def plan_of(case: Case) -> Plan:
    """Return the plan of a situation."""
    fleet = fleet_of(case)
    return plan(fleet, observations_of(case, fleet), NOW, options_of(case))
