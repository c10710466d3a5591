"""Records of a sandbox's life: how one begins, how it goes on, and what it says once the stack is up."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

from sandboxer.model.lifecycle import Phase
from sandboxer.model.observed import Found
from sandboxer.model.record import FORMAT_VERSION, Attempt, Consumer, Input, Record, Service, SyncPolicy, WorkspaceFiles
from sandboxer.reconcile.drift import config_hash, drift, one_off, service_of
from sandboxer.reconcile.expiry import expiry_after, expiry_of
from sandboxer.reconcile.fields import digest_of, seal
from sandboxer.reconcile.sight import Sight

_ANONYMOUS = re.compile(r"[0-9a-f]{64}")
_ABSURD = 10**15  # a record's numbers have at most 16 digits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sandboxer.extensions.base import Work
    from sandboxer.extensions.compose_ssh.policy import Service as Wanted
    from sandboxer.extensions.compose_ssh.workspace import Workspace
    from sandboxer.model.desired import DesiredSandbox
    from sandboxer.model.observed import Container, FileSums, Resource


def begin(work: Work, desired: DesiredSandbox, *, uid: str | None = None, created_at: datetime | None = None) -> Record:
    """The first record of a life; ``uid`` and ``created_at`` are given where its containers are still there."""
    created = created_at or work.clock()
    salt = secrets.token_hex(16)
    sealed = {**seal(desired, salt), "runtime": work.place.engine}
    spec = desired.sandbox.spec
    return Record(
        format_version=FORMAT_VERSION,
        fleet=work.fleet,
        id=work.id,
        name=work.name,
        origin="api" if desired.origin == "api" else "git",
        uid=uid or secrets.token_hex(16),
        phase=Phase.PROVISIONING,
        generation=1,
        attempt=Attempt(digest=digest_of(sealed), generation=1),
        profile=desired.profile.metadata.name,
        extension=desired.profile.spec.extension,
        host=work.place.host,
        engine=work.place.engine,
        labels=dict(desired.sandbox.metadata.labels),
        sync_policy=SyncPolicy(prune=spec.sync_policy.prune, self_heal=spec.sync_policy.self_heal),
        consumer=_consumer(desired),
        requested=desired.asked.requested if desired.asked else None,
        spec_digest=desired.spec_digest,
        fleet_root=work.provenance.fleet_root,
        fleet_commit=work.provenance.fleet_commit,
        inputs=_input(desired),
        salt=salt,
        spec=sealed,
        created_at=created,
        expires_at=expiry_of(desired, created),
        until=created + max(desired.profile.spec.ttl.max, expiry_of(desired, created) - created),
    )


def attempt(record: Record, desired: DesiredSandbox) -> Record:
    """The record of work begun in place: what was applied stays as it was until the work has ended."""
    generation = record.generation + 1
    digest = digest_of(sealed_for(record, desired))
    return record.model_copy(
        update={
            "generation": generation,
            "attempt": Attempt(digest=digest, generation=generation),
        }
    )


def sealed_for(record: Record, desired: DesiredSandbox) -> dict[str, Any]:
    """The desired spec as this record would hold it."""
    return {**seal(desired, record.salt, record.spec), "runtime": record.engine}


def applied(record: Record, desired: DesiredSandbox, work: Work, **found: Any) -> Record:
    """The record once what is desired runs: the attempt is over. ``found`` is what the engine shows now."""
    sealed = sealed_for(record, desired)
    spec = desired.sandbox.spec
    return record.model_copy(
        update={
            "generation": record.generation + 1,
            "attempt": None,
            "profile": desired.profile.metadata.name,
            "host": work.place.host,
            "labels": dict(desired.sandbox.metadata.labels),
            "sync_policy": SyncPolicy(prune=spec.sync_policy.prune, self_heal=spec.sync_policy.self_heal),
            "consumer": _consumer(desired),
            "desired_digest": digest_of(sealed),
            "spec_digest": desired.spec_digest,
            "fleet_root": work.provenance.fleet_root or record.fleet_root,
            "fleet_commit": work.provenance.fleet_commit,
            "inputs": _input(desired),
            "spec": sealed,
            "expires_at": expiry_after(desired, record),
            **found,
        }
    )


def again(record: Record) -> Record:
    """The next record, otherwise the same."""
    return record.model_copy(update={"generation": record.generation + 1})


def anonymous_volumes(containers: Iterable[Container]) -> frozenset[str]:
    """The volumes of these containers that have no name of ours, and so no label either."""
    return frozenset(name for container in containers for name in container.volumes if _ANONYMOUS.fullmatch(name))


def what_runs(
    project: str,
    wanted: Iterable[Wanted],
    containers: Iterable[Container],
    *,
    former_volumes: frozenset[str] = frozenset(),
) -> Mapping[str, Any]:
    """The parts of a record that are read from the containers after an apply; later looks are compared with them.

    Networks and volumes are those that the containers use: no engine makes others, and to list them costs two calls.
    ``former_volumes`` are anonymous ones that nobody may use any more: they end with the sandbox, as all volumes do,
    and no label would tell of them.
    """
    by_service: dict[str, list[Container]] = {}
    for container in containers:
        if not one_off(container):
            by_service.setdefault(service_of(container), []).append(container)
    services = {}
    for service in wanted:
        own = by_service.get(service.name, [])
        done = bool(own) and all(c.state == "exited" and c.exit_code == 0 for c in own)
        services[service.name] = Service(
            config_hash=config_hash(own[0]) if own else "",
            image_id=own[0].image_id if own else "",
            replicas=len(own),
            one_shot=service.one_shot,
            completed=done,
        )
    used = [container for own in by_service.values() for container in own]
    networks = {name for container in used for name in container.networks if name.startswith(f"{project}_")}
    volumes = {name for container in used for name in container.volumes}
    anonymous = anonymous_volumes(used)
    return {
        "services": services,
        "networks": tuple(sorted(networks)),
        "volumes": tuple(sorted(volumes - anonymous)),
        "anonymous_volumes": tuple(sorted(anonymous | former_volumes)),
    }


def _consumer(desired: DesiredSandbox) -> Consumer | None:
    given = desired.sandbox.spec.consumer
    return Consumer(actor=given.actor, project=given.project) if given else None


def _input(desired: DesiredSandbox) -> Input | None:
    tree = desired.tree
    return Input(repo=tree.repo, ref=tree.ref, commit=tree.commit, digest="sha256:" + tree.digest) if tree else None


def delivered(sums: FileSums | None) -> WorkspaceFiles | None:
    """The delivered files as a record holds them; None where nobody could tell, or where somebody set absurd times."""
    if sums is None or max(abs(sums.bytes), abs(sums.seconds)) >= _ABSURD:
        return None
    return WorkspaceFiles(files=sums.files, bytes=sums.bytes, seconds=sums.seconds)


def undisturbed(
    record: Record, containers: tuple[Container, ...], resources: tuple[Resource, ...], *, workspace: Workspace
) -> bool:
    """Whether what runs is as the record says, seen under the lock."""
    there = record.inputs is None or record.inputs.digest.removeprefix("sha256:") in workspace.trees
    found = Found(record.id, record, has_workspace=there, files=workspace.total)
    return not drift(Sight(record.host, record.id, found, containers, resources))
