"""A record through a sandbox's life, for every backend: its first version, an attempt, and what was applied.

A record is a pure value here; the backend writes it to the host.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from sandboxer.model.lifecycle import Phase
from sandboxer.model.record import FORMAT_VERSION, Attempt, Consumer, Input, Record, SyncPolicy
from sandboxer.reconcile.expiry import expiry_after, expiry_of
from sandboxer.reconcile.fields import digest_of, seal

if TYPE_CHECKING:
    from datetime import datetime

    from sandboxer.extensions.base import Operation
    from sandboxer.model.desired import DesiredSandbox


def begin(
    operation: Operation, desired: DesiredSandbox, *, uid: str | None = None, created_at: datetime | None = None
) -> Record:
    """Return the first record of a life; pass ``uid`` and ``created_at`` where its containers still exist."""
    created = created_at or operation.clock()
    salt = secrets.token_hex(16)
    sealed = _with_runtime(seal(desired, salt), operation.target.engine)
    spec = desired.sandbox.spec
    return Record(
        format_version=FORMAT_VERSION,
        fleet=operation.fleet,
        id=operation.id,
        name=operation.name,
        origin="api" if desired.origin == "api" else "git",
        uid=uid or secrets.token_hex(16),
        phase=Phase.PROVISIONING,
        generation=1,
        attempt=Attempt(digest=digest_of(sealed), generation=1),
        profile=desired.profile.metadata.name,
        extension=desired.profile.spec.extension,
        host=operation.target.host,
        engine=operation.target.engine,
        labels=dict(desired.sandbox.metadata.labels),
        sync_policy=SyncPolicy(prune=spec.sync_policy.prune, self_heal=spec.sync_policy.self_heal),
        consumer=_consumer(desired),
        requested=desired.request.requested if desired.request else None,
        spec_digest=desired.spec_digest,
        fleet_root=operation.provenance.fleet_root,
        fleet_commit=operation.provenance.fleet_commit,
        inputs=_input(desired),
        salt=salt,
        spec=sealed,
        created_at=created,
        expires_at=expiry_of(desired, created),
        until=created + max(desired.profile.spec.ttl.max, expiry_of(desired, created) - created),
    )


def attempt(record: Record, desired: DesiredSandbox) -> Record:
    """Return the record of an attempt in place: what was applied stays recorded until the attempt has ended."""
    generation = record.generation + 1
    digest = digest_of(sealed_for(record, desired))
    return record.model_copy(
        update={
            "generation": generation,
            "attempt": Attempt(digest=digest, generation=generation),
        }
    )


def sealed_for(record: Record, desired: DesiredSandbox) -> dict[str, Any]:
    """Return the desired spec as this record would hold it."""
    return _with_runtime(seal(desired, record.salt, record.spec), record.engine)


def applied(record: Record, desired: DesiredSandbox, operation: Operation, **found: Any) -> Record:
    """Return the record once what is desired runs: the attempt is over. ``found`` is read from the engine."""
    sealed = sealed_for(record, desired)
    spec = desired.sandbox.spec
    return record.model_copy(
        update={
            "generation": record.generation + 1,
            "attempt": None,
            "error": None,
            "profile": desired.profile.metadata.name,
            "host": operation.target.host,
            "labels": dict(desired.sandbox.metadata.labels),
            "sync_policy": SyncPolicy(prune=spec.sync_policy.prune, self_heal=spec.sync_policy.self_heal),
            "consumer": _consumer(desired),
            "desired_digest": digest_of(sealed),
            "spec_digest": desired.spec_digest,
            "fleet_root": operation.provenance.fleet_root or record.fleet_root,
            "fleet_commit": operation.provenance.fleet_commit,
            "inputs": _input(desired),
            "spec": sealed,
            "expires_at": expiry_after(desired, record),
            **found,
        }
    )


def again(record: Record) -> Record:
    """Return the next generation of a record, otherwise unchanged."""
    return record.model_copy(update={"generation": record.generation + 1})


def _with_runtime(sealed: dict[str, Any], engine: str) -> dict[str, Any]:
    return {**sealed, "runtime": engine} if engine else sealed


def _consumer(desired: DesiredSandbox) -> Consumer | None:
    given = desired.sandbox.spec.consumer
    return Consumer(actor=given.actor, project=given.project) if given else None


def _input(desired: DesiredSandbox) -> Input | None:
    tree = desired.tree
    return Input(repo=tree.repo, ref=tree.ref, commit=tree.commit, digest="sha256:" + tree.digest) if tree else None
